"""Token documents to blocks: joined into one stream, cut between anchors, conversations each on their own."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from tasks.algorithms.tokens.alignment import AnchorSpan, Block


class Stretch:
    """Aligned tokens of documents, one after the other: it grows at its end and is cut into blocks from its
    beginning.
    """

    def __init__(self, separator: int | None) -> None:
        """Begin with nothing; `separator` is a token, or nothing, between documents."""
        self._separator, self._begun = separator, False
        self._source, self._translated, self._image = [], [], []
        self._anchors: list[AnchorSpan] = []
        self._documents: list[int] = []

    def __len__(self) -> int:
        return len(self._source)

    def append(self, piece: Block, *, opens: bool = True) -> None:
        """Add a document, or where it does not open one, more of the last one; nothing that belongs together is in two
        pieces.
        """
        if opens and self._begun and self._separator is not None:
            self._image.append(len(self._translated))
            self._source.append(self._separator)
            self._translated.append(self._separator)
        at, shift = len(self._source), len(self._translated)
        self._documents += [at] if opens and at else []
        self._image += [position + shift if position >= 0 else -1 for position in piece.image]
        self._anchors += [
            AnchorSpan(start=span.start + at, end=span.end + at, term=span.term) for span in piece.anchors
        ]
        self._source += piece.source
        self._translated += piece.translated
        self._begun = self._begun or bool(self._source)

    def block(self) -> Block:
        """Return all of it as one block."""
        lists = (self._source, self._translated, self._image, self._anchors, self._documents)
        source, translated, image, anchors, documents = map(tuple, lists)
        return Block(source=source, translated=translated, image=image, anchors=anchors, documents=documents)

    def cut_off(self, room: int, prefix: tuple[int, ...], least: int) -> Iterator[Block]:
        """Yield blocks of at most `room` tokens and `prefix`, while `least` tokens are left; what they hold is
        forgotten.

        Where a block ends depends on the next `room` tokens alone: with so many at least, blocks are those of the whole
        stream.
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
        self._anchors = [
            AnchorSpan(start=span.start - start, end=span.end - start, term=span.term)
            for span in self._anchors
            if span.start >= start
        ]
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
        The conversation as it is, where it fits; cut on the left, where its answer fits; else consecutive blocks, those
        without a supervised position left out.

    Raises:
        ValueError: If an anchor or its translation alone is longer than a block.
    """
    room, inside, whole = size - lead, _anchor_insides(conversation), len(conversation.source)
    starts = range(lead, conversation.supervised.index(True) + 1)
    start = next(
        (
            at
            for at in starts
            if _is_boundary(conversation, at, inside)
            and whole - at <= room
            and len(conversation.translated) - _image_end(conversation, at) <= room
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


def pack_tokens(
    documents: Iterable[Iterable[int]], size: int, separator: int | None, prefix: tuple[int, ...] = ()
) -> Iterator[tuple[int, ...]]:
    """Join token documents into one stream and cut it every `size` tokens, one block after the other; the last may be
    shorter.
    """
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


def pack_whole(
    documents: Sequence[Sequence[int]], order: Sequence[int], size: int, separator: int, open_blocks: int = 40
) -> list[tuple[int, ...]]:
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
    finished: list[tuple[int, ...]] = []
    for index in order:
        piece = [*documents[index], separator][:size]
        block = next((block for block in filling if len(block) + len(piece) <= size), None)
        if block is None:
            filling.append(list(piece))
        else:
            block += piece
        if len(filling) > open_blocks:
            finished.append(tuple(filling.pop(0)))
    return finished + [tuple(block) for block in filling]
