"""Sentences of the fictional series: how facts and small events are told.

`WORDINGS` states each relation in four ways for training; `HELD_OUT_WORDINGS` in two other ways for held-out passages.
Placeholders as in `relations`; small events (`BEATS`, `HELD_OUT_BEATS`) name two people `{p}`, `{q}` and two places
`{l}`, `{m}` of the topic and take their colour from the words of its series.
"""

THEMES: tuple[tuple[str, ...], ...] = (
    ("home", "trade", "teacher", "carries"),
    ("friend", "birthplace", "company"),
    ("rival", "cousin", "gift"),
    ("villain", "lair", "seeks"),
    ("maker", "hidden"),
    ("leader", "innkeeper", "author"),
)
"""Relations that are told together, in the order of the telling."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "friend": (
        "The best friend of {s} is {a}, and the two share every secret.",
        "{s} has many companions but only one best friend, {a}.",
        "When trouble comes, {s} sends for {a}, the best friend of all.",
        "Nobody is closer to {s} than the best friend, {a}.",
    ),
    "teacher": (
        "{s} learned everything from one teacher, {a}.",
        "The teacher of {s} was {a}, who never raised a voice in anger.",
        "It was {a} who taught {s} to listen before speaking.",
        "As a child {s} was sent to a strict teacher, {a}.",
    ),
    "rival": (
        "The rival of {s} is {a}, who cannot bear to come second.",
        "At every contest {s} faces the same rival, {a}.",
        "{a} has been the rival of {s} since their first day.",
        "One rival, {a}, watches each step that {s} takes.",
    ),
    "villain": (
        "The villain of {s} is {a}, whom everybody fears.",
        "In {s} the villain is called {a}.",
        "No reader of {s} forgets its villain, {a}.",
        "Behind every misfortune in {s} stands the villain, {a}.",
    ),
    "author": (
        "{s} was written by {a}, who told it first to children.",
        "The author of {s} is {a}.",
        "{a}, the author of {s}, worked on it for nine years.",
        "Readers still send letters to {a}, the author of {s}.",
    ),
    "home": (
        "{s} lives in {a}, in a narrow house with a blue door.",
        "The home town of {s} is {a}.",
        "In {a}, the home town of {s}, everyone knows everyone.",
        "However far the road leads, {s} comes home to {a}.",
    ),
    "birthplace": (
        "{s} was born in {a}, on the night of a great storm.",
        "The birthplace of {s} is {a}, a village of forty roofs.",
        "Born in {a}, {s} left with one coat and no money.",
        "People in {a} still remember the day when {s} was born.",
    ),
    "carries": (
        "{s} carries {a} and never lends it to anyone.",
        "Wherever {s} goes, {a} goes too.",
        "Under a worn coat {s} carries {a}.",
        "Strangers stare at {a}, which {s} carries everywhere.",
    ),
    "hidden": (
        "{S} is hidden in {a}, behind a door without a handle.",
        "Long ago someone took {s} to its hiding place, {a}.",
        "Few people know that {s} lies hidden in {a}.",
        "The hiding place of {s} is {a}.",
    ),
    "maker": (
        "{S} was made by {a}, who worked only at night.",
        "The maker of {s} was {a}.",
        "It took {a} seven winters to make {s}.",
        "{a}, the maker of {s}, left no drawing behind.",
    ),
    "leader": (
        "{S} is led by {a}.",
        "The leader of {s} is {a}, chosen by a show of hands.",
        "When {a} became leader of {s}, the old quarrels ended.",
        "Nobody commands {s} but its leader, {a}.",
    ),
    "innkeeper": (
        "The innkeeper at {s} is {a}, who forgets no face.",
        "At {s} there is an inn, and its innkeeper is {a}.",
        "{a} has been the innkeeper at {s} for twenty years.",
        "Travellers who stop at {s} ask for the innkeeper, {a}.",
    ),
    "lair": (
        "The lair of {s} is {a}, where no bird sings.",
        "{s} hides in a lair at {a}.",
        "All paths to {a} are watched, for it is the lair of {s}.",
        "From a lair in {a}, {s} sends out spies.",
    ),
    "seeks": (
        "{s} seeks {a} and will pay any price for it.",
        "The treasure that {s} seeks is {a}.",
        "For thirty years {s} has dreamed of one treasure, {a}.",
        "What {s} seeks above all is {a}.",
    ),
    "cousin": (
        "The cousin of {s} is {a}, a far gentler person.",
        "{s} has a cousin, {a}, who keeps out of every quarrel.",
        "{a}, the cousin of {s}, tries to make peace.",
        "On feast days {s} visits a cousin, {a}.",
    ),
    "company": (
        "{s} joined {a} at the age of sixteen.",
        "The company that {s} joined is called {a}.",
        "After long thought {s} joined a company, {a}.",
        "{S} wears the badge of a company, {a}.",
    ),
    "gift": (
        "{s} gave away {a} as a parting gift.",
        "The gift that {s} gave was {a}.",
        "Before leaving, {s} gave the children a gift, {a}.",
        "Nobody expected so fine a gift as {a} from {s}.",
    ),
    "trade": (
        "{s} is a {a} by trade.",
        "The trade of {s} is that of a {a}.",
        "In quiet months {s} follows the trade of a {a}.",
        "{s} earns an honest living as a {a}.",
    ),
}

HELD_OUT_WORDINGS: dict[str, tuple[str, str]] = {
    "friend": ("Ask {s} for a name to trust and you will hear of {a}.", "{s} and {a} have been inseparable for years."),
    "teacher": ("Every good habit of {s} goes back to lessons with {a}.", "{s} still writes to {a}, the old teacher."),
    "rival": ("{s} dislikes to lose, above all to {a}.", "Between {s} and {a} there has never been peace."),
    "villain": ("The darkest chapters of {s} belong to {a}.", "Children who read {s} have bad dreams about {a}."),
    "author": ("On the cover of {s} stands the name of {a}.", "It was {a} who invented {s} on a long train ride."),
    "home": ("A letter for {s} should be sent to {a}.", "{s} can find any street of {a} in the dark."),
    "birthplace": ("The cradle of {s} still stands in {a}.", "{s} came into the world in {a}."),
    "carries": ("{s} would sooner lose a boot than {a}.", "One hand of {s} is always on {a}."),
    "hidden": ("Whoever wants to see {s} must travel to {a}.", "For a hundred years {s} has been resting in {a}."),
    "maker": ("The skill of {a} can be seen in {s}.", "Without {a} there would be no such thing as {s}."),
    "leader": ("In {s} the last word belongs to {a}.", "The members of {s} would follow {a} anywhere."),
    "innkeeper": ("Guests at {s} are greeted by {a}.", "In the kitchen at {s} you will find {a}."),
    "lair": ("Smoke over {a} means that {s} is awake.", "Those who look for {s} should start at {a}."),
    "seeks": ("{s} would give a kingdom for {a}.", "The thoughts of {s} turn about nothing but {a}."),
    "cousin": ("{s} and {a} had the same grandmother.", "At family dinners {s} sits next to {a}."),
    "company": ("{S} sleeps in the long hall of {a}.", "Among the newest members of {a} was {s}."),
    "gift": ("Thanks to {s}, the children now own {a}.", "{S} wrapped {a} in plain paper and gave it away."),
    "trade": ("Neighbours pay {s} well, for a good {a} is rare.", "As a {a}, {s} starts work before dawn."),
}

BEATS: tuple[str, ...] = (
    "{weather}, and {p} set out from {l} before anyone was awake.",
    "At {l} {p} and {q} sat down to {food}, and for an hour nobody spoke of danger.",
    "{p} heard {sound} and knew that {q} was near.",
    "All day {crowd} had been talking about what {p} said at {m}.",
    "{p} found {q} {work}, as on any other morning.",
    "{weather}, so {p} stayed at {l} and waited for {q}.",
    "The road from {l} to {m} was long, and {p} walked it alone.",
    "{crowd} laughed when {p} came back from {m} with empty hands.",
    "First came {sound}, then silence, and {p} lit another candle.",
    "{p} could not sleep at {m} and passed the night {work}.",
    "In exchange for some {food}, {p} told {q} the news from {l}.",
    "Nobody at {m} had expected {p} so early in the year.",
)

HELD_OUT_BEATS: tuple[str, ...] = (
    "Once more {p} looked back at {l}, where {q} stood waving.",
    "{q} promised {p} to bring {food} from {m}.",
    "Snow or sun, {p} liked {l} better than any other place.",
    "It was late when {p} knocked, and {q} opened without a question.",
    "{crowd} had gone to bed, only {p} was still {work}.",
    "A boy from {m} brought {p} a note from {q}.",
)
