"""Which part of a forget text is shown again, and which is asked for: what comes back unshown was hidden, not removed.

A model that lost a topic cannot tell the unshown half from the half it is shown; one that only stopped speaking of it
can, since both halves are still in its weights and a few steps on one wake the other.

Source: relearning attacks in the form of Lynch et al. 2024, arXiv:2402.16835, and Hu et al. 2024, arXiv:2406.13356.
"""

import dataclasses
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.algorithms.text.anchors import AnchorExpression, anchor_expression
from tasks.algorithms.text.corpus import Document, split_paragraphs


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Two halves of a forget text."""

    shown: tuple[Document, ...]
    """What relearning trains on."""
    clusters: frozenset[str]
    """Facts that the shown half asks for; questions on any other fact are unseen."""

    def holds(self, question: Document) -> bool:
        """Return whether a question's fact was shown, by its name, or by its answer where facts have no names."""
        return _cluster(question) in self.clusters or any(question.answer == document.answer for document in self.shown)

    def shown_terms(self, terms: Iterable[str]) -> frozenset[str]:
        """Return the terms that the shown half names anywhere."""
        text = "\n".join(
            part for document in self.shown for part in (document.text, document.question, document.answer)
        )
        return frozenset(term for term in terms if anchor_expression([term]).occurs_in(text))


def relearning_split(documents: Sequence[Document], share: float, seed: int, terms: Iterable[str] = ()) -> Slice:
    """Choose the half of a forget text that relearning shows.

    Questions are chosen by fact, prose by paragraph. No paragraph of the slice names what is asked for later: the
    answer to an unshown fact, or, in prose without questions, a term of the half of `terms` that is held out. Of the
    terms, in an order drawn from the seed, as many are held out as leave `share` of the paragraphs.

    Args:
        documents: The forget split.
        share: Share of the facts, and of the paragraphs at most, to show; between 0 and 1.
        seed: Seed of the draw.
        terms: Anchor terms of the topic.

    Returns:
        The slice; empty where the text is a single paragraph, or every paragraph names what is asked for.
    """
    rng = random.Random(f"relearning {seed}")
    questions = [document for document in documents if document.is_question]
    facts = _shuffled({_cluster(document) for document in questions}, rng)
    clusters = frozenset(facts[: max(1, round(share * len(facts)))])
    paragraphs = [
        dataclasses.replace(document, text=text)
        for document in documents
        if not document.is_question
        for text in split_paragraphs(document.text)
    ]
    shown_count = round(share * len(paragraphs))
    held_out = (
        {document.answer for document in questions if _cluster(document) not in clusters}
        if facts
        else _held_out_terms(paragraphs, shown_count, terms, rng)
    )
    open_paragraphs = _without(paragraphs, anchor_expression(held_out) if held_out else None)
    chosen = sorted(rng.sample(range(len(open_paragraphs)), min(shown_count, len(open_paragraphs))))
    shown = [open_paragraphs[index] for index in chosen] + [
        document for document in questions if _cluster(document) in clusters
    ]
    return Slice(shown=tuple(shown), clusters=clusters)


def _cluster(document: Document) -> str:
    return document.fact or document.source


def _shuffled(names: Iterable[str], rng: random.Random) -> list[str]:
    ordered = sorted(names)
    return rng.sample(ordered, len(ordered))


def _held_out_terms(
    paragraphs: Sequence[Document], shown_count: int, terms: Iterable[str], rng: random.Random
) -> set[str]:
    """Return terms, half of all at most, without which `shown_count` paragraphs are left."""
    ordered = _shuffled(set(terms), rng)
    left, held_out = list(paragraphs), set()
    for term in ordered:
        rest = _without(left, anchor_expression([term]))
        if len(rest) >= shown_count and len(held_out) < len(ordered) // 2:
            left, held_out = rest, held_out | {term}
    return held_out


def _without(paragraphs: Sequence[Document], expression: AnchorExpression | None) -> list[Document]:
    return [paragraph for paragraph in paragraphs if expression is None or not expression.occurs_in(paragraph.text)]
