"""Which positions of a block get a generic label, decided from its tokens alone, before any model is asked."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.algorithms.tokens.alignment import Block, encode
from tasks.settings.labels import LabelConfig


@dataclass(frozen=True, kw_only=True)
class FirstTokens:
    """First tokens of a translation, in every white-space variant."""

    whole: frozenset[int]
    """Tokens that are the whole first word: they can be suppressed."""
    fragments: frozenset[int]
    """Tokens that begin other words too: a position whose label they would be is dropped."""


@dataclass(kw_only=True)
class PositionPlan:
    """Which positions of one block carry a label and where their predictions are read."""

    positions: list[int] = field(default_factory=list)
    gather: list[int] = field(default_factory=list)
    """Position in the translated block; in the source block where `interior`."""
    interior: list[bool] = field(default_factory=list)
    banned: list[tuple[int, int]] = field(default_factory=list)
    """(row of this plan, token) pairs that cannot be a label."""
    fragments: list[tuple[int, int]] = field(default_factory=list)
    """(row of this plan, token) pairs that drop the row when the token would be its label."""


def first_tokens(tokenizer: Any, generic: str) -> FirstTokens:
    """Return the tokens that can begin `generic`: at the start of a text, after a space, after a line end."""
    first_word = generic.split()[0]
    whole, fragments = set(), set()
    for lead in ("", " ", "\n", '"'):
        ids, offsets = encode(tokenizer, lead + generic)
        token = next(index for index, (_, end) in enumerate(offsets) if end > len(lead))
        complete = offsets[token][1] >= len(lead) + len(first_word)
        (whole if complete else fragments).add(ids[token])
    return FirstTokens(whole=frozenset(whole), fragments=frozenset(fragments - whole))


def plan_positions(block: Block, starts: Mapping[str, FirstTokens], config: LabelConfig) -> PositionPlan:
    """Decide which positions of a block carry a label (the alignment and consistency rules of the method).

    An anchor counts as repeated within one document: a block of many short ones would otherwise unlearn its first
    mention only.

    Args:
        block: Source, translation and map.
        starts: Anchor term -> first tokens of its translation.
        config: Which rules are on.

    Returns:
        The plan. Position s - 1 reads before the translation, s ... e - 2 read nothing (or the source, where interior
        tokens are
        suppressed: then no position s - 1 ... e - 2 can have the true next token for a label), e - 1 reads the
            translation's last token;
        targets of repeated anchors s - 1 ... e - 2 are dropped. Positions that are not supervised are read and carry no
        label.
    """
    interior, dropped, after = _anchor_positions(block, config)
    excluded = interior | {span.start - 1 for span in block.anchors} if config.interior == "suppress" else set()
    plan, whole, fragments = PositionPlan(), set(), set()
    for position, image in enumerate(block.image):
        if position in block.documents:
            whole.clear()
            fragments.clear()
        for term in after.get(position, ()):
            whole |= starts[term].whole
            fragments |= starts[term].fragments
        inside = position in interior
        if position in dropped or (image < 0 and not inside) or (block.supervised and not block.supervised[position]):
            continue
        row = len(plan.positions)
        plan.positions.append(position)
        plan.gather.append(position if inside else image)
        plan.interior.append(inside)
        # also before an anchor: a context that only ever led to it leads to it still, whatever is translated
        if position in excluded:
            plan.banned.append((row, block.source[position + 1]))
        plan.banned += [(row, token) for token in sorted(whole)]
        plan.fragments += [(row, token) for token in sorted(fragments)]
    return plan


def _anchor_positions(block: Block, config: LabelConfig) -> tuple[set[int], set[int], dict[int, list[str]]]:
    """Return interior positions with a label, positions without one, and where each anchor has been read in full."""
    interior: set[int] = set()
    dropped: set[int] = set()
    after: dict[int, list[str]] = {}
    mentions: set[tuple[int, str]] = set()
    for span in block.anchors:
        mention = (bisect.bisect_right(block.documents, span.start), span.term)
        inner = set(range(span.start, span.end - 1))
        if mention in mentions and config.drop_repeats:
            dropped |= inner | {span.start - 1}
        elif config.interior == "suppress":
            interior |= inner
        else:
            dropped |= inner
        if config.suppress_translations:
            after.setdefault(span.end - 1, []).append(span.term)
        mentions.add(mention)
    return interior - dropped, dropped, after
