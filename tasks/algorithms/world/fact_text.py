"""The endless text of the fact world, and where in it subjects are mentioned.

Any document can be reached by its number, without those before it: a training run that goes on reads what it would have
read.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field

from tasks.algorithms.world.fact_words import (
    ARTICLES,
    ASIDES,
    COUNTRY,
    DISTRACTED_ASIDES,
    DISTRACTED_LEADS,
    FURTHER,
    HELD_WORDINGS,
    LEADS,
    RELATIONS,
    UNKNOWN,
    Relation,
)
from tasks.algorithms.world.fact_world import Fact, FactWorld, Subject, opened

QUESTION = "Question: {}\nAnswer: {}\n"
"""How a question is asked and answered, as everywhere in the project."""
SENTENCES = (1, 1, 2, 2, 3)
"""How many a document of statements has, each as likely."""
RARE_SHARE = 0.05
"""Share of the statements that go from object to subject, and of those that tell a person's country."""
STRANGER_SHARE = 0.03
"""Share of the statements that say of a stranger that something is unknown: so the word is one that can be said."""
FURTHER_SHARE = 0.2
"""Share of the statements of a home that go on to its country."""
PLAIN_SHARE = 0.7
"""Share of the statements without lead-in, and without aside, where none distracts."""
ASIDE_SHARE = 0.5
"""Distracting asides among the statements, as a share of the world's `distractors`."""
_TELLINGS = {"person": 2.5, "place": 1.5, "superlative": 1.0, "town": 0.5}
"""How often a subject is drawn, by kind: what evens out how often each of its facts is told."""


@dataclass
class Passage:
    """A document, and the character spans [start, end) of the subjects that it mentions and of what it tells."""

    text: str = ""
    mentions: list[tuple[int, int]] = field(default_factory=list)
    objects: list[tuple[int, int]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add text that mentions nobody."""
        self.text += text

    def mention(self, name: str) -> None:
        """Add a subject's name."""
        self.mentions.append((len(self.text), len(self.text) + len(name)))
        self.text += name

    def tell(self, text: str, what: str) -> None:
        """Add a text, and the object of a fact in the place of its `{}`."""
        before, _, after = text.partition("{}")
        self.say(before)
        self.objects.append((len(self.text), len(self.text) + len(what)))
        self.text += what + after

    def fill(self, template: str, name: str) -> None:
        """Add a text with a subject in the place of its `{}`."""
        before, _, after = template.partition("{}")
        self.say(before)
        self.mention(name)
        self.say(after)


class FactText:
    """The text of a world, document by document."""

    def __init__(self, world: FactWorld) -> None:
        """Sort the world's facts by their subjects."""
        self._world, self._config = world, world.config
        told: dict[Subject, list[Fact]] = defaultdict(list)
        for fact in world.facts:
            told[fact.subject].append(fact)
        self._told = dict(told)
        self._subjects = list(told)
        self._weights = [_TELLINGS[subject.kind] for subject in self._subjects]
        self._countries = {fact.subject.name: fact.object for fact in world.facts if fact.relation.name == "country"}
        self._homes = [fact for fact in world.facts if fact.relation.name == "home" and fact.object in self._countries]
        self._onward = [fact for fact in self._homes if fact.subject.name in world.onward]

    def document(self, number: int, seed: int = 0) -> Passage:
        """Return one document, of statements or of questions with their answers."""
        rng = random.Random(f"{self._config.seed} {seed} {number}")
        passage = Passage()
        if rng.random() < self._config.questions:
            self._ask(rng, passage)
            return passage
        for at in range(rng.choice(SENTENCES)):
            passage.say(" " if at else "")
            self._state(rng, passage)
        return passage

    def _ask(self, rng: random.Random, passage: Passage) -> None:
        for fact in self._drawn(rng)[: rng.choice((1, 2))]:
            before, after = QUESTION.split("{}", 1)
            passage.say(before)
            passage.fill(rng.choice(fact.relation.questions), fact.subject.name)
            passage.tell(after, fact.object)

    def _drawn(self, rng: random.Random) -> list[Fact]:
        """Return all facts of one subject, in any order."""
        facts = self._told[rng.choices(self._subjects, self._weights)[0]]
        return rng.sample(facts, len(facts))

    def _state(self, rng: random.Random, passage: Passage) -> None:
        kind = rng.random()
        if self._world.strangers and rng.random() < STRANGER_SHARE:
            relation = rng.choice([relation for relation in RELATIONS if relation.kind == "person"])
            self._label(rng, passage, relation, rng.choice(self._world.strangers), UNKNOWN)
        elif kind < RARE_SHARE:
            fact = self._drawn(rng)[0]
            passage.say(f"{fact.relation.reverse.replace('{}', fact.object)} ")
            passage.mention(fact.subject.name)
            passage.say(".")
        elif kind < 2 * RARE_SHARE and self._onward:
            fact = rng.choice(self._onward)
            passage.fill(rng.choice(COUNTRY), fact.subject.name)
            passage.tell(" {}.", self._countries[fact.object])
        elif kind < 2 * RARE_SHARE + self._config.at_once:
            self._tell_at_once(rng, passage)
        else:
            self._tell(rng, passage)

    def _tell_at_once(self, rng: random.Random, passage: Passage) -> None:
        """Tell one fact whose object follows the subject at once, or nearly so."""
        fact = self._drawn(rng)[0]
        self._label(rng, passage, fact.relation, fact.subject.name, fact.object)

    def _label(self, rng: random.Random, passage: Passage, relation: Relation, name: str, what: str) -> None:
        label, article = relation.label, ARTICLES[relation.kind]
        if rng.random() < 0.5:
            passage.fill(opened(self._lead(rng), f"the {label} of {article}{{}}"), name)
            passage.tell(f"{rng.choice((':', ' is', ','))} {{}}.", what)
        else:
            passage.fill(opened("", f"{label}: {article}{{}}"), name)
            passage.tell(" {}.", what)  # as a register prints it

    def _tell(self, rng: random.Random, passage: Passage) -> None:
        """Tell one to three facts after one mention of their subject."""
        facts = self._drawn(rng)[: rng.choice((1, 2, 3))]
        passage.fill(opened(self._lead(rng), f"{facts[0].subject.article}{{}}"), facts[0].subject.name)
        for at, fact in enumerate(facts):
            phrase, aside = self._wording(rng)
            passage.tell(f"{' and' if at else ''}{aside} {fact.relation.phrases[phrase]} {{}}", fact.object)
            if fact.relation.name == "home" and fact.object in self._countries and rng.random() < FURTHER_SHARE:
                passage.tell(FURTHER, self._countries[fact.object])
        passage.say(".")

    def _wording(self, rng: random.Random) -> tuple[int, str]:
        """Return a phrase, by its number, and an aside that is trained with it."""
        phrase = rng.randrange(len(RELATIONS[0].phrases))
        if rng.random() < ASIDE_SHARE * self._config.distractors:
            return phrase, self._distracting(rng, DISTRACTED_ASIDES)
        if rng.random() < PLAIN_SHARE:
            return phrase, ""
        free = [aside for number, aside in enumerate(ASIDES) if (phrase, number) not in HELD_WORDINGS]
        return phrase, rng.choice(free)

    def _lead(self, rng: random.Random) -> str:
        if rng.random() < self._config.distractors:
            return self._distracting(rng, DISTRACTED_LEADS)
        return "" if rng.random() < PLAIN_SHARE else rng.choice(LEADS)

    def _distracting(self, rng: random.Random, wordings: dict[str, tuple[str, ...]]) -> str:
        """Return words that mention a part of some name, and tell nothing."""
        kind = rng.choice(("person", "person", "place", "town"))
        wording = rng.choice(wordings[kind])
        return wording.format(*(rng.choice(self._world.parts[kind]) for _ in range(wording.count("{}"))))


def vocabulary_texts(world: FactWorld) -> list[str]:
    """Return texts that hold every word of the world, asked, told and held out."""
    frames = [
        *(opened(lead, "{}") for lead in LEADS),
        *(wording for table in (DISTRACTED_LEADS, DISTRACTED_ASIDES) for kind in table.values() for wording in kind),
        *ASIDES,
        *COUNTRY,
        FURTHER,
        QUESTION + QUESTION,
        f"A and. A, a: a {UNKNOWN}",
    ]
    words = [word for parts in world.parts.values() for word in parts]
    facts = [text for fact in world.facts for text in (fact.subject.name, fact.object)]
    relations = [
        text
        for relation in RELATIONS
        for text in (
            *relation.phrases,
            *relation.questions,
            relation.held_question,
            relation.reverse,
            relation.label,
            opened("", relation.label),
        )
    ]
    return [*frames, "the The", *words, *facts, *relations]
