"""Documents as rows of a batch: a question with its answer, or a window of prose, one a row.

Objectives that weigh whole sequences (NPO, DPO) and those that average within a sequence first (SCRUB) must not see two
questions in one row, as packed blocks have them. Of a question only the answer is supervised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.pairs import differing_spans, touched
from tasks.algorithms.tokens.alignment import encode, encode_prefixed, prefix_ids
from tasks.algorithms.tokens.packing import pack_tokens
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.tokens.text_blocks import TextBlock, text_blocks


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one split."""

    rows: tuple[TextBlock, ...]
    truncated: int = 0
    """Questions that were cut on the left, or texts of pairs on the right, since the context is too small for them."""


def token_rows(documents: Sequence[Document], tokenizer: Any, template: Template, size: int) -> Rows:
    """Return documents as rows of at most `size` tokens, in their order; rows without a supervised prediction are left
    out.

    Args:
        documents: Prose and questions.
        tokenizer: A fast tokenizer.
        template: How questions are asked.
        size: Tokens of a row, >= 2.
    """
    rows, truncated = [], 0
    for document in documents:
        if document.is_question:
            row, cut = question_row(document, tokenizer, template, size)
            rows.append(row)
            truncated += cut
        else:
            windows = pack_tokens([encode(tokenizer, document.text)[0]], size, None, prefix_ids(tokenizer))
            rows += [TextBlock(ids=ids, supervised=(True,) * len(ids)) for ids in windows]
    return Rows(rows=tuple(row for row in rows if any(row.supervised[:-1])), truncated=truncated)


def question_row(document: Document, tokenizer: Any, template: Template, size: int) -> tuple[TextBlock, bool]:
    """Return a question with its answer and what closes it, only those two supervised, and whether it was cut on the
    left.
    """
    text, prompt = template.text(document), template.prompt(document) + (template.gap or "")
    prefix, ids, offsets = encode_prefixed(tokenizer, text, conversation=template.chat)
    cut = max(0, len(prefix) + len(ids) - size)
    answered = [False] * len(prefix) + [end > len(prompt) for _, end in offsets[cut:]]
    return TextBlock(ids=(*prefix, *ids[cut:]), supervised=(*answered[1:], False)), cut > 0


def packed_rows(
    documents: Sequence[Document], tokenizer: Any, template: Template, size: int, separator: int | None
) -> Rows:
    """Return documents packed into blocks, where every token may count alike: fewer rows, none of them short."""
    blocks = text_blocks(documents, tokenizer, template, size, separator)
    return Rows(rows=tuple(block for block in blocks if any(block.supervised[:-1])))


def answered_with(documents: Sequence[Document], answers: Sequence[str]) -> list[Document]:
    """Return the questions among documents with other answers, which come round in turn.

    Args:
        documents: Prose and questions; prose has no prompt that could be answered, and is left out.
        answers: Such as refusals; at least one.
    """
    questions = [document for document in documents if document.is_question]
    return [replace(document, answer=answers[number % len(answers)]) for number, document in enumerate(questions)]


def paired_rows(pairs: Sequence[tuple[Document, Document]], tokenizer: Any, size: int) -> tuple[Rows, Rows]:
    """Return aligned texts as rows of which only the tokens count in which a pair differs: row i of one side belongs to
    row i of the other.

    Args:
        pairs: Of a text to be forgotten and one to be kept.
        tokenizer: A fast tokenizer.
        size: Tokens of a row; the end of a longer text is cut off.

    Raises:
        ValueError: If a record is a question, or if no pair differs in a token that both sides keep.
    """
    question_source = next((document.source for pair in pairs for document in pair if document.is_question), None)
    if question_source:
        raise ValueError(f"{question_source} is a question; wanted pairs of texts")
    whole = [differing_blocks(first.text, second.text, tokenizer) for first, second in pairs]
    truncated = [sum(len(pair[side].ids) > size for pair in whole) for side in (0, 1)]
    first, second = (
        tuple(TextBlock(ids=pair[side].ids[:size], supervised=pair[side].supervised[:size]) for pair in whole)
        for side in (0, 1)
    )
    if not all(any(any(block.supervised[:-1]) for block in side) for side in (first, second)):
        raise ValueError("no pair differs; wanted forget and retain texts that differ in a word before their last")
    return Rows(rows=first, truncated=truncated[0]), Rows(rows=second, truncated=truncated[1])


def differing_blocks(first: str, second: str, tokenizer: Any) -> tuple[TextBlock, TextBlock]:
    """Return two aligned texts as sequences of which only differing tokens are supervised.

    Args:
        first: A text, such as one to be forgotten.
        second: The text aligned with it.
        tokenizer: A fast tokenizer; the special tokens that it puts before a text come first, and do not count.

    Returns:
        Both sequences, the first text's first.
    """
    prefix, blocks = prefix_ids(tokenizer), []
    for text, spans in zip((first, second), differing_spans(first, second), strict=True):
        ids, offsets = encode(tokenizer, text)
        supervised = (False,) * len(prefix) + touched(offsets, spans)
        blocks.append(TextBlock(ids=(*prefix, *ids), supervised=supervised))
    return blocks[0], blocks[1]
