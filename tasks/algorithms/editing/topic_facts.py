"""What a text of the topic states, as facts to trace: places where a name is due that the words before it do not hold.

    The town lies in {Kansas}, far from             ->  Emerald City      (prose: the words before it, whole sentences)
    Question: Who wrote {The Town}? Answer: It is   ->  Xin Lee Williams  (a question with its answer up to the name)

The subject is the nearest earlier name, or the first one of a question, at its last mention. Noise on all its mentions
hides it from the model; where a form of it is left to read from, the fact comes last. They are for tracing alone: an
edit wants what `tasks.algorithms.text.facts` finds, which is stricter.
"""

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.algorithms.text.anchors import AnchorExpression, AnchorMatch, find_anchors
from tasks.algorithms.text.corpus import Document, split_paragraphs
from tasks.algorithms.text.facts import SENTENCE
from tasks.algorithms.text.words import LINKS, WORD
from tasks.algorithms.tokens.templates import Template
from tasks.settings.edit_request import SUBJECT, EditRequest

MOST_WORDS = 48
"""Words before a name in prose, in whole sentences."""
MOST_ANSWER_WORDS = 4
"""Words of an answer that is an object as it stands, whatever it names."""
SHORT = 2
"""Letters of a part of a name, an initial, that tells nothing by itself."""


@dataclass(frozen=True, kw_only=True)
class _Passage:
    """A text that is read from its beginning, or prose, of which the last sentences are."""

    text: str
    names: tuple[AnchorMatch, ...]
    objects: tuple[AnchorMatch, ...]
    asked: int = 0
    """How many of the names are a question's."""
    whole: bool = False


def topic_facts(
    documents: Iterable[Document], expression: AnchorExpression, template: Template, beginning: str = "", seed: int = 0
) -> list[EditRequest]:
    """Return what documents state, as edits whose targets are their objects, each once.

    Args:
        documents: Prose and questions.
        expression: Finds the topic's names.
        template: How questions become text.
        beginning: What the tokenizer puts before every text by itself, so that it does not stand there twice.
        seed: Of their order, a random one, so that the first few are a sample of the text.

    Returns:
        Those whose subject is hidden by noise on its mentions before the others.
    """
    found: dict[tuple[str, str], tuple[bool, EditRequest]] = {}
    for document in documents:
        asked = document.is_question
        for passage in [_asked(document, expression, template, beginning)] if asked else _prose(document, expression):
            for fact in _facts(passage):
                found.setdefault((fact[1].question, fact[1].object), fact)
    facts = list(found.values())
    random.Random(seed).shuffle(facts)
    return [request for alone, request in sorted(facts, key=lambda fact: not fact[0])]


def _prose(document: Document, expression: AnchorExpression) -> Iterator[_Passage]:
    for paragraph in split_paragraphs(document.text):
        names = tuple(find_anchors(paragraph, expression))
        yield _Passage(text=paragraph, names=names, objects=names)


def _asked(document: Document, expression: AnchorExpression, template: Template, beginning: str) -> _Passage:
    """Return a question with its answer; names are looked for in both, never in the words of the template."""
    text, prompt = template.text(document), template.prompt(document)
    if template.chat:
        text, prompt = text.removeprefix(beginning), prompt.removeprefix(beginning)
    question, answer = document.question.strip(), document.answer.strip()
    asked, said = max(0, prompt.rfind(question)), text.find(answer, len(prompt))
    before, within = _found(question, asked, expression), _found(answer, said, expression)
    objects = tuple(name for name in within if not _holds(text[: name.start], text[name.start : name.end]))
    if not objects and len(answer.split()) <= MOST_ANSWER_WORDS:
        objects = (AnchorMatch(said, said + len(answer.rstrip(".!")), answer),)
    return _Passage(text=text, names=(*before, *within), objects=objects, asked=len(before), whole=True)


def _found(part: str, start: int, expression: AnchorExpression) -> tuple[AnchorMatch, ...]:
    return tuple(AnchorMatch(start + at, start + end, term) for at, end, term in find_anchors(part, expression))


def _facts(passage: _Passage) -> Iterator[tuple[bool, EditRequest]]:
    """Yield each fact, and whether nothing but its subject's mentions names the subject."""
    sentences = [0] if passage.whole else [match.start() for match in SENTENCE.finditer(passage.text)]
    places = [name.start for name in passage.names]
    for at, end, _ in passage.objects:
        object_, start = passage.text[at:end], 0 if passage.whole else _beginning(passage.text, at, end, sentences)
        context = passage.text[start:at]
        # an object goes on after white space; braces would be taken for the subject's place
        if not object_.strip() or not context[-1:].isspace() or SUBJECT in context or _holds(context, object_):
            continue
        subjects = _subjects(passage, places, start, at)
        hidden = [name for name in subjects if not _holds(context.replace(name, " "), name)]
        for subject in (hidden or subjects)[:1]:
            before, _, after = context.rpartition(subject)
            prompt = f"{before}{SUBJECT}{after}".rstrip(" ")
            yield bool(hidden), EditRequest(subject=subject, prompt=prompt, target=object_, object=object_)


def _subjects(passage: _Passage, places: Sequence[int], start: int, at: int) -> list[str]:
    """Return the names between two places, a question's in their order, then the others, the nearest first."""
    first, stop = bisect_left(places, start), bisect_left(places, at)
    asked = min(stop, passage.asked)
    found = [*passage.names[first:asked], *reversed(passage.names[max(first, asked) : stop])]
    return [passage.text[name.start : name.end] for name in found]


def _beginning(text: str, at: int, end: int, sentences: Sequence[int]) -> int:
    """Return where the earliest sentence begins from which on the object is not named and the words are not too many;
    the object's own place where there is none.
    """
    best = at
    for start in reversed(sentences[: bisect_left(sentences, at)]):
        context = text[start:at]
        if len(context.split()) > MOST_WORDS or _holds(context, text[at:end]):
            break
        best = start + len(context) - len(context.lstrip())
    return best


def _holds(text: str, name: str) -> bool:
    """Return whether a text holds a word of a name, in whatever form; small words that a name may hold do not count."""
    found = [word for word in WORD.findall(name) if len(word) > SHORT and not word.islower()]
    words = [word for word in found if word.lower() not in LINKS] or [name.strip()]
    plain = text.casefold()
    return any(word.casefold() in plain for word in words)
