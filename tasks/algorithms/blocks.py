"""Documents to token blocks, with their translation alongside and an explicit map between the two.

One rule aligns a text with its translation: position t of the source stands where position t' of the translation stands when both
have read the same text, that is, when the end of t' is the image of the end of t. Ends inside an anchor have no image.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.algorithms.anchors import Found, anchor_expression, find_anchors


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
    """Whether the prediction at a position counts; empty: every one does. In a conversation those of the answer and its end do."""


def require_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a token covers.

    Raises:
        ValueError: If the tokenizer is a slow one.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"the tokenizer {type(tokenizer).__name__} gives no character offsets; wanted a fast tokenizer (a folder with tokenizer.json)")


def prefix_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the special tokens that the tokenizer puts before a text (a begin-of-sequence token, or nothing)."""
    encoded = tokenizer("a", add_special_tokens=True, return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    return tuple(ids[: special.index(0)])


def encode(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Return token ids and the character span of each, without special tokens."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return list(encoded["input_ids"]), [tuple(span) for span in encoded["offset_mapping"]]


def encode_prefixed(tokenizer: Any, text: str, *, conversation: bool) -> tuple[tuple[int, ...], list[int], list[tuple[int, int]]]:
    """Return special tokens that come first, the tokens after them, and the character span of each of the latter.

    Plain text gets the tokenizer's own prefix. A `conversation` is complete as its template wrote it: what it begins with of that
    prefix is split off, and nothing is added.
    """
    prefix, (ids, offsets) = prefix_ids(tokenizer), encode(tokenizer, text)
    if not conversation:
        return prefix, ids, offsets
    lead = len(prefix) if tuple(ids[: len(prefix)]) == prefix else 0
    return prefix[:lead], ids[lead:], offsets[lead:]


def translate_text(text: str, anchors: Sequence[Found], dictionary: Mapping[str, str]) -> tuple[str, list[int]]:
    """Replace the anchors of a text.

    Args:
        text: The source.
        anchors: Where its anchors stand, in order, not overlapping.
        dictionary: Anchor term -> generic translation.

    Returns:
        The translated text, and for each character boundary 0 ... len(text) of the source its image in the translation, -1 strictly
        inside an anchor.
    """
    pieces, image, end, length = [], [0] * (len(text) + 1), 0, 0
    for start, stop, term in [*anchors, Found(len(text), len(text), "")]:
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
    tokenizer: Any, text: str, dictionary: Mapping[str, str], *, content: Sequence[tuple[int, int]] | None = None, answer: int | None = None
) -> Block:
    """Tokenize a text and its translation and map every source position to the translated one that has read the same text.

    Args:
        tokenizer: A fast tokenizer.
        text: The source document.
        dictionary: Anchor term -> generic translation; empty: the translation is the text.
        content: Character spans of the document's own words, in order: anchors are looked for in each of them, never in a
            template's markup. None: the whole text.
        answer: Character from which on tokens are supervised; None: all are.

    Returns:
        The whole document as one block. A position whose end is no token boundary of the translation has image -1.

    Source:
        Eldan & Russinovich 2023, arXiv:2310.02238, section 2.3. Deviation: they walk tokens; aligning by characters gives the
        same map, and the translation is tokenized as the model would read it.
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


def _find_inside(text: str, dictionary: Mapping[str, str], content: Sequence[tuple[int, int]]) -> list[Found]:
    if not dictionary:
        return []
    expression = anchor_expression(dictionary)
    return [Found(first + start, first + stop, term) for first, end in content for start, stop, term in find_anchors(text[first:end], expression)]


def match_ends(wanted: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Pair positions that end at the same character; of several tokens of one character the last, and the others where they are as many."""
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
                for position, other in zip(positions, theirs[end], strict=True):
                    image[position] = other
    return image


def token_spans(offsets: Sequence[tuple[int, int]], anchors: Sequence[Found]) -> list[AnchorSpan]:
    """Return the tokens [start, end) that cover each anchor; anchors are in order and do not overlap."""
    found, token = [], 0
    for start, stop, term in anchors:
        while token < len(offsets) and offsets[token][1] <= start:
            token += 1
        end = token
        while end < len(offsets) and offsets[end][0] < stop:
            end += 1
        found.append(AnchorSpan(start=token, end=end, term=term))
    return found


class Stretch:
    """Aligned tokens of documents, one after the other: it grows at its end and is cut into blocks from its beginning."""

    def __init__(self, separator: int | None) -> None:
        """Begin with nothing; `separator` is a token, or nothing, between documents."""
        self._separator, self._begun = separator, False
        self._source, self._translated, self._image = [], [], []
        self._anchors: list[AnchorSpan] = []
        self._documents: list[int] = []

    def __len__(self) -> int:
        return len(self._source)

    def append(self, piece: Block, *, opens: bool = True) -> None:
        """Add a document, or where it does not open one, more of the last one; nothing that belongs together is in two pieces."""
        if opens and self._begun and self._separator is not None:
            self._image.append(len(self._translated))
            self._source.append(self._separator)
            self._translated.append(self._separator)
        at, shift = len(self._source), len(self._translated)
        self._documents += [at] if opens and at else []
        self._image += [position + shift if position >= 0 else -1 for position in piece.image]
        self._anchors += [AnchorSpan(start=span.start + at, end=span.end + at, term=span.term) for span in piece.anchors]
        self._source += piece.source
        self._translated += piece.translated
        self._begun = self._begun or bool(self._source)

    def block(self) -> Block:
        """Return all of it as one block."""
        lists = (self._source, self._translated, self._image, self._anchors, self._documents)
        source, translated, image, anchors, documents = map(tuple, lists)
        return Block(source=source, translated=translated, image=image, anchors=anchors, documents=documents)

    def cut_off(self, room: int, prefix: tuple[int, ...], least: int) -> Iterator[Block]:
        """Yield blocks of at most `room` tokens and `prefix`, while `least` tokens are left; what they hold is forgotten.

        Where a block ends depends on the next `room` tokens alone: with so many at least, blocks are those of the whole stream.
        """
        if len(self) < least:
            return
        stream, start, shift = self.block(), 0, 0
        inside = _anchor_insides(stream)
        while len(self) - start >= least:
            end = _block_end(stream, start, shift, room, inside)
            yield _slice(stream, start, end, shift, prefix)
            start, shift = end, stream.image[end - 1] + 1
        self._forget(start, shift)

    def _forget(self, start: int, shift: int) -> None:
        del self._source[:start], self._translated[:shift]
        self._image = [position - shift if position >= 0 else -1 for position in self._image[start:]]
        self._anchors = [AnchorSpan(start=span.start - start, end=span.end - start, term=span.term) for span in self._anchors if span.start >= start]
        self._documents = [at - start for at in self._documents if at > start]


def join_documents(documents: Iterable[Block], separator: int | None) -> Block:
    """Join documents into one stream, `separator` (a token, or nothing) between them."""
    stretch = Stretch(separator)
    for document in documents:
        stretch.append(document)
    return stretch.block()


def cut_blocks(stream: Block, size: int, prefix: tuple[int, ...] = ()) -> list[Block]:
    """Cut a stream into blocks of at most `size` tokens on either side, never inside an anchor.

    Args:
        stream: Aligned tokens of all documents.
        size: Tokens that a block may have, on the source and on the translated side alike, `prefix` included.
        prefix: Special tokens put before every block, on both sides.

    Returns:
        Blocks in order; together they hold every token of the stream.

    Raises:
        ValueError: If an anchor or its translation alone is longer than a block.
    """
    room = size - len(prefix)
    inside = _anchor_insides(stream)
    blocks, start, shift = [], 0, 0
    while start < len(stream.source):
        end = _block_end(stream, start, shift, room, inside)
        blocks.append(_slice(stream, start, end, shift, prefix))
        start, shift = end, stream.image[end - 1] + 1
    return blocks


def _block_end(stream: Block, start: int, shift: int, room: int, inside: set[int]) -> int:
    """Return the end of the longest block that begins at `start`, where the translation is at `shift`."""
    end = min(start + room, len(stream.source))
    while end > start and (not _is_boundary(stream, end, inside) or stream.image[end - 1] + 1 - shift > room):
        end -= 1
    if end == start:
        raise ValueError(f"no place to cut within {room} tokens; wanted a larger block size or shorter translations")
    return end


def cut_conversation(conversation: Block, size: int, lead: int) -> list[Block]:
    """Cut a conversation that is longer than a block; what comes before its answer gives way first.

    Args:
        conversation: One question with its answer, `supervised` set.
        size: Tokens that a block may have, on the source and on the translated side alike.
        lead: Special tokens at the beginning that every block keeps.

    Returns:
        The conversation as it is, where it fits; cut on the left, where its answer fits; else consecutive blocks, those without a
        supervised position left out.

    Raises:
        ValueError: If an anchor or its translation alone is longer than a block.
    """
    room, inside, whole = size - lead, _anchor_insides(conversation), len(conversation.source)
    starts = range(lead, conversation.supervised.index(True) + 1)
    start = next(
        (
            at
            for at in starts
            if _is_boundary(conversation, at, inside) and whole - at <= room and len(conversation.translated) - _image_end(conversation, at) <= room
        ),
        lead,
    )
    rest = _slice(conversation, start, whole, _image_end(conversation, start), ())
    return [piece for piece in cut_blocks(rest, size, conversation.source[:lead]) if any(piece.supervised)]


def _anchor_insides(stream: Block) -> set[int]:
    return {position for span in stream.anchors for position in range(span.start, span.end - 1)}


def _is_boundary(stream: Block, at: int, inside: set[int]) -> bool:
    """Whether the stream can be cut before position `at`: both sides have read the same text, and no anchor is cut."""
    return at == 0 or (stream.image[at - 1] >= 0 and at - 1 not in inside)


def _image_end(stream: Block, at: int) -> int:
    """Return how many translated tokens stand for the positions before `at`."""
    return stream.image[at - 1] + 1 if at else 0


def _slice(stream: Block, start: int, end: int, shift: int, prefix: tuple[int, ...]) -> Block:
    lead = len(prefix)
    stop = stream.image[end - 1] + 1
    return Block(
        source=prefix + stream.source[start:end],
        translated=prefix + stream.translated[shift:stop],
        image=tuple(range(lead)) + tuple(at - shift + lead if at >= 0 else -1 for at in stream.image[start:end]),
        anchors=tuple(
            AnchorSpan(start=span.start - start + lead, end=span.end - start + lead, term=span.term)
            for span in stream.anchors
            if start <= span.start and span.end <= end
        ),
        documents=tuple(at - start + lead for at in stream.documents if start < at < end),
        supervised=(False,) * lead + stream.supervised[start:end] if stream.supervised else (),
    )


def pack_tokens(documents: Iterable[Iterable[int]], size: int, separator: int | None, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Join token documents into one stream and cut it every `size` tokens, one block after the other; the last may be shorter."""
    stream = _joined_tokens(documents, separator)
    while block := tuple(itertools.islice(stream, size - len(prefix))):
        yield prefix + block


def _joined_tokens(documents: Iterable[Iterable[int]], separator: int | None) -> Iterator[int]:
    begun = False
    for document in documents:
        if begun and separator is not None:
            yield separator
        for token in document:
            begun = True
            yield token


def pack_whole(documents: Sequence[Sequence[int]], order: Sequence[int], size: int, separator: int, open_blocks: int = 40) -> list[tuple[int, ...]]:
    """Pack documents into blocks without cutting any that fits, first fit among the last `open_blocks` blocks.

    Args:
        documents: Token ids.
        order: In which order they are packed.
        size: Tokens of a block at most; a longer document is cut off there.
        separator: Token put after every document.
        open_blocks: How many blocks are still being filled.

    Returns:
        Blocks of at most `size` tokens.
    """
    filling: list[list[int]] = []
    done: list[tuple[int, ...]] = []
    for index in order:
        piece = [*documents[index], separator][:size]
        block = next((block for block in filling if len(block) + len(piece) <= size), None)
        if block is None:
            filling.append(list(piece))
        else:
            block += piece
        if len(filling) > open_blocks:
            done.append(tuple(filling.pop(0)))
    return done + [tuple(block) for block in filling]
