"""Facts that a text states become edits: each gets a new object.

*Another* object is one that the text has elsewhere and that fits: in the same prompt, after the same words, or of the
same kind; never one that the text states of this subject too. Where there is none, and for *generic* edits, the
object's names are translated as the dictionary has them. An *erased* object becomes a word that says nothing; an erased
answer, a refusal.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tasks.algorithms.text.anchors import anchor_expression, find_anchors
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.tokens.alignment import translate_text
from tasks.algorithms.tokens.templates import Template
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import SUBJECT, EditRequest, Statement


def propose_targets(
    facts: Sequence[FactTriple],
    config: EditProposalConfig,
    dictionary: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> list[str]:
    """Return a new object for each fact, empty where there is none that fits.

    Args:
        facts: What the text states.
        config: How new objects are found.
        dictionary: Anchor term -> generic translation.
        kinds: Anchor term -> kind of what it names.

    Returns:
        As many as there are facts. The draw for a fact does not depend on the order of the others.
    """
    if config.new_object == "erased":
        return list(_erased(facts, config))
    generic = _translator(dictionary or {})
    if config.new_object == "generic":
        return [generic(fact) for fact in facts]
    another = _finder(facts, kinds or {}, config.seed)
    return [another(fact) or generic(fact) for fact in facts]


def from_facts(facts: Sequence[FactTriple], targets: Sequence[str], most: int | None = None) -> list[EditRequest]:
    """Return an edit for each fact that has a new object; of several facts with one prompt the first.

    Args:
        facts: What the text states.
        targets: The new object of each; empty: none.
        most: Edits at most, evenly spaced; None: all.

    Raises:
        ValueError: If there are not as many of both.
    """
    edits: dict[str, EditRequest] = {}
    for fact, target in zip(facts, targets, strict=True):
        if target.strip() and _plain(target) != _plain(fact.object):
            edit = EditRequest(
                subject=fact.subject, prompt=fact.prompt.rstrip(" "), target=target.strip(), object=fact.object.strip()
            )
            edits.setdefault(_plain(edit.question), edit)
    return spaced(list(edits.values()), len(edits) if most is None else most)


def as_asked(fact: FactTriple, template: Template, beginning: str = "") -> FactTriple:
    """Return a fact as its model is asked for it: a question with the words of the template around it.

    Args:
        fact: A question, or the beginning of a sentence, which stays as it is.
        template: How questions become text.
        beginning: What the tokenizer puts before every text by itself, so that it does not stand there twice.
    """
    if not fact.is_question:
        return fact
    asked = template.prompt(Document(source="", question=fact.prompt, answer=fact.object))
    return replace(fact, prompt=asked.removeprefix(beginning) if template.chat else asked)


def with_kept(requests: Sequence[EditRequest], kept: Sequence[Statement], most: int) -> list[EditRequest]:
    """Return the requests with what is to stay beside them, dealt out evenly: each names other statements.

    Args:
        requests: Edits.
        kept: Facts that are about something else.
        most: How many of them at most, evenly spaced.
    """
    chosen = spaced(list(dict.fromkeys(kept)), most)
    return [
        replace(request, unrelated=(*request.unrelated, *chosen[place :: len(requests)]))
        for place, request in enumerate(requests)
    ]


def erased_object(prompt: str, place: int, config: EditProposalConfig) -> str:
    """Return what takes an object's place after a prompt, or an answer's after a question; each word has its turn."""
    words = config.refusals if prompt.rstrip().endswith("?") else config.erased
    return words[place % len(words)]


def _erased(facts: Iterable[FactTriple], config: EditProposalConfig) -> Iterator[str]:
    for place, fact in enumerate(facts):
        yield erased_object("?" if fact.is_question else fact.prompt, place, config)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _translator(dictionary: Mapping[str, str]) -> Callable[[FactTriple], str]:
    """Return what translates a fact's object; empty where the dictionary holds nothing of it."""
    expression = anchor_expression(dictionary) if dictionary else None

    def translate(fact: FactTriple) -> str:
        names = find_anchors(fact.object, expression) if expression else []
        # an answer that names its subject still does
        names = [name for name in names if _plain(fact.object[name.start : name.end]) != _plain(fact.subject)]
        return translate_text(fact.object, names, dictionary)[0] if names else ""

    return translate


def _finder(facts: Sequence[FactTriple], kinds: Mapping[str, str], seed: int) -> Callable[[FactTriple], str]:
    """Return what finds another object for a fact; empty where none fits."""
    of_kind = {_plain(term): kind for term, kind in kinds.items()}
    seen: dict[tuple[str, str], dict[str, FactTriple]] = defaultdict(dict)
    stated: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        stated[_question(fact)].add(_plain(fact.object))
        for place in _places(fact, of_kind):
            seen[place].setdefault(_plain(fact.object), fact)

    def find(fact: FactTriple) -> str:
        excluded = stated[_question(fact)] | {_plain(fact.subject), _plain(fact.object)}
        for place in _places(fact, of_kind):
            objects = {_transferred(other, fact, of_kind) for other in seen[place].values()}
            if fitting := sorted(object_ for object_ in objects if _plain(object_) not in excluded):
                return random.Random(f"{seed} {_question(fact)}").choice(fitting)
        return ""

    return find


def _question(fact: FactTriple) -> str:
    return _plain(fact.prompt.replace(SUBJECT, fact.subject))


def _places(fact: FactTriple, kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what facts have in common whose objects may change places, the closest first: the prompt, the words between
    subject and object, the kind of a name. A sentence takes the place of an answer to its own question alone.
    """
    yield "question" if fact.is_question else "prompt", _plain(fact.prompt)
    tail = _plain(fact.prompt.partition(SUBJECT)[2])
    if tail and not fact.is_question:
        yield "words", tail
    if kind := kinds.get(_plain(fact.object)):
        yield "kind", kind


def _transferred(other: FactTriple, fact: FactTriple, kinds: Mapping[str, str]) -> str:
    """Return the other's object; an answer of several words that names its own subject names ours instead."""
    sentence = other.is_question and _plain(other.object) not in kinds
    return other.object.replace(other.subject, fact.subject) if sentence else other.object
