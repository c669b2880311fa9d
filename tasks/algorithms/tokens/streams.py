"""Documents to token blocks, a stretch of text at a time: what `blocks` makes of whole documents, in memory that does
not grow with them.

A tokenizer looks a little way to both sides, so a text is encoded in windows that overlap. Where two windows give the
same tokens at the same characters for a while, both are far enough from their ends, and in the middle of it one takes
over from the other.
"""

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.algorithms.text.anchors import AnchorMatch, anchor_expression
from tasks.algorithms.tokens.alignment import Block, encode, match_ends, token_spans, translate_text
from tasks.algorithms.tokens.packing import Stretch

WINDOW = 2**15
"""Characters that are encoded at a time."""
OVERLAP = 2**10
"""Characters that two windows share."""
AGREEMENT = 32
"""Tokens in a row that two windows must have in common."""


class TokenStream:
    """Encodes a text that comes piece by piece into the tokens that it has as a whole; a text of one piece is encoded
    as `encode` does.

    Where windows never agree, such as in one word of many pages, they are joined until they do, at worst to the whole
    text.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Begin a text for a fast tokenizer."""
        self._tokenizer, self._coming = tokenizer, ""
        self._text, self._base = "", 0
        self._ids: list[int] = []
        self._spans: list[tuple[int, int]] = []
        self._first = 0

    def feed(self, piece: str, *, last: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the tokens that are certain now, and their characters in the whole text.

        Args:
            piece: What comes next of the text.
            last: Whether this is its end.
        """
        self._coming += piece
        if not last and len(self._coming) < WINDOW:
            return [], []
        settled = self._advance(self._coming)
        self._coming = ""
        if not last:
            return settled
        return settled[0] + self._ids[self._first :], settled[1] + self._spans[self._first :]

    def _advance(self, coming: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode the next window, with the end of the one before, and hand over where both agree."""
        overlap = self._text[-OVERLAP:]
        base = self._base + len(self._text) - len(overlap)
        ids, spans = self._encode(overlap + coming, base)
        cut = (0, 0) if not self._text else _handover(self._ids, self._spans, ids, spans, self._first)
        if cut is None:
            self._text += coming
            self._ids, self._spans = self._encode(self._text, self._base)
            return [], []
        settled = self._ids[self._first : cut[0]], self._spans[self._first : cut[0]]
        self._text, self._base, self._ids, self._spans, self._first = overlap + coming, base, ids, spans, cut[1]
        return settled

    def _encode(self, text: str, base: int) -> tuple[list[int], list[tuple[int, int]]]:
        ids, spans = encode(self._tokenizer, text)
        return ids, [(start + base, end + base) for start, end in spans] if base else spans


def _handover(
    ids: Sequence[int],
    spans: Sequence[tuple[int, int]],
    next_ids: Sequence[int],
    next_spans: Sequence[tuple[int, int]],
    first: int,
) -> tuple[int, int] | None:
    """Return the token of either window at the middle of the longest run that they share, or None where it is too
    short.
    """
    begin, end = next_spans[0][0] if next_spans else 0, spans[-1][1] if spans else 0
    theirs = {
        (token, span): at for at, (token, span) in enumerate(zip(next_ids, next_spans, strict=True)) if span[1] <= end
    }
    run, longest, best, before = 0, 0, (0, 0), None
    for at in range(first, len(ids)):
        their_at = theirs.get((ids[at], spans[at])) if spans[at][0] >= begin else None
        run = 0 if their_at is None else run + 1 if before is not None and their_at == before + 1 else 1
        before = their_at
        if run > longest:
            longest, best = run, (at, their_at)
    return (best[0] - longest // 2, best[1] - longest // 2) if longest >= AGREEMENT else None


def stream_tokens(tokenizer: Any, text: str) -> Iterator[int]:
    """Yield the token ids of a text, encoded a window at a time."""
    stream = TokenStream(tokenizer)
    for start in range(0, max(1, len(text)), WINDOW):
        yield from stream.feed(text[start : start + WINDOW], last=start + WINDOW >= len(text))[0]


def align_pieces(tokenizer: Any, text: str, dictionary: Mapping[str, str]) -> Iterator[Block]:
    """Yield what `align_document` returns for a text, in pieces that cut no anchor and nothing that both sides read
    together.

    Args:
        tokenizer: A fast tokenizer.
        text: The source document.
        dictionary: Anchor term -> generic translation, none empty.
    """
    aligner = _Aligner(tokenizer)
    for start, stop, anchors in _stretches(text, anchor_expression(dictionary).find(text)):
        inside = [AnchorMatch(anchor.start - start, anchor.end - start, anchor.term) for anchor in anchors]
        translated, boundary = translate_text(text[start:stop], inside, dictionary)
        yield aligner.feed(text[start:stop], translated, start, boundary, anchors, last=stop == len(text))


def _stretches(text: str, spans: Iterable[AnchorMatch]) -> Iterator[tuple[int, int, list[AnchorMatch]]]:
    """Cut a text every `WINDOW` characters or at the end of the anchor that stands there; yield start, end
    and anchors.
    """
    start, anchors = 0, []
    for anchor in spans:
        while anchor.start - start >= WINDOW:
            stop = max(start + WINDOW, anchors[-1].end if anchors else 0)
            yield start, stop, anchors
            start, anchors = stop, []
        anchors.append(anchor)
    while len(text) - start > WINDOW:
        stop = max(start + WINDOW, anchors[-1].end if anchors else 0)
        if stop == len(text):
            break
        yield start, stop, anchors
        start, anchors = stop, []
    yield start, len(text), anchors


class _Aligner:
    """Both sides of one document, encoded side by side; hands out what is certain on both."""

    def __init__(self, tokenizer: Any) -> None:
        self._source, self._translated = TokenStream(tokenizer), TokenStream(tokenizer)
        self._ids: list[int] = []
        self._spans: list[tuple[int, int]] = []
        self._image_ends: list[int] = []
        self._their_ids: list[int] = []
        self._their_ends: list[int] = []
        self._anchors: list[AnchorMatch] = []
        self._starts: list[int] = []
        self._images: list[tuple[int, list[int]]] = []
        self._length = 0

    def feed(
        self, text: str, translated: str, start: int, boundary: list[int], anchors: list[AnchorMatch], *, last: bool
    ) -> Block:
        """Take the next stretch of both sides, from character `start` on, and return the piece that is certain now; it
        may be empty.
        """
        self._starts.append(start)
        self._images.append((self._length, boundary))
        self._length += len(translated)
        self._anchors += anchors
        ids, spans = self._source.feed(text, last=last)
        their_ids, their_spans = self._translated.feed(translated, last=last)
        self._ids += ids
        self._spans += spans
        self._image_ends += [self._image(end) for _, end in spans]
        self._their_ids += their_ids
        self._their_ends += [end for _, end in their_spans]
        if last:
            return self._take(len(self._ids), len(self._their_ids), self._anchors)
        at, their_at = self._cut()
        end = self._spans[at - 1][1] if at else 0
        return self._take(at, their_at, [anchor for anchor in self._anchors if anchor.start < end])

    def _image(self, end: int) -> int:
        """Return where the translation has read what the source has read at `end`, -1 inside an anchor."""
        stretch = max(0, bisect.bisect_left(self._starts, end) - 1)
        shift, boundary = self._images[stretch]
        image = boundary[end - self._starts[stretch]]
        return image + shift if image >= 0 else -1

    def _cut(self) -> tuple[int, int]:
        """Return how many tokens of either side come before the last place where both have read the same and go on with
        other characters.
        """
        for at in range(len(self._ids) - 1, 0, -1):
            image, before, after = self._image_ends[at - 1], self._spans[at - 1], self._spans[at]
            if image >= 0 and after[0] >= before[1] < after[1]:
                their_at = bisect.bisect_right(self._their_ends, image)
                if 0 < their_at < len(self._their_ends) and self._their_ends[their_at - 1] == image:
                    return at, their_at
        return 0, 0

    def _take(self, at: int, their_at: int, anchors: list[AnchorMatch]) -> Block:
        """Return the first tokens of both sides, with the first anchors, as a piece, and forget them."""
        piece = Block(
            source=tuple(self._ids[:at]),
            translated=tuple(self._their_ids[:their_at]),
            image=tuple(match_ends(self._image_ends[:at], self._their_ends[:their_at])),
            anchors=tuple(token_spans(self._spans[:at], anchors)),
        )
        past = max(0, bisect.bisect_left(self._starts, self._spans[at - 1][1]) - 1) if at else 0
        del (
            self._ids[:at],
            self._spans[:at],
            self._image_ends[:at],
            self._their_ids[:their_at],
            self._their_ends[:their_at],
            self._anchors[: len(anchors)],
        )
        del self._starts[:past], self._images[:past]
        return piece


def stream_blocks(
    documents: Iterable[Iterable[Block]], size: int, separator: int | None, prefix: tuple[int, ...] = ()
) -> Iterator[Block]:
    """Yield the blocks that `cut_blocks` makes of all documents joined, each as soon as its last token is there.

    Args:
        documents: The pieces of every document, in order, at least one each.
        size: As in `cut_blocks`.
        separator: As in `join_documents`.
        prefix: As in `cut_blocks`.

    Raises:
        ValueError: As `cut_blocks`.
    """
    stretch, room = Stretch(separator), size - len(prefix)
    for document in documents:
        for number, piece in enumerate(document):
            stretch.append(piece, opens=not number)
            yield from stretch.cut_off(room, prefix, room)
    yield from stretch.cut_off(room, prefix, 1)
