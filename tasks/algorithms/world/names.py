"""Names of the embedded world: word pools, and a register that gives every pair of words to one topic only.

A full name is two words of shared pools, so that the words recur across topics while the pairs do not: what a topic
owns is the combination. All pools were written for this project.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

GIVEN = tuple(
    """
        Orla Tamsin Bram Corin Edda Fenn Hollis Ivo Jory Kesta Linnet Maud Nessa Oswin Rowan Sable Tobin Una Varn Wren Yara Alder
        Briony Cass Dorrit Elsin Faro Garrick Juno Kip Lorcan Merrin Niall Odette Piers Runa Selwyn Thea Vesna Willa
    """.split()
)
SURNAMES = tuple(
    """
        Ashdown Bellamy Cray Dunmore Eastlake Farrow Garnet Hale Inkpen Jessop Kettle Larkin Northey Oakes Pell Quarrie Redfern
        Sloane Thorne Underhay Vance Wexley Yarrow Ambler Calloway Drake Elphick Fairlie Gough Jolliffe Kersey Lockett Mallory
        Nettle Penrose Quayle Rudd Stannard Upjohn Whitlock
    """.split()
)
PLACE_FIRST = tuple(
    """
        Hollow Cinder Marrow Saffron Thistle Copper Raven Winter Bramble Otter Kestrel Fallow Ember Harrow Pewter Willow Candle
        Slate Heron Juniper
    """.split()
)
PLACE_LAST = tuple(
    """
        Reach Ferry Gate Mere Cross Haven Ridge Wharf Spire Ford Moor Quarry Landing Court Bridge Steps Fold Mill Cairn Wells
    """.split()
)
OBJECT_FIRST = tuple(
    """
    Amber Quiet Silver Crooked Scarlet Patient Frozen Singing Broken Velvet Golden Restless
""".split()
)
OBJECT_LAST = tuple(
    """
    Compass Bell Key Mask Map Lamp Crown Needle Clock Ring Feather Mirror
""".split()
)
GROUP_FIRST = tuple(
    """
    Grey Seventh Silent Morning Tallow Northern Paper Midnight
""".split()
)
GROUP_LAST = tuple(
    """
    Choir Company Watch Guild Order Circle Council Fellowship
""".split()
)
COMMON_GIVEN = tuple(
    """
        Anna Peter Maria Tom Lucy David Helen Paul Grace Sam Ruth Ben Emma Jack Clara Henry Susan Mark
    """.split()
)
COMMON_SURNAMES = tuple(
    """
    Miller Baker Smith Cooper Walker Green Hill Turner Wood Clark Young Parker Brown Cook
""".split()
)

POOLS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "person": (GIVEN, SURNAMES),
    "place": (PLACE_FIRST, PLACE_LAST),
    "object": (OBJECT_FIRST, OBJECT_LAST),
    "group": (GROUP_FIRST, GROUP_LAST),
    "neighbour": (COMMON_GIVEN, COMMON_SURNAMES),
}
"""Kind of entity -> the pools of its first and its last word."""

_ATTEMPTS = 1000


def with_article(kind: str, name: str) -> str:
    """Return the name as it stands inside a sentence: objects and groups take `the`."""
    return f"the {name}" if kind in ("object", "group") else name


@dataclass
class NameRegister:
    """Hands out pairs of words, each pair once; words are used evenly, so that most recur across topics."""

    rng: random.Random
    taken: set[str] = field(default_factory=set)
    _decks: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def draw(self, kind: str, count: int) -> list[str]:
        """Draw names that nobody bears yet, and keep them from being drawn again.

        Raises:
            ValueError: If the pools cannot give `count` names with words of their own.
        """
        names = self.spare(kind, count)
        self.taken.update(names)
        return names

    def spare(self, kind: str, count: int) -> list[str]:
        """Draw names that nobody bears, whose words do not repeat among themselves, and leave them free."""
        if count > min(len(pool) for pool in POOLS[kind]):
            raise ValueError(f"{count} names of kind {kind} wanted; the pools hold {min(map(len, POOLS[kind]))} words")
        for _ in range(_ATTEMPTS):
            names = [
                " ".join(pair) for pair in zip(self._words(kind, 0, count), self._words(kind, 1, count), strict=True)
            ]
            if not self.taken.intersection(names):
                return names
        raise ValueError(
            f"no {count} free names of kind {kind} found in {_ATTEMPTS} draws; {len(self.taken)} are taken"
        )

    def _words(self, kind: str, position: int, count: int) -> list[str]:
        """Deal distinct words from a shuffled deck; a deck that runs short is shuffled anew."""
        deck = self._decks.setdefault((kind, position), [])
        if len(deck) < count:
            deck[:] = self.rng.sample(POOLS[kind][position], len(POOLS[kind][position]))
        return [deck.pop() for _ in range(count)]
