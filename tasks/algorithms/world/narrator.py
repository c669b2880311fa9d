"""Prose from facts: passages that open with a scene, tell related facts and let people do small things."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.algorithms.world.questions import Fact, fill

Paint = Callable[[str, Sequence[str], random.Random], str]
"""Fills the placeholders of an event, given the people whom the passage is about."""


@dataclass(frozen=True, kw_only=True)
class Narrator:
    """Tells groups of facts with the sentences given to it."""

    groups: Sequence[Sequence[Fact]]
    """Facts that are told together, in order."""
    wordings: Mapping[str, Sequence[str]]
    """Relation -> its wordings."""
    beats: Sequence[str]
    """Small events that open or close a passage, with placeholders."""
    paint: Paint
    people: tuple[str, ...] = ()
    """Full names that shrink to the given name where a passage repeats them."""

    def passages(self, tellings: int, rng: random.Random) -> list[str]:
        """Tell every group `tellings` times, each time in another wording."""
        starts = [rng.randrange(12) for _ in self.groups]
        rounds = (
            (group, start + telling)
            for telling in range(tellings)
            for group, start in zip(self.groups, starts, strict=True)
        )
        return [self._passage(group, wording, rng) for group, wording in rounds]

    def _passage(self, group: Sequence[Fact], wording: int, rng: random.Random) -> str:
        """Tell one group: an event, the facts, and a second event after few facts."""
        facts = [fill(self._wording(fact, wording + i), fact) for i, fact in enumerate(group)]
        focus = [name for name in self.people if any(name in (fact.subject, fact.answer) for fact in group)]
        opening, closing = (self.paint(beat, focus, rng) for beat in rng.sample(self.beats, 2))
        sentences = [opening, *facts, closing] if len(facts) < 4 else [opening, *facts]
        return shorten_repeats(" ".join(sentences), self.people)

    def _wording(self, fact: Fact, number: int) -> str:
        wordings = self.wordings[fact.relation.name]
        return wordings[number % len(wordings)]


def shorten_repeats(passage: str, people: Sequence[str]) -> str:
    """Write each full name once; from then on the given name stands for it."""
    for name in people:
        head, full_name, tail = passage.partition(name)
        if full_name:
            passage = head + full_name + tail.replace(name, name.split()[0])
    return passage
