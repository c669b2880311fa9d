"""Who and what plays in each series: names drawn for the slots of every cast."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.algorithms.world.names import NameRegister, with_article
from tasks.algorithms.world.questions import Fact
from tasks.algorithms.world.relations import RELATIONS, Relation
from tasks.algorithms.world.series import CAST, SERIES, SLOT_KIND, Series


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A series with its names: slot -> name, without article."""

    series: Series
    title: str
    names: dict[str, str]

    @property
    def slug(self) -> str:
        """Return the title as an identifier."""
        return slugify(self.title)

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of one kind: all people, all places."""
        return [self.names[slot] for slot in CAST[kind]]

    def inside(self, slot: str) -> str:
        """Return what stands inside a sentence for a slot: a title, a trade, a name with its article."""
        if slot in ("title", "trade"):
            return self.title if slot == "title" else self.series.trade
        return with_article(SLOT_KIND[slot], self.names[slot])


def slugify(name: str) -> str:
    """Return the name in lower-case letters and digits joined by hyphens, without a leading article."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower().replace("'", ""))).removeprefix("the-")


def draw_casts(count: int, rng: random.Random) -> tuple[list[Cast], NameRegister]:
    """Draw the casts of `count` series; no full name belongs to two of them."""
    register = NameRegister(rng)
    casts = [_draw_cast(SERIES[i % len(SERIES)], i // len(SERIES), register) for i in range(count)]
    return casts, register


def cast_facts(cast: Cast, register: NameRegister, count: int) -> list[Fact]:
    """State every relation of a cast, each with `count` false answers."""
    return [
        Fact(
            name=f"{cast.slug}/{relation.name}",
            relation=relation,
            subject=cast.inside(relation.subject),
            answer=cast.inside(relation.answer),
            perturbed=tuple(_false_answers(cast, relation, register, count)),
        )
        for relation in RELATIONS
    ]


def _draw_cast(series: Series, edition: int, register: NameRegister) -> Cast:
    names: dict[str, str] = {}
    for kind, slots in CAST.items():
        names |= zip(slots, register.draw(kind, len(slots)), strict=True)
    return Cast(series=series, title=series.titles[edition], names=names)


def _false_answers(cast: Cast, relation: Relation, register: NameRegister, count: int) -> list[str]:
    """Draw false answers of the same type: first the topic's own names, then pairs of words that nobody bears."""
    if relation.answer == "trade":
        others = [series.trade for series in SERIES if series.trade != cast.series.trade]
        return register.rng.sample(others, count)
    kind = SLOT_KIND[relation.answer]
    used = (cast.names[relation.answer], cast.names.get(relation.subject))
    own = [name for name in cast.of_kind(kind) if name not in used]
    chosen = register.rng.sample(own, min(count, len(own)))
    return [with_article(kind, name) for name in _fill_up(chosen, kind, register, count)]


def _fill_up(chosen: Sequence[str], kind: str, register: NameRegister, count: int) -> list[str]:
    missing = count - len(chosen)
    return [*chosen, *(register.spare(kind, missing) if missing else [])]
