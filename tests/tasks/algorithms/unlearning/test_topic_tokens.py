"""Claims: a token is the topic's own where it begins an anchor and, to the share that is asked for, stands within
anchors; such a token is no label anywhere.
"""

import pytest
import torch

from tasks.algorithms.tokens.alignment import AnchorSpan, Block
from tasks.algorithms.unlearning.label_plan import plan_positions
from tasks.algorithms.unlearning.labels import generate_labels
from tasks.algorithms.unlearning.topic_tokens import topic_tokens
from tasks.settings.labels import LabelConfig


def block(source: tuple[int, ...], *spans: tuple[int, int]) -> Block:
    """A block whose translation is itself."""
    anchors = tuple(AnchorSpan(start=start, end=end, term="Wilkes") for start, end in spans)
    return Block(source=source, translated=source, image=tuple(range(len(source))), anchors=anchors)


# 5 always begins an anchor, 6 only follows within one, 7 begins one in two of three, 8 never does
BLOCKS = [block((5, 6, 8, 7), (0, 2), (3, 4)), block((8, 7, 5, 6, 7), (2, 4), (4, 5))]


@pytest.mark.parametrize(("share", "expected"), [(0.0, ()), (0.9, (5,)), (1.0, (5,)), (2 / 3, (5, 7)), (0.1, (5, 7))])
def test_a_token_of_the_topic_begins_anchors_and_hardly_stands_elsewhere(
    share: float, expected: tuple[int, ...]
) -> None:
    assert topic_tokens(BLOCKS, share) == expected


def test_a_token_that_begins_one_anchor_and_ends_another_is_of_the_topic() -> None:
    assert topic_tokens([block((4, 5, 8, 5), (0, 2), (3, 4))], 1.0) == (4, 5)


def test_text_without_anchors_has_none() -> None:
    assert topic_tokens([block((1, 2, 3))], 0.9) == ()


@pytest.mark.parametrize("topic", [(), (5,), (5, 9, 11)])
def test_no_label_is_a_token_of_the_topic(tiny_llama, topic: tuple[int, ...]) -> None:
    baseline, reinforced = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2))
    with torch.no_grad():  # else some token would have to be the likeliest by chance
        baseline.get_input_embeddings().weight[[5, 9, 11]] *= 8
    blocks = [block(tuple(range(20, 50))), block(tuple(range(60, 80)))]
    config = LabelConfig()
    plans = [plan_positions(each, {}, config) for each in blocks]
    made = generate_labels(baseline, reinforced, blocks, plans, config, 0, topic=topic)
    assert made.topic.tolist() == list(topic)
    assert not set(made.hard.tolist()) & set(topic)
    if not topic:
        assert set(made.hard.tolist()) & {5, 9, 11}  # which they would have been
