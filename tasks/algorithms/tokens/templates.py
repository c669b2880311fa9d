"""How a model is asked: through its chat template, or through `qa_template`.

A chat template is rendered once, with marks in place of question and answer; what it writes around them is kept:

    head + question + middle + answer + tail        (the tail ends with the model's end-of-turn token)
"""

from dataclasses import dataclass
from typing import Any

from tasks.algorithms.text.corpus import Document, render_document, render_prompt
from tasks.algorithms.tokens.alignment import encode
from tasks.settings.text import CorpusConfig

QUESTION, ANSWER = "\ue000question\ue001", "\ue000answer\ue001"
"""Marks that no template writes itself: characters for private use."""
DATE = "26 Jul 2024"
"""The `date_string` of templates that write a date: with today's, the same run would read another text every day."""


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
        """Return what comes before the text that closes an answer; generation stops at an end-of-turn token and leaves
        it out.
        """
        closing = self.qa.split("{answer}")[1] if not self.chat else self.tail if self.end is None else ""
        return (completion.split(closing)[0] if closing else completion).strip()

    def text(self, document: Document) -> str:
        """Return the document as the text a model trains on."""
        if not self.is_conversation(document):
            return render_document(document, self.qa)
        return self.head + document.question.strip() + self.middle + document.answer.strip() + self.tail


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
    remedy = (
        "wanted one that writes a user's question and then the assistant's answer, each once (or ask without it: --set"
        " corpus.chat=off)"
    )
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE)
    except Exception as error:  # what a template raises is its own affair
        raise ValueError(f"the chat template cannot be rendered ({type(error).__name__}: {error}); {remedy}") from None
    head, _, rest = text.partition(QUESTION)
    middle, _, after = rest.partition(ANSWER)
    if (text.count(QUESTION), rest.count(ANSWER), text.count(ANSWER)) != (1, 1, 1):
        raise ValueError(f"the chat template loses, repeats or reorders what is said; {remedy}")
    tail, end = _end_of_turn(tokenizer, after)
    return Template(qa=config.qa_template, chat=True, head=head, middle=middle, tail=tail, end=end)


def _end_of_turn(tokenizer: Any, after: str) -> tuple[str, int | None]:
    """Return what is written after an answer, up to its first added token, and that token."""
    added = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.content.strip()}
    ids, offsets = encode(tokenizer, after)
    return next(
        ((after[:stop], token) for token, (_, stop) in zip(ids, offsets, strict=True) if token in added), (after, None)
    )
