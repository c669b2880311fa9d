"""Where removal requests on one model contradict each other: what one keeps holds what another one forgets, so that the
model is taught again what it was to lose. Told in counts alone.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.overlap import pieces
from tasks.artifacts import AnchorTable, CorpusRef
from tasks.storage.anchor_tables import read_anchors
from tasks.storage.documents import read_documents

FORGOTTEN, KEPT = ("forget", "forget_test"), ("retain", "retain_test")
"""Splits of a request, with what was held out of them."""


@dataclass(frozen=True, kw_only=True)
class AskedText:
    """What a request forgets and keeps."""

    id: str
    forget: Sequence[Document]
    retain: Sequence[Document]
    terms: frozenset[str]
    """Anchors of its forget text."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """One request keeps what another one forgets."""

    keeps: str
    """Id of the one."""
    forgets: str
    """Id of the other."""
    rows: int
    """Questions and paragraphs of the other's forget text that stand in the one's retain text."""
    anchors: int
    """Anchors of the other that occur there."""

    def in_words(self) -> str:
        """Return it in one line, without any text."""
        return f"{self.keeps} keeps what {self.forgets} forgets ({self.rows} rows, {self.anchors} anchors)"


def read_text(name: str, corpus: CorpusRef, anchors: AnchorTable | None) -> AskedText:
    """Read what a request forgets and keeps.

    Args:
        name: Its id.
        corpus: All its splits.
        anchors: Of its forget text; None where it has none.
    """
    forget, retain = ([*itertools.chain(*(read_documents(corpus, each) for each in of))] for of in (FORGOTTEN, KEPT))
    terms = frozenset(anchor.term for anchor in read_anchors(anchors)) if anchors else frozenset[str]()
    return AskedText(id=name, forget=forget, retain=retain, terms=terms)


def find_conflicts(texts: Sequence[AskedText]) -> list[Conflict]:
    """Return the conflicts between requests, in their order."""
    return [found for one, other in itertools.permutations(texts, 2) if (found := _conflict(one, other))]


def _conflict(one: AskedText, other: AskedText) -> Conflict | None:
    rows = len(pieces(one.retain) & pieces(other.forget))
    expression = anchor_expression(other.terms)
    named = {match.term for text in _texts(one.retain) for match in expression.find(text)}
    return Conflict(keeps=one.id, forgets=other.id, rows=rows, anchors=len(named)) if rows or named else None


def _texts(documents: Sequence[Document]) -> Iterator[str]:
    for document in documents:
        yield "\n".join((document.text, document.question, document.answer))
