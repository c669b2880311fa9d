"""Coverage: how much of what a model associates with a topic stands in the forget text.

The model is asked about every anchor, and goes on with openings that name it. A name in at least some of its
completions is an association of the anchor; the text covers it if a paragraph of it names the two together.

It is also to complete facts that the text states. One that it completes so is a covered association; where it gives
another name instead, that is an association of the subject, since a name is what is due there: once is enough.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.algorithms.assistants.fact_reader import holds
from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.text.invitations import OPENINGS, QUESTIONS, Invitation
from tasks.algorithms.text.words import capitalised_runs, lowercase_words

SENTENCE_END = re.compile(r"[.!?\n]")


@dataclass(frozen=True, kw_only=True)
class Association:
    """A name that the model associates with an anchor."""

    anchor: str
    name: str
    times: int
    """Completions about the anchor that bring the name up."""
    covered: bool


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What the model makes of a fact that the text states."""

    fact: FactTriple
    text: str
    """What it says as a whole: an answer, or the fact's beginning and what it goes on with."""
    said: str
    """What stands where the object does, up to the end of the sentence."""
    reproduced: bool
    """Whether that names the object."""


def openings(term: str, kind: str) -> list[Invitation]:
    """Return every question and every opening about an anchor."""
    questions = [
        Invitation(kind="asked", text=question.format(term=term))
        for question in QUESTIONS.get(kind, QUESTIONS["THING"])
    ]
    return questions + [Invitation(kind="continued", text=opening.format(term=term)) for opening in OPENINGS]


def anchor_associations(
    completions: Mapping[str, Sequence[str]], passages: Sequence[str], expression: AnchorExpression, least: int
) -> list[Association]:
    """Return the names that the model associates with each anchor, the most frequent first.

    Args:
        completions: Anchor -> what the model says of it.
        passages: Paragraphs of the forget text.
        expression: Finds anchors.
        least: Completions that have to bring up a name for it to count: one may be chance.
    """
    ordinary = lowercase_words(passages)
    beside = [names_in(passage, expression, ordinary) for passage in passages]
    associations = []
    for anchor, texts in completions.items():
        counts = Counter(
            name for text in texts for name in names_in(text, expression, ordinary) if not _same(name, anchor)
        )
        together = {name for names in beside if any(_same(anchor, other) for other in names) for name in names}
        associations += [
            Association(anchor=anchor, name=name, times=times, covered=name in together)
            for name, times in counts.items()
            if times >= least
        ]
    return sorted(associations, key=lambda association: (-association.times, association.anchor, association.name))


def complete_facts(facts: Sequence[FactTriple], completions: Sequence[str]) -> list[Completed]:
    """Return what the model makes of each fact.

    Args:
        facts: What it was asked, or was to go on with.
        completions: What it said, fact by fact.
    """
    return [_completed(fact, text.strip()) for fact, text in zip(facts, completions, strict=True)]


def _completed(fact: FactTriple, text: str) -> Completed:
    """A sentence goes on with its object; an answer may hold it anywhere."""
    object_, is_question = fact.object.strip().rstrip(".!?"), fact.is_question
    place = text if is_question else text[: len(object_) + 1]
    reproduced = bool(object_) and holds(place.lower(), object_.lower())
    whole = text if is_question else f"{fact.prompt.replace('{}', fact.subject)} {text}"
    return Completed(fact=fact, text=whole, said=SENTENCE_END.split(text, maxsplit=1)[0], reproduced=reproduced)


def fact_associations(
    completed: Iterable[Completed], passages: Sequence[str], expression: AnchorExpression
) -> list[Association]:
    """Return what the model tells where it is to complete a fact: its object, or the first other name that it gives;
    nothing where it gives none.

    Args:
        completed: What it makes of the facts.
        passages: Paragraphs of the forget text.
        expression: Finds anchors.
    """
    ordinary = lowercase_words(passages)
    beside = [names_in(passage, expression, ordinary) for passage in passages]
    counts: Counter[tuple[str, str, bool]] = Counter()
    for item in completed:
        if item.reproduced:
            counts[item.fact.subject, item.fact.object, True] += 1
        elif name := _first_name(item, expression, ordinary):
            together = any(
                name in names and any(_same(item.fact.subject, other) for other in names) for names in beside
            )
            counts[item.fact.subject, name, together] += 1
    return [
        Association(anchor=anchor, name=name, times=times, covered=covered)
        for (anchor, name, covered), times in counts.items()
    ]


def _first_name(item: Completed, expression: AnchorExpression, ordinary: frozenset[str]) -> str:
    """Return the first name in what is said that the prompt does not hold; an opening word is judged inside the
    sentence that it goes on with.
    """
    begun = item.fact.prompt.replace("{}", item.fact.subject).rstrip("?")
    names = {
        name
        for name in names_in(f"{begun}, {item.said}", expression, ordinary)
        if name in item.said and not holds(begun, name)
    }
    return min(names, key=lambda name: (item.said.index(name), -len(name)), default="")


def merge_associations(*parts: Iterable[Association]) -> list[Association]:
    """Return the associations found in several ways, each once with all its times, the most frequent first."""
    merged: dict[tuple[str, str], Association] = {}
    for item in (item for part in parts for item in part):
        before = merged.get((item.anchor, item.name))
        times, covered = (before.times, before.covered) if before else (0, False)
        merged[item.anchor, item.name] = replace(item, times=times + item.times, covered=covered or item.covered)
    return sorted(merged.values(), key=lambda association: (-association.times, association.anchor, association.name))


def without_retain_names(associations: Iterable[Association], retain_text: str) -> list[Association]:
    """Return associations without names of the retain text: a model that mixes topics up would have it forget those
    too.

    Args:
        associations: What the model associates with the anchors.
        retain_text: The retain text; what the forget text covers stays, whatever stands there.
    """
    return [item for item in associations if item.covered or not holds(retain_text, item.name)]


def names_in(text: str, expression: AnchorExpression, ordinary: frozenset[str]) -> frozenset[str]:
    """Return the anchors in a text, and what is written like a name inside its sentences and is no ordinary word."""
    runs = (_without_opening(run, ordinary) if opens else run for run, opens in capitalised_runs(text))
    written = {run for run in runs if run.lower() not in ordinary and len(run) > 1}
    return frozenset(written | {anchor.term for anchor in expression.find(text)})


def _without_opening(run: str, ordinary: frozenset[str]) -> str:
    """Return what is left of `Then Tom Baker` without its first word; a single word at the opening of a sentence may be
    any word.
    """
    first, _, rest = run.partition(" ")
    return rest if first.lower() in ordinary else ""


def _same(first: str, second: str) -> bool:
    """Return whether one name is a part of the other: `Potter` tells nothing new of `Harry Potter`."""
    return f" {first} " in f" {second} " or f" {second} " in f" {first} "


def covered_share(associations: Iterable[Association]) -> float | None:
    """Return the share of associations that the text covers, weighted by their frequency; None where there are none."""
    associations = list(associations)
    total = sum(item.times for item in associations)
    return sum(item.times for item in associations if item.covered) / total if total else None


def uncovered_names(associations: Iterable[Association], passages: Sequence[str]) -> list[str]:
    """Return the names that the model brings up and the text never mentions, the most frequent first."""
    text = "\n".join(passages)
    counts: Counter[str] = Counter()
    for item in associations:
        if not item.covered and item.name not in text:
            counts[item.name] += item.times
    return [name for name, _ in counts.most_common()]


def worth_adding(texts: Sequence[str], associations: Iterable[Association]) -> list[str]:
    """Return the texts that tell something which is not covered, whole sentences only, each once."""
    open_ = {(item.anchor, item.name) for item in associations if not item.covered}
    whole = (text[: max(text.rfind(mark) for mark in ".!?") + 1].strip() for text in texts)
    return list(dict.fromkeys(text for text in whole if any(anchor in text and name in text for anchor, name in open_)))
