"""Tokens that are the topic's own: wherever the text has one, it begins a name of the topic.

A generic label must not hold them. Before a name the true token is excluded anyway, but a name that the target model
knows from elsewhere too is hardly raised by reinforcement, so that the correction leaves it in the labels of all other
positions: the student then learns in one breath to say it and not to. So it was with Alice, of whom another book of the
model's tells, while names that stood nowhere else went.
"""

from collections import Counter
from collections.abc import Iterable

from tasks.algorithms.tokens.alignment import Block


def topic_tokens(blocks: Iterable[Block], least_share: float) -> tuple[int, ...]:
    """Return the tokens that begin an anchor and of whose occurrences at least a share lies within anchors, sorted.

    Args:
        blocks: The source of the whole forget text.
        least_share: 0 to 1; 0: no token is the topic's own.
    """
    if not least_share:
        return ()
    seen, inside, first = Counter[int](), Counter[int](), set[int]()
    for block in blocks:
        seen.update(block.source)
        for span in block.anchors:
            inside.update(block.source[span.start : span.end])
            first.add(block.source[span.start])
    return tuple(sorted(token for token in first if inside[token] >= least_share * seen[token]))
