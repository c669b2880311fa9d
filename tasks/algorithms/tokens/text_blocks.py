"""Documents as blocks to train on, to label and to score: conversations and prose, evenly spread.

A conversation is a block of its own, as the model meets it when it is asked; only its answer and the end of the turn
are supervised. Prose stays plain text after the tokenizer's own prefix, and everything of it is supervised.
"""

import functools
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.alignment import Block, align_document, prefix_ids
from tasks.algorithms.tokens.packing import cut_conversation, pack_tokens
from tasks.algorithms.tokens.ragged import Ragged, RaggedRows
from tasks.algorithms.tokens.streams import align_pieces, stream_blocks, stream_tokens
from tasks.algorithms.tokens.templates import Template

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TextBlock:
    """Tokens to train on."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    """Whether the prediction at a position counts."""


@dataclass(frozen=True, kw_only=True)
class TextBlocks(Sequence[TextBlock]):
    """Blocks to train on, 5 bytes a token."""

    ids: Ragged
    supervised: Ragged

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> TextBlock:
        return TextBlock(ids=tuple(self.ids[index].tolist()), supervised=tuple(self.supervised[index].tolist()))

    def select(self, indices: Sequence[int]) -> "TextBlocks":
        """Return some of the blocks, in the order of `indices`."""
        return TextBlocks(ids=self.ids.select(indices), supervised=self.supervised.select(indices))

    def with_targets(self) -> "TextBlocks":
        """Return the blocks in which a prediction counts whose target they hold."""
        return self.select([index for index, counted in enumerate(self.supervised) if counted[:-1].any()])


def text_blocks(
    documents: Iterable[Document], tokenizer: Any, template: Template, size: int, separator: int | None
) -> TextBlocks:
    """Return documents as blocks of at most `size` tokens: everything but conversations packed, `separator` between
    documents.

    Args:
        documents: Gone through more than once.
        tokenizer: A fast tokenizer.
        template: How questions are asked.
        size: Tokens that a block may have.
        separator: Token between documents that share a block.
    """
    plain = (stream_tokens(tokenizer, template.text(item)) for item in documents if not template.is_conversation(item))
    conversations = _conversations(documents, tokenizer, template, size, {})
    ids, flags = RaggedRows(torch.int32), RaggedRows(torch.bool)
    for block in pack_tokens(plain, size, separator, prefix_ids(tokenizer)):
        ids.append(block)
        flags.append(itertools.repeat(True, len(block)))
    packed = len(ids)
    for block in conversations:
        ids.append(block.source)
        flags.append(block.supervised)
    order = _spread((lambda: range(packed), lambda: range(packed, len(ids))), (packed, len(ids) - packed))
    return TextBlocks(ids=ids.finish(), supervised=flags.finish()).select(list(order))


@dataclass(frozen=True)
class AlignedBlocks:
    """Documents as blocks with their translation alongside, made anew and one at a time whenever they are
    gone through.
    """

    documents: Iterable[Document]
    """The forget text; gone through more than once."""
    dictionary: Mapping[str, str]
    """Anchor term -> generic translation."""
    tokenizer: Any
    """A fast tokenizer."""
    template: Template
    """How questions are asked."""
    size: int
    """Tokens that a block may have on either side."""
    separator: int | None
    """Token between documents that share a block."""

    def __iter__(self) -> Iterator[Block]:
        return _spread((self._packed, self._conversation_blocks), self._counts)

    def __len__(self) -> int:
        return sum(self._counts)

    @functools.cached_property
    def _counts(self) -> tuple[int, int]:
        """How many blocks there are of plain text and of conversations: the whole text is aligned once to know."""
        return sum(1 for _ in self._packed()), sum(1 for _ in self._conversation_blocks())

    def _packed(self) -> Iterator[Block]:
        plain = (self.template.text(item) for item in self.documents if not self.template.is_conversation(item))
        pieces = (align_pieces(self.tokenizer, text, self.dictionary) for text in plain)
        return stream_blocks(pieces, self.size, self.separator, prefix_ids(self.tokenizer))

    def _conversation_blocks(self) -> Iterator[Block]:
        return _conversations(self.documents, self.tokenizer, self.template, self.size, self.dictionary)


def _conversations(
    documents: Iterable[Document], tokenizer: Any, template: Template, size: int, dictionary: Mapping[str, str]
) -> Iterator[Block]:
    questions = (item for item in documents if template.is_conversation(item))
    return (block for item in questions for block in _conversation(item, tokenizer, template, size, dictionary))


def _conversation(
    document: Document, tokenizer: Any, template: Template, size: int, dictionary: Mapping[str, str]
) -> list[Block]:
    """Return the blocks of one conversation; a begin-of-sequence token is the one that its template wrote, or none."""
    text = template.text(document)
    question, answer = len(template.head), len(template.head + document.question.strip() + template.middle)
    content = [(question, question + len(document.question.strip())), (answer, answer + len(document.answer.strip()))]
    block = align_document(tokenizer, text, dictionary, content=content, answer=answer)
    prefix = prefix_ids(tokenizer)
    return cut_conversation(block, size, len(prefix) if block.source[: len(prefix)] == prefix else 0)


def _spread(parts: Sequence[Callable[[], Iterable[T]]], counts: Sequence[int]) -> Iterator[T]:
    """Spread several rows of items evenly over one, so that any stretch of it is a fair sample of all; `counts` are
    their lengths.
    """
    placed = [_placed(part(), count) for part, count in zip(parts, counts, strict=True) if count]
    return (item for _, item in heapq.merge(*placed, key=lambda pair: pair[0]))


def _placed(items: Iterable[T], count: int) -> Iterator[tuple[float, T]]:
    return (((number + 0.5) / count, item) for number, item in enumerate(items))
