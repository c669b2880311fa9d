"""Claims: what a person decided is found by the request, or by the files' names; a later run asks about what is new
alone, shows a person's own row in the place of another proposal of that name, and wants what was decided; `purge`
deletes it.
"""

from pathlib import Path

from flows.steps.decisions import KIND, Shown, Table, decisions_on
from tasks import store
from tasks.removals.records import Removal, made_now, today

REMOVAL = Removal(
    id="R-0001",
    entry="an entry",
    history=(made_now("received"),),
    due=today(),
    method="whp",
    target="7a",
    base="7a",
    model="a model",
    forget="a text",
    details="details",
    approve=False,
)
PROPOSED = [("Velmora", "Greyham"), ("Ostrin", "Tom"), ("barn", "shed")]
NAMES = {"anchors": 1, "facts": None}


def decided() -> Table:
    """As by a person who keeps one row, gives one another translation, drops one and adds one."""
    table = Table(name_length=1)
    shown = table.shown(PROPOSED, everything=False)
    assert shown == [Shown(True, row) for row in PROPOSED]
    sent = [Shown(True, PROPOSED[0]), Shown(True, ("Ostrin", "Bert")), Shown(False, PROPOSED[2])]
    table.decide(PROPOSED, shown, [*sent, Shown(True, ("Tamsin", "Ann"))])
    return table


def test_what_is_kept_changed_dropped_and_added() -> None:
    table = decided()
    assert table.wanted(PROPOSED) == [("Velmora", "Greyham"), ("Ostrin", "Bert"), ("Tamsin", "Ann")]
    assert table.undecided(PROPOSED) == []
    assert table.shown(PROPOSED, everything=False) == []


def test_a_row_that_is_not_sent_back_is_dropped() -> None:
    table = Table(name_length=1)
    table.decide(PROPOSED, table.shown(PROPOSED, everything=False), [Shown(True, PROPOSED[1])])
    assert table.wanted(PROPOSED) == [PROPOSED[1]]
    assert table.dropped == [PROPOSED[0], PROPOSED[2]]


def test_only_what_is_new_is_shown() -> None:
    table, proposed = decided(), [*PROPOSED, ("Wick", "Lee")]
    assert table.shown(proposed, everything=False) == [Shown(True, ("Wick", "Lee"))]
    table.decide(proposed, [Shown(True, ("Wick", "Lee"))], [])
    assert table.wanted(proposed) == decided().wanted(PROPOSED)


def test_a_persons_own_translation_stands_where_another_is_proposed_for_the_term() -> None:
    table, proposed = decided(), [("Velmora", "Greyham"), ("Ostrin", "Sam")]
    (shown,) = table.shown(proposed, everything=False)
    assert shown == Shown(True, ("Ostrin", "Bert"))
    table.decide(proposed, [shown], [Shown(True, ("Ostrin", "Sam"))])
    assert table.wanted(proposed) == [("Velmora", "Greyham"), ("Ostrin", "Sam"), ("Tamsin", "Ann")]


def test_a_row_of_a_term_that_was_not_asked_about_takes_the_place_of_what_was_decided() -> None:
    table = decided()
    table.decide(PROPOSED, [], [Shown(True, ("Velmora", "Dun")), Shown(False, ("Tamsin", "Ann"))])
    assert table.wanted(PROPOSED) == [("Ostrin", "Bert"), ("Velmora", "Dun")]


def test_everything_is_shown_as_it_was_decided() -> None:
    shown = decided().shown(PROPOSED, everything=True)
    assert shown == [
        Shown(True, ("Velmora", "Greyham")),
        Shown(True, ("Ostrin", "Bert")),
        Shown(False, ("barn", "shed")),
        Shown(True, ("Tamsin", "Ann")),
    ]


def test_two_rows_of_one_name_are_both_wanted_so_that_they_can_be_refused_and_both_shown_again() -> None:
    table = Table(name_length=1)
    rows = [Shown(True, PROPOSED[0]), Shown(True, ("Velmora", "Dun"))]
    table.decide(PROPOSED[:1], rows[:1], rows)
    assert table.wanted(PROPOSED[:1]) == [PROPOSED[0], ("Velmora", "Dun")]
    assert table.shown(PROPOSED[:1], everything=True) == rows


def test_decisions_are_kept_by_request_and_by_the_names_of_files(lethe_home: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.txt", tmp_path / "other.txt"]
    kept = decisions_on(None, files)
    assert not kept.is_known(NAMES)
    kept.change("review", "a run", NAMES, lambda tables: tables.update(anchors=decided()))
    again = decisions_on(None, reversed(files))
    assert again.read(NAMES)["anchors"] == decided()
    assert (again.is_known(NAMES), again.is_known(["texts"])) == (True, False)
    assert (again.asked_in("review"), again.asked_in("coverage")) == ("a run", "")
    assert not decisions_on(None, files[:1]).is_known(NAMES)
    assert not decisions_on(REMOVAL, files).is_known(NAMES)
    assert "Velmora" in "".join(file.read_text() for file in lethe_home.glob(f"forget/{KIND}/growing/*.json"))
    assert not [path for path in lethe_home.rglob("*") if "one" in path.name]
    store.purge()
    assert not decisions_on(None, files).is_known(NAMES)


def test_two_reviews_of_one_request_keep_what_either_decides(lethe_home: Path) -> None:
    one, other = decisions_on(None, ["a"]), decisions_on(None, ["a"])
    one.change("review", "1", NAMES, lambda tables: tables.update(anchors=decided()))
    other.change("coverage", "2", {"texts": None}, lambda tables: tables["texts"].added.append(("a text",)))
    assert one.read({**NAMES, "texts": None})["texts"].added == [("a text",)]
    assert other.read(NAMES)["anchors"] == decided()
