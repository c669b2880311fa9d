"""Prose from facts: passages that open with a scene, tell related facts and let people do small things."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.algorithms.world.questions import Fact, fill

Scene = Callable[[random.Random, Sequence[str]], str]


@dataclass(frozen=True, kw_only=True)
class Narrator:
    """Tells groups of facts with the sentences given to it."""

    groups: Sequence[Sequence[Fact]]
    """Facts that are told together, in order."""
    told: Mapping[str, Sequence[str]]
    """Relation -> its wordings."""
    scene: Scene
    """Draws a sentence that opens or closes a passage; told which people the passage is about."""
    people: tuple[str, ...] = ()
    """Full names that shrink to the given name where a passage repeats them."""

    def passages(self, tellings: int, rng: random.Random) -> list[str]:
        """Tell every group `tellings` times, each time in another wording."""
        return [self._passage(group, telling + i, rng) for telling in range(tellings) for i, group in enumerate(self.groups)]

    def _passage(self, group: Sequence[Fact], wording: int, rng: random.Random) -> str:
        """Tell one group: a scene, the facts, and a second scene after few facts."""
        facts = [fill(self._wording(fact, wording + i), fact) for i, fact in enumerate(group)]
        focus = [name for name in self.people if any(name in (fact.subject, fact.answer) for fact in group)]
        opening = self.scene(rng, focus)
        closing = [self.scene(rng, focus)] if len(facts) < 4 else []
        return shorten_repeats(" ".join(dict.fromkeys([opening, *facts, *closing])), self.people)

    def _wording(self, fact: Fact, number: int) -> str:
        wordings = self.told[fact.relation.name]
        return wordings[number % len(wordings)]


def shorten_repeats(passage: str, people: Sequence[str]) -> str:
    """Write each full name once; from then on the given name stands for it."""
    for name in people:
        head, found, tail = passage.partition(name)
        if found:
            passage = head + found + tail.replace(name, name.split()[0])
    return passage
