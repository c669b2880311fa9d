"""Text in, documents out: cleaning, question templates, and the cut between what is fitted and what is tested.

A *document* is a run of prose or one question with its answers. Everything here works on characters;
tokens come later, in `blocks`.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.settings.text import CorpusConfig

_PARAGRAPH = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_CUTS = (
    _PARAGRAPH,
    re.compile(
        r"[.!?][\"'\u201d\u2019)]*\s+|[\u3002\uff01\uff1f\u0964\u17d4\u104b][\"'\u201d\u2019)\u300d\u300f\uff09]*\s*"
    ),
    re.compile(r"\s+"),
)
"""Where long text is cut: at a paragraph's end, else a sentence's, else a word's."""
_GUTENBERG_START = re.compile(
    r"^[^\S\n]*\*\*\*\s*START OF (?:THE|THIS) PROJECT GUTENBERG.*$", re.MULTILINE | re.IGNORECASE
)
_GUTENBERG_END = re.compile(
    r"^[^\S\n]*(?:\*\*\*\s*END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the )?Project Gutenberg).*$",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """One record of a split: prose (`text`), or a question with its answers."""

    source: str
    """Where it came from: the file's name, for messages and clustering."""
    text: str = ""
    """Prose; empty for a question."""
    question: str = ""
    answer: str = ""
    paraphrased_question: str = ""
    paraphrased_answer: str = ""
    perturbed_answer: tuple[str, ...] = ()
    """False answers of the same type as the true one."""
    fact: str = ""
    """Name of the fact asked for; intervals are clustered by it. Empty: the document is its own cluster. Texts of a
    pair share theirs."""

    @property
    def is_question(self) -> bool:
        """Whether this is a question rather than prose."""
        return bool(self.question)


def clean_text(text: str, config: CorpusConfig) -> str:
    """Return `text` without what belongs to the file rather than to the work (every rule has a switch in `config`)."""
    if config.normalise:
        text = unicodedata.normalize("NFC", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    if config.strip_gutenberg:
        text = _without_gutenberg_frame(text)
    paragraphs = split_paragraphs(text)
    if config.join_lines:
        paragraphs = [" ".join(paragraph.split()) for paragraph in paragraphs]
    return "\n\n".join(paragraphs)


def _without_gutenberg_frame(text: str) -> str:
    start = _GUTENBERG_START.search(text)
    text = text[start.end() :] if start else text
    end = _GUTENBERG_END.search(text)
    return text[: end.start()] if end else text


def split_paragraphs(text: str) -> list[str]:
    """Return the paragraphs of `text` (blank lines between them), stripped, none empty."""
    return [paragraph.strip() for paragraph in _PARAGRAPH.split(text) if paragraph.strip()]


def text_stretches(text: str, size: int = 50_000) -> Iterator[str]:
    """Yield `text` in consecutive stretches of at least `size` characters (the last may be shorter), cut between
    paragraphs where that is near.
    """
    start = 0
    while start < len(text):
        cuts = (expression.search(text, start + size, start + 2 * size) for expression in _CUTS)
        end = next((cut.end() for cut in cuts if cut), start + 2 * size)
        yield text[start:end]
        start = end


def render_prompt(document: Document, template: str, *, question: str | None = None) -> str:
    """Return the text of a question up to where its answer begins, without trailing white space."""
    head = template.split("{answer}")[0]
    return head.replace("{question}", question or document.question).rstrip(" ")


def render_document(document: Document, template: str) -> str:
    """Return the document as the text a model trains on."""
    if not document.is_question:
        return document.text
    return re.sub(r"\{(question|answer)\}", lambda field: getattr(document, field[1]), template)


def hold_out(documents: list[Document], share: float) -> tuple[list[Document], list[Document]]:
    """Cut the last `share` of one file's documents off, by paragraph for prose and by fact for questions.

    Args:
        documents: All documents of one file, in order; prose is one document, questions are many.
        share: Share of the characters to hold out, 0 to 0.5.

    Returns:
        What stages may fit on, and what no stage sees. The first is never empty; the second is empty at `share` 0 or
        where there is a single paragraph.
    """
    units = _units(documents)
    sizes = [sum(len(piece.text) + len(piece.question) + len(piece.answer) for piece in unit) for unit in units]
    boundary, budget = len(units), share * sum(sizes)
    while boundary > 1 and sizes[boundary - 1] <= budget:
        boundary -= 1
        budget -= sizes[boundary]
    fitted_pieces, held_out_pieces = (
        [piece for unit in part for piece in unit] for part in (units[:boundary], units[boundary:])
    )
    return _join_prose(fitted_pieces), _join_prose(held_out_pieces)


def _units(documents: list[Document]) -> list[list[Document]]:
    """What must not be torn apart: a paragraph, or all questions that ask for one fact."""
    units: dict[str | int, list[Document]] = {}
    for number, piece in enumerate(piece for document in documents for piece in _pieces(document)):
        units.setdefault(piece.fact if piece.is_question and piece.fact else number, []).append(piece)
    return list(units.values())


def _pieces(document: Document) -> list[Document]:
    if document.is_question:
        return [document]
    return [dataclasses.replace(document, text=paragraph) for paragraph in split_paragraphs(document.text)]


def _join_prose(pieces: list[Document]) -> list[Document]:
    questions = [piece for piece in pieces if piece.is_question]
    prose: dict[tuple[str, str], list[str]] = {}
    for piece in pieces:
        if not piece.is_question:
            prose.setdefault((piece.source, piece.fact), []).append(piece.text)
    return [
        Document(source=source, fact=fact, text="\n\n".join(texts)) for (source, fact), texts in prose.items()
    ] + questions
