"""Documents to token blocks, with their translation alongside and an explicit map between the two.

One rule aligns a text with its translation: position t of the source stands where position t' of the translation stands
when both have read the same text, that is, when the end of t' is the image of the end of t. Ends inside an anchor have
no image.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.algorithms.text.anchors import AnchorMatch, anchor_expression, find_anchors


@dataclass(frozen=True, kw_only=True)
class AnchorSpan:
    """An anchor in tokens: [start, end) of the source."""

    start: int
    end: int
    term: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of source tokens and what stands for each of them in the translation."""

    source: tuple[int, ...]
    translated: tuple[int, ...]
    image: tuple[int, ...]
    """For every source position the position in `translated` that has read the same text; -1 where there is none."""
    anchors: tuple[AnchorSpan, ...]
    documents: tuple[int, ...] = ()
    """Positions at which another document begins: what came before has nothing to do with it."""
    supervised: tuple[bool, ...] = ()
    """Whether the prediction at a position counts; empty: every one does. In a conversation those of the answer and its
    end do."""


def require_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a token covers.

    Raises:
        ValueError: If the tokenizer is a slow one.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"the tokenizer {type(tokenizer).__name__} gives no character offsets; wanted a fast tokenizer (a folder"
            " with tokenizer.json)"
        )


def prefix_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the special tokens that the tokenizer puts before a text (a begin-of-sequence token, or nothing)."""
    encoded = tokenizer("a", add_special_tokens=True, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    return tuple(ids[: special.index(0)])


def encode(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Return token ids and the character span of each, without special tokens."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return list(encoded["input_ids"]), [tuple(span) for span in encoded["offset_mapping"]]


def encode_prefixed(
    tokenizer: Any, text: str, *, conversation: bool
) -> tuple[tuple[int, ...], list[int], list[tuple[int, int]]]:
    """Return special tokens that come first, the tokens after them, and the character span of each of the latter.

    Plain text gets the tokenizer's own prefix. A `conversation` is complete as its template wrote it: what it begins
    with of that prefix is split off, and nothing is added.
    """
    prefix, (ids, offsets) = prefix_ids(tokenizer), encode(tokenizer, text)
    if not conversation:
        return prefix, ids, offsets
    lead = len(prefix) if tuple(ids[: len(prefix)]) == prefix else 0
    return prefix[:lead], ids[lead:], offsets[lead:]


def translate_text(text: str, anchors: Sequence[AnchorMatch], dictionary: Mapping[str, str]) -> tuple[str, list[int]]:
    """Replace the anchors of a text.

    Args:
        text: The source.
        anchors: Where its anchors stand, in order, not overlapping.
        dictionary: Anchor term -> generic translation.

    Returns:
        The translated text, and for each character boundary 0 ... len(text) of the source its image in the translation,
        -1 strictly inside an anchor.
    """
    pieces, image, end, length = [], [0] * (len(text) + 1), 0, 0
    for start, stop, term in [*anchors, AnchorMatch(len(text), len(text), "")]:
        pieces.append(text[end:start])
        image[end : start + 1] = range(length, length + start - end + 1)
        length += start - end
        if stop > start:
            generic = dictionary[term]
            pieces.append(generic)
            image[start + 1 : stop] = [-1] * (stop - start - 1)
            length += len(generic)
            image[stop] = length
        end = stop
    return "".join(pieces), image


def align_document(
    tokenizer: Any,
    text: str,
    dictionary: Mapping[str, str],
    *,
    content: Sequence[tuple[int, int]] | None = None,
    answer: int | None = None,
) -> Block:
    """Tokenize a text and its translation and map every source position to the translated one that has read the same
    text.

    Args:
        tokenizer: A fast tokenizer.
        text: The source document.
        dictionary: Anchor term -> generic translation; empty: the translation is the text.
        content: Character spans of the document's own words, in order: anchors are looked for in each of them, never in
            a template's markup. None: the whole text.
        answer: Character from which on tokens are supervised; None: all are.

    Returns:
        The whole document as one block. A position whose end is no token boundary of the translation has image -1.

    Source:
        Eldan & Russinovich 2023, arXiv:2310.02238, section 2.3. Deviation: they walk tokens; aligning by characters
        gives the same map, and the translation is tokenized as the model would read it.
    """
    anchors = _find_inside(text, dictionary, [(0, len(text))] if content is None else content)
    translated_text, boundary = translate_text(text, anchors, dictionary)
    source, offsets = encode(tokenizer, text)
    translated, translated_offsets = encode(tokenizer, translated_text)
    image = match_ends([boundary[end] for _, end in offsets], [end for _, end in translated_offsets])
    return Block(
        source=tuple(source),
        translated=tuple(translated),
        image=tuple(image),
        anchors=tuple(token_spans(offsets, anchors)),
        supervised=() if answer is None else (*(end > answer for _, end in offsets[1:]), False),
    )


def _find_inside(text: str, dictionary: Mapping[str, str], content: Sequence[tuple[int, int]]) -> list[AnchorMatch]:
    if not dictionary:
        return []
    expression = anchor_expression(dictionary)
    return [
        AnchorMatch(first + start, first + stop, term)
        for first, end in content
        for start, stop, term in find_anchors(text[first:end], expression)
    ]


def match_ends(wanted: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Pair positions that end at the same character; of several tokens of one character the last, and the others where
    they are as many.
    """
    ours, theirs = defaultdict(list), defaultdict(list)
    for position, end in enumerate(wanted):
        ours[end].append(position)
    for position, end in enumerate(ends):
        theirs[end].append(position)
    image = [-1] * len(wanted)
    for end, positions in ours.items():
        if end >= 0 and theirs[end]:
            image[positions[-1]] = theirs[end][-1]
            if len(positions) == len(theirs[end]):
                for position, target in zip(positions, theirs[end], strict=True):
                    image[position] = target
    return image


def token_spans(offsets: Sequence[tuple[int, int]], anchors: Sequence[AnchorMatch]) -> list[AnchorSpan]:
    """Return the tokens [start, end) that cover each anchor; anchors are in order and do not overlap."""
    spans, token = [], 0
    for start, stop, term in anchors:
        while token < len(offsets) and offsets[token][1] <= start:
            token += 1
        end = token
        while end < len(offsets) and offsets[end][0] < stop:
            end += 1
        spans.append(AnchorSpan(start=token, end=end, term=term))
    return spans
