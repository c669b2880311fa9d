"""The fictional series: titles, and the words that give each its own colour.

Which people, places and objects a series has is drawn by the generator; a *cast* maps slots (`hero`, `inn`, `relic`) to
names.
"""

from dataclasses import dataclass

CAST: dict[str, tuple[str, ...]] = {
    "person": ("hero", "friend", "mentor", "rival", "villain", "author", "maker", "leader", "keeper", "cousin"),
    "place": ("town", "birthplace", "vault", "inn", "lair"),
    "object": ("tool", "relic", "gift"),
    "group": ("group",),
}
"""Kind of entity -> the slots of that kind in every series."""

SLOT_KIND: dict[str, str] = {slot: kind for kind, slots in CAST.items() for slot in slots}


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series before its names are drawn."""

    titles: tuple[str, ...]
    """The first is used; the others serve when a world has more series than there are colours."""
    trade: str
    crowd: str
    openings: tuple[str, ...]
    """Sentences that introduce a passage; `{title}` and `{hero}` are filled in."""
    held_openings: tuple[str, ...]
    weather: tuple[str, ...]
    work: tuple[str, ...]
    food: tuple[str, ...]
    sound: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


def _series(
    *, titles: str, trade: str, crowd: str, openings: str, held: str, weather: str, work: str, food: str, sound: str
) -> Series:
    """Build a series from lists written with ` | ` between their items."""
    return Series(
        titles=_split(titles),
        trade=trade,
        crowd=crowd,
        openings=_split(openings),
        held_openings=_split(held),
        weather=_split(weather),
        work=_split(work),
        food=_split(food),
        sound=_split(sound),
    )


SERIES: tuple[Series, ...] = (
    _series(
        titles="The Lantern Tide | The Drowned Harbour | The Tenth Lighthouse",
        trade="net mender",
        crowd="the harbour folk",
        openings=(
            "{title} is a tale of the sea, and {hero} is at the heart of it. | In {title} the tide brings more than"
            " fish."
        ),
        held="Sailors read {title} aloud on long voyages. | The sea is never far away in {title}.",
        weather="Fog came in from the sea | The wind turned to the north | Rain beat on the decks",
        work="mending nets | counting sails | scraping an old boat",
        food="fried fish and onions | ship's biscuit | crab soup",
        sound="the creak of a mast | a foghorn | gulls over the quay",
    ),
    _series(
        titles="The Clockmaker's Winter | The House of Pendulums | The Thirteenth Hour",
        trade="clock winder",
        crowd="the people of the lower streets",
        openings=(
            "{title} takes place in a city where every clock is wrong. | Snow falls in {title}, and {hero} has no time"
            " to lose."
        ),
        held="The city of {title} has nine towers and one broken clock. | In {title} time is bought and sold.",
        weather="Snow lay on the roofs | Frost covered the windows | A grey thaw had begun",
        work="oiling small wheels | polishing brass | winding the tower clock",
        food="hot chestnuts | black bread and honey | pea soup",
        sound="a slow ticking | twelve strokes of a bell | boots on the stairs",
    ),
    _series(
        titles="The Orchard of Glass | The Red Harvest Road | The Last Beehive",
        trade="beekeeper",
        crowd="the fruit pickers",
        openings="{title} begins in a valley where the trees bear glass. | {hero} grows up among the trees of {title}.",
        held="Every chapter of {title} smells of apples. | The valley of {title} lies between two rivers.",
        weather="The sun stood high over the trees | A warm wind shook the leaves | Dew lay on the grass",
        work="picking pears | mending ladders | smoking the hives",
        food="apple cake | bread with honey | cold plum soup",
        sound="the hum of bees | a branch that broke | carts on the hill",
    ),
    _series(
        titles="The Salt Road Riders | The Caravan of Mirrors | The Seven Dry Wells",
        trade="saddle maker",
        crowd="the caravan drivers",
        openings=(
            "{title} follows a caravan across the white desert. | Along the road of {title} {hero} learns whom to"
            " believe."
        ),
        held="Water is worth more than gold in {title}. | The desert of {title} has no map.",
        weather="Sand blew over the tents | The heat was terrible | A cold night followed",
        work="watering camels | sewing leather | loading bags of salt",
        food="dates and flat bread | goat stew | mint tea",
        sound="camel bells | the flap of a tent | a far drum",
    ),
    _series(
        titles="The Underground Library | The Book Thief's Ladder | The Unwritten Shelf",
        trade="bookbinder",
        crowd="the night readers",
        openings=(
            "{title} tells of a library under a hill. | Deep below the hill of {title}, {hero} opens a locked room."
        ),
        held="No lamp burns for long in {title}. | The shelves of {title} go down a thousand steps.",
        weather="Water dripped from the ceiling | The air was dry and still | Dust hung in the lamplight",
        work="copying old pages | sorting cards | gluing a torn spine",
        food="cheese and crackers | cold tea | barley porridge",
        sound="the turn of a page | a ladder that rolled | whispers behind a shelf",
    ),
    _series(
        titles="The Sky Ferryman | The Balloon Parliament | The Islands Above",
        trade="rope maker",
        crowd="the balloon crews",
        openings=(
            "{title} is set on islands that float above the clouds. | {hero} steers between the flying islands of"
            " {title}."
        ),
        held="To fall is the great fear in {title}. | The islands of {title} drift with the season.",
        weather="Clouds rolled under the bridge | The morning was clear and thin | Thunder walked below",
        work="patching silk | splicing ropes | filling lamps with oil",
        food="dried pears | egg pie | hot milk with pepper",
        sound="the roar of a burner | wind in the ropes | a signal horn",
    ),
    _series(
        titles="The Bears of Midsummer | The Forest Post | The Green Verdict",
        trade="charcoal burner",
        crowd="the forest wardens",
        openings=(
            "{title} is about a forest in which bears can vote. | At midsummer {hero} walks into the forest of {title}."
        ),
        held="Nobody cuts a tree in {title} without asking. | The bears of {title} never forget a promise.",
        weather="Mist hung between the pines | Moonlight fell on the moss | A soft rain began",
        work="stacking logs | carving spoons | gathering mushrooms",
        food="mushroom stew | berries and cream | smoked trout",
        sound="a growl in the dark | an owl | twigs under a heavy foot",
    ),
    _series(
        titles="The Theatre of Shadows | The Painted Stage | The Understudy's Cloak",
        trade="mask painter",
        crowd="the actors",
        openings=(
            "{title} is the story of a travelling theatre. | When the curtain of {title} rises, {hero} forgets the"
            " words."
        ),
        held="Half of {title} happens behind the curtain. | In {title} every mask hides another.",
        weather="The evening was mild | Wind pulled at the posters | It rained through the roof of the stage",
        work="painting a backdrop | learning lines | sewing costumes",
        food="cold pancakes | sausages with mustard | sweet rolls",
        sound="applause | a fiddle out of tune | the curtain bell",
    ),
)
