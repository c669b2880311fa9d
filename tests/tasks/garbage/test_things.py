"""Claims: nothing that is reachable from what has a reason, or was used lately, is garbage; all else with a place is;
what is left holds no garbage; a run under way keeps whatever was used since it began; more age keeps more.
"""

from hypothesis import given
from hypothesis import strategies as st

from tasks.garbage.things import YOUNG, Thing, cut, garbage, held_by, kept

NAMES = "abcdefgh"


@st.composite
def stocks(draw: st.DrawFn) -> list[Thing]:
    return [
        Thing(
            kind="things",
            name=name,
            used=draw(st.integers(0, 10)),
            place=draw(st.sampled_from(("", "there"))),
            needs=draw(st.frozensets(st.sampled_from(NAMES + "xyz"), max_size=3)),
            reason=draw(st.sampled_from(("", "", "", "a version"))),
        )
        for name in draw(st.sets(st.sampled_from(NAMES)))
    ]


def reached(things: list[Thing], since: float) -> set[str]:
    """By another way: what has a reason or is young, and as often as there are things, all that these need."""
    found = {thing.name for thing in things if thing.reason or thing.used >= since}
    for _ in things:
        found |= {need for thing in things if thing.name in found for need in thing.needs}
    return found & {thing.name for thing in things}


@given(stocks(), st.integers(0, 11))
def test_garbage_is_what_cannot_be_reached_and_has_a_place(things: list[Thing], since: int) -> None:
    needed = reached(things, since)
    assert set(kept(things, since)) == needed
    assert garbage(things, since) == [thing for thing in things if thing.name not in needed and thing.place]


@given(stocks(), st.integers(0, 11))
def test_what_is_left_holds_no_garbage(things: list[Thing], since: int) -> None:
    goes = garbage(things, since)
    assert garbage([thing for thing in things if thing not in goes], since) == []


@given(stocks(), st.integers(0, 11), st.integers(0, 11))
def test_whoever_keeps_longer_keeps_more(things: list[Thing], one: int, other: int) -> None:
    longer, shorter = sorted((one, other))
    assert kept(things, shorter).keys() <= kept(things, longer).keys()


def test_what_a_version_needs_is_kept_for_the_version_even_if_it_is_young() -> None:
    things = [
        Thing(kind="versions", name="v", reason="m version 1", needs=frozenset("a")),
        Thing(kind="runs", name="a", used=9, needs=frozenset("b")),
        Thing(kind="runs", name="b", place="there", needs=frozenset("a")),
        Thing(kind="runs", name="c", used=9, place="there"),
    ]
    assert kept(things, 5) == {"v": "m version 1", "a": "m version 1", "b": "m version 1", "c": YOUNG}


def test_the_cut_is_the_age_or_the_earliest_run_under_way_less_a_margin() -> None:
    assert cut(1000.0, 100.0, [], 50.0) == 900.0
    assert cut(1000.0, 100.0, [980.0], 50.0) == 900.0
    assert cut(1000.0, 0.0, [980.0, 700.0], 50.0) == 650.0


def test_a_run_holds_what_its_stages_made_and_what_they_took_from_others() -> None:
    runs = {"one": ["one", "s1", "s2"], "two": ["two", "s3", "s1"], "three": ["three"]}
    assert held_by(runs, {"x": ["s1"], "y": ["s2", "s3"], "z": ["elsewhere"]}) == {
        "one": ["x", "y"],
        "two": ["x", "y"],
        "three": [],
    }
