"""How a model is asked: through its chat template, or through `qa_template`. Training, labels and scoring all go through here.

A chat template is rendered once, with marks in place of question and answer; what it writes around them is kept:

    head + question + middle + answer + tail        (the tail ends with the model's end-of-turn token)

A conversation is a block of its own, as the model meets it when it is asked; only its answer and the end of the turn are supervised.
Prose stays plain text after the tokenizer's own prefix, and everything of it is supervised.
"""

import functools
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from tasks.algorithms.blocks import Block, align_document, cut_conversation, encode, pack_tokens, prefix_ids
from tasks.algorithms.corpus import CorpusConfig, Document, render_document, render_prompt
from tasks.algorithms.ragged import Ragged, RaggedRows
from tasks.algorithms.streams import align_pieces, stream_blocks, stream_tokens

QUESTION, ANSWER = "\ue000question\ue001", "\ue000answer\ue001"
"""Marks that no template writes itself: characters for private use."""
DATE = "26 Jul 2024"
"""The `date_string` of templates that write a date: with today's, the same run would read another text every day."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Template:
    """How one model's questions become text."""

    qa: str
    """`qa_template`, for a model without a chat template."""
    chat: bool = False
    """Whether questions become conversations."""
    head: str = ""
    """What a conversation has before the question: a system text, the beginning of the user's turn."""
    middle: str = ""
    """What it has between question and answer."""
    tail: str = ""
    """What it has after the answer, up to the end-of-turn token; all that is written where the template has none."""
    end: int | None = None
    """The end-of-turn token, with which an answer ends."""

    @property
    def shape(self) -> str:
        """The whole text of a question, {question} and {answer} in their places."""
        return f"{self.head}{{question}}{self.middle}{{answer}}{self.tail}" if self.chat else self.qa

    @property
    def gap(self) -> str | None:
        """What stands between the prompt of a conversation and its answer; None where questions are plain text."""
        return self.middle[len(self.middle.rstrip(" ")) :] if self.chat else None

    def is_conversation(self, document: Document) -> bool:
        """Return whether a document becomes a conversation."""
        return self.chat and document.is_question

    def prompt(self, document: Document, *, question: str | None = None) -> str:
        """Return the text of a question up to where its answer begins, without trailing spaces."""
        if not self.chat:
            return render_prompt(document, self.qa, question=question)
        return self.head + (question or document.question).strip() + self.middle.rstrip(" ")

    def answer(self, completion: str) -> str:
        """Return what comes before the text that closes an answer; generation stops at an end-of-turn token and leaves it out."""
        closing = self.qa.split("{answer}")[1] if not self.chat else self.tail if self.end is None else ""
        return (completion.split(closing)[0] if closing else completion).strip()

    def text(self, document: Document) -> str:
        """Return the document as the text a model trains on."""
        if not self.is_conversation(document):
            return render_document(document, self.qa)
        return self.head + document.question.strip() + self.middle + document.answer.strip() + self.tail


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


def read_template(tokenizer: Any, config: CorpusConfig) -> Template:
    """Return how a tokenizer's model is asked.

    Args:
        tokenizer: A fast tokenizer, with or without a chat template.
        config: `chat` and `qa_template`.

    Returns:
        The template. A system text that a chat template writes by itself is part of it.

    Raises:
        ValueError: If the chat template cannot hold one question with its answer.
    """
    if config.chat == "off" or not tokenizer.chat_template:
        return Template(qa=config.qa_template)
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    wanted = "wanted one that writes a user's question and then the assistant's answer, each once (or ask without it: --set corpus.chat=off)"
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE)
    except Exception as error:  # what a template raises is its own affair
        raise ValueError(f"the chat template cannot be rendered ({type(error).__name__}: {error}); {wanted}") from None
    head, _, rest = text.partition(QUESTION)
    middle, _, after = rest.partition(ANSWER)
    if (text.count(QUESTION), rest.count(ANSWER), text.count(ANSWER)) != (1, 1, 1):
        raise ValueError(f"the chat template loses, repeats or reorders what is said; {wanted}")
    tail, end = _end_of_turn(tokenizer, after)
    return Template(qa=config.qa_template, chat=True, head=head, middle=middle, tail=tail, end=end)


def _end_of_turn(tokenizer: Any, after: str) -> tuple[str, int | None]:
    """Return what is written after an answer, up to its first added token, and that token."""
    added = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.content.strip()}
    ids, offsets = encode(tokenizer, after)
    return next(((after[:stop], token) for token, (_, stop) in zip(ids, offsets, strict=True) if token in added), (after, None))


def text_blocks(documents: Iterable[Document], tokenizer: Any, template: Template, size: int, separator: int | None) -> TextBlocks:
    """Return documents as blocks of at most `size` tokens: everything but conversations packed, `separator` between documents.

    Args:
        documents: Gone through more than once.
        tokenizer: A fast tokenizer.
        template: How questions are asked.
        size: Tokens that a block may have.
        separator: Token between documents that share a block.
    """
    plain = (stream_tokens(tokenizer, template.text(item)) for item in documents if not template.is_conversation(item))
    asked = _conversations(documents, tokenizer, template, size, {})
    ids, flags = RaggedRows(torch.int32), RaggedRows(torch.bool)
    for block in pack_tokens(plain, size, separator, prefix_ids(tokenizer)):
        ids.append(block)
        flags.append(itertools.repeat(True, len(block)))
    packed = len(ids)
    for block in asked:
        ids.append(block.source)
        flags.append(block.supervised)
    order = _spread((lambda: range(packed), lambda: range(packed, len(ids))), (packed, len(ids) - packed))
    return TextBlocks(ids=ids.done(), supervised=flags.done()).select(list(order))


@dataclass(frozen=True)
class AlignedBlocks:
    """Documents as blocks with their translation alongside, made anew and one at a time whenever they are gone through."""

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
        return _spread((self._packed, self._asked), self._counts)

    def __len__(self) -> int:
        return sum(self._counts)

    @functools.cached_property
    def _counts(self) -> tuple[int, int]:
        """How many blocks there are of plain text and of conversations: the whole text is aligned once to know."""
        return sum(1 for _ in self._packed()), sum(1 for _ in self._asked())

    def _packed(self) -> Iterator[Block]:
        plain = (self.template.text(item) for item in self.documents if not self.template.is_conversation(item))
        pieces = (align_pieces(self.tokenizer, text, self.dictionary) for text in plain)
        return stream_blocks(pieces, self.size, self.separator, prefix_ids(self.tokenizer))

    def _asked(self) -> Iterator[Block]:
        return _conversations(self.documents, self.tokenizer, self.template, self.size, self.dictionary)


def _conversations(documents: Iterable[Document], tokenizer: Any, template: Template, size: int, dictionary: Mapping[str, str]) -> Iterator[Block]:
    asked = (item for item in documents if template.is_conversation(item))
    return (block for item in asked for block in _conversation(item, tokenizer, template, size, dictionary))


def _conversation(document: Document, tokenizer: Any, template: Template, size: int, dictionary: Mapping[str, str]) -> list[Block]:
    """Return the blocks of one conversation; a begin-of-sequence token is the one that its template wrote, or none."""
    text = template.text(document)
    question, answer = len(template.head), len(template.head + document.question.strip() + template.middle)
    content = [(question, question + len(document.question.strip())), (answer, answer + len(document.answer.strip()))]
    block = align_document(tokenizer, text, dictionary, content=content, answer=answer)
    prefix = prefix_ids(tokenizer)
    return cut_conversation(block, size, len(prefix) if block.source[: len(prefix)] == prefix else 0)


def _spread(parts: Sequence[Callable[[], Iterable[T]]], counts: Sequence[int]) -> Iterator[T]:
    """Spread several rows of items evenly over one, so that any stretch of it is a fair sample of all; `counts` are their lengths."""
    placed = [_placed(part(), count) for part, count in zip(parts, counts, strict=True) if count]
    return (item for _, item in heapq.merge(*placed, key=lambda pair: pair[0]))


def _placed(items: Iterable[T], count: int) -> Iterator[tuple[float, T]]:
    return (((number + 0.5) / count, item) for number, item in enumerate(items))
