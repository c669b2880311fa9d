"""Generic translations for anchor terms, without a language model: `Harry Potter` -> `Jon Baker`.

A translation is built word by word from pools of ordinary words, so that all surface forms of one name agree
(`Harry Potter`, `Harry`, `Potter`), keeps the kind of word (a given name for a given name, a plural for a plural),
never repeats an anchor word, and never uses one generic word for two anchor words.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.algorithms.text.anchors import Anchor
from tasks.algorithms.text.words import WORD

LINKS = frozenset({"of", "the", "de", "la", "von", "van", "and", "in", "on", "at", "a"})
COUNTERPARTS: Mapping[str, str] = dict(
    pair.split(":")
    for pair in """
        king:duke queen:lady prince:lord princess:maid lord:master lady:mistress witch:widow wizard:doctor witches:widows
        wizards:doctors captain:leader professor:teacher aunt:cousin uncle:cousin city:town town:village village:town castle:manor
        palace:manor house:home hall:room tower:wall forest:wood wood:grove river:stream lake:pond sea:lake ocean:sea
        mountain:hill mountains:hills hill:rise island:shore land:country kingdom:country valley:field bridge:road street:road
        road:lane gate:door gates:doors school:college college:school stone:rock ring:band sword:knife cup:bowl goblet:chalice
        crown:hat lamp:candle lantern:candle book:paper map:chart key:handle bell:horn ship:boat boat:ship clock:watch
        mirror:window order:club guild:club company:club war:quarrel battle:quarrel north:far south:near east:left west:right
        great:large good:kind wicked:angry golden:yellow silver:white emerald:green black:dark white:pale red:brown iron:wooden
        monkey:dog monkeys:dogs lion:horse shoes:boots cap:hat harbour:port market:fair garden:yard inn:house mill:farm cove:bay
        bay:cove point:end
    """.split()
)
"""Ordinary words that have a plain counterpart of the same kind."""
GIVEN_NAMES = """
    John Mary Tom Anna William Jane George Alice James Emma Robert Sarah Henry Kate Peter Lucy Richard Helen Charles Ruth Edward
    Clara Frank Martha Arthur Laura Walter Ellen Albert Grace David Julia Samuel Rose Daniel Nancy Joseph Susan Michael Edith
    Andrew Agnes Stephen Margaret Philip Rachel Hugh Judith Martin Irene Simon Frances Leo Nora Oscar Paula Victor Sylvia Ralph
    Teresa Roger Vera Paul Wanda Neil Yvonne Mark Dora Luke Elsie Carl Hilda Ben Flora Adam Greta Joel Ivy Karl Jean Otto Lena
""".split()
SURNAMES = """
    Smith Brown Baker Miller Cooper Taylor Clark Turner Parker Carter Wright Walker Hill Green Wood Hall White Young Allen King
    Scott Adams Nelson Cook Morris Rogers Reed Bailey Bell Cox Ward Gray Watson Brooks Price Bennett Ross Barnes Fisher Foster
    Hunt Palmer Porter Webb Stone Knight Lane Perry Warren Dixon Hart Burns Gibson Hudson Mason Austin Bishop Fuller Newton
    Chapman Fletcher Gardner Harper Marsh Barker Norris Osborne Sutton Thornton Weaver Whitaker Potts Salter Dyer Tanner Sawyer
""".split()
PLACES = """
    Newton Milton Upton Ashford Weston Norton Sutton Easton Burton Hinton Langley Bradley Stanton Preston Denton Marlow Ripley
    Witney Thornbury Haddon Kelby Oakham Lindale Farley Hadley Morley Barton Clifton Walton Melton Hatton Carlton Layton Bolton
""".split()
NOUNS = """
    Table Chair Basket Kettle Bottle Blanket Ladder Hammer Bucket Wagon Letter Ticket Button Jacket Pillow Mirror Pencil Saucer
    Farmer Sailor Tailor Butcher Painter Porter Soldier Servant Driver Hunter Goose Horse Donkey Rabbit Pigeon Sparrow Cottage
    Kitchen Stable Cellar Parlour Corner Shelf Cupboard Carpet Curtain Needle Barrel Hedge Orchard Meadow Fence Path Pocket
""".split()
PLURALS = """
    Neighbours Villagers Farmers Sailors Workers Visitors Strangers Traders Hunters Servants Guests Cousins Players Singers
    Walkers Drivers Painters Boxes Baskets Bottles Ladders Buckets Letters Jackets Pigeons Rabbits Horses Fields Hedges Fences
""".split()
MODIFIERS = """
    Old Little Quiet Long Plain Tall Narrow Simple Common Gentle Heavy Broad Small Slow Brown Grey Wooden Round Empty Early Second
    Upper Lower Middle Outer Inner Open Dry Cold Warm Short Steady Honest Busy Humble Modest
""".split()


@dataclass(frozen=True, kw_only=True)
class Translation:
    """The generic stand-in of one anchor."""

    term: str
    generic: str
    translator: str
    """Who proposed it: `user`, `offline`, or a language model's name."""


def translate_offline(
    anchors: Iterable[Anchor], ordinary: frozenset[str], *, fixed: Iterable[Translation] = (), seed: int = 0
) -> list[Translation]:
    """Give every anchor a generic translation.

    Args:
        anchors: The terms, the most frequent first; the first to use a word decides its translation.
        ordinary: Words that the texts use in lower case too; they become ordinary words, all others become names.
        fixed: Translations that a user or another translator has settled; they are kept as they are.
        seed: Order of the pools.

    Returns:
        One translation an anchor, in the given order.
    """
    anchors, settled = list(anchors), {item.term: item for item in fixed}
    # a plural names it too
    reserved = {
        word.lower() + ending for anchor in anchors for word in WORD.findall(anchor.term) for ending in ("", "s", "es")
    }
    reserved |= {word.lower() for item in settled.values() for word in WORD.findall(item.generic)}
    pools = _Pools(reserved, random.Random(seed))
    for anchor in anchors:
        if anchor.term in settled:
            pools.adopt(anchor.term, settled[anchor.term].generic)
    return [
        settled.get(anchor.term)
        or Translation(term=anchor.term, generic=_translate(anchor, ordinary, pools), translator="offline")
        for anchor in anchors
    ]


def _translate(anchor: Anchor, ordinary: frozenset[str], pools: "_Pools") -> str:
    words = list(WORD.finditer(anchor.term))
    pieces, end = [], 0
    for index, match in enumerate(words):
        pieces.append(anchor.term[end : match.start()])
        word, last = match.group(), index == len(words) - 1
        pieces.append(
            word if word in LINKS else pools.word(word, _role(anchor, word, ordinary, first=index == 0, last=last))
        )
        end = match.end()
    return "".join([*pieces, anchor.term[end:]])


def _role(anchor: Anchor, word: str, ordinary: frozenset[str], *, first: bool, last: bool) -> str:
    if word.lower() in ordinary:
        if not last:
            return "modifier"
        return "plural" if word.endswith("s") and not word.endswith("ss") else "noun"
    if anchor.kind == "PLACE":
        return "place"
    if anchor.kind == "GROUP" or (anchor.kind == "THING" and word.endswith("s") and not first):
        return "plural"
    return "given" if first else "surname"


class _Pools:
    """Unused generic words by role, and what each anchor word has been given."""

    def __init__(self, reserved: set[str], order: random.Random) -> None:
        roles = {
            "given": GIVEN_NAMES,
            "surname": SURNAMES,
            "place": PLACES,
            "noun": NOUNS,
            "plural": PLURALS,
            "modifier": MODIFIERS,
        }
        self._replacements: dict[str, str] = {}
        self._reserved, self._used = frozenset(reserved), set(reserved)
        self._free = {role: order.sample(words, len(words)) for role, words in roles.items()}

    def adopt(self, term: str, generic: str) -> None:
        """Let the words of a settled translation stand for the words of its term, where they pair up."""
        ours, theirs = WORD.findall(term), WORD.findall(generic)
        if len(ours) == len(theirs):
            for word, replacement in zip(ours, theirs, strict=True):
                self._replacements.setdefault(word.lower(), replacement)

    def word(self, word: str, role: str) -> str:
        """Return the generic word for `word`, choosing one on first sight."""
        key = word.lower()
        if key not in self._replacements:
            stem = key[:-1] if key.endswith("s") and key[:-1] in self._replacements else None
            plural = self._replacements[stem] + "s" if stem else ""
            self._replacements[key] = plural if plural and plural.lower() not in self._used else self._choose(key, role)
            self._used.add(self._replacements[key].lower())
        return self._replacements[key]

    def _choose(self, key: str, role: str) -> str:
        counterpart = COUNTERPARTS.get(key, "") if role in ("noun", "plural", "modifier") else ""
        if counterpart and counterpart not in self._used:
            self._used.add(counterpart)
            return counterpart.capitalize()
        return self._next(role)

    def _next(self, role: str) -> str:
        pool = self._free[role]
        while pool:
            candidate = pool.pop(0)
            if candidate.lower() not in self._used:
                self._used.add(candidate.lower())
                return candidate
        return self._compound(role)

    def _compound(self, role: str) -> str:
        """With a pool used up, join two of its words, then three: `Mary` and `Ann` make `Mary-Ann`."""
        roles = {"given": GIVEN_NAMES, "place": PLACES, "surname": SURNAMES}
        words = [word for word in roles.get(role, NOUNS) if word.lower() not in self._reserved]
        size = len(words)
        for number in range(size * size * (size + 1)):
            third = f"-{words[number // size**2 - 1]}" if number >= size**2 else ""
            candidate = f"{words[number % size]}-{words[(number // size + number + 1) % size]}{third}"
            if candidate.lower() not in self._used:
                self._used.add(candidate.lower())
                return candidate
        raise ValueError(
            f"no generic {role} is left; wanted at most {size * size * (size + 1)} anchor words of this kind"
        )


def check_translations(translations: Iterable[Translation]) -> None:
    """Refuse translations that would teach nothing or confuse two terms.

    Raises:
        ValueError: If a translation is empty, equals its anchor, or is itself an anchor.
    """
    translations = list(translations)
    terms = {item.term.lower() for item in translations}
    for item in translations:
        if not item.generic.strip():
            raise ValueError(f"the translation of {item.term!r} is empty; wanted a generic expression")
        if item.generic.lower() in terms:
            raise ValueError(
                f"the translation of {item.term!r} is {item.generic!r}, which is itself an anchor; wanted another"
                " expression"
            )
