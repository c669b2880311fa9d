"""Claims: forms of one name share a canonical form; what could be several stands for itself."""

import random

import pytest

from tasks.algorithms.text.aliases import name_aliases
from tasks.algorithms.text.anchors import Anchor


def canonical(**counts: int) -> dict[str, str]:
    """Return term -> canonical form; an underscore stands for a space, and a trailing one marks a place."""
    anchors = [
        Anchor(
            term=name.strip("_").replace("_", " "),
            kind="PLACE" if name.endswith("_") else "PERSON",
            count=count,
            log_odds_z=1.0,
            origin="entity",
        )
        for name, count in counts.items()
    ]
    drawn = random.Random(0).sample(anchors, len(anchors))
    named = name_aliases(drawn)
    assert [anchor.term for anchor in named] == [anchor.term for anchor in drawn]
    return {anchor.term: anchor.canonical for anchor in named}


def test_the_parts_of_a_name_are_the_name() -> None:
    assert canonical(Harry_Potter=9, Harry=50, Potter=20, Hagrid=7) == {
        "Harry Potter": "Harry Potter",
        "Harry": "Harry Potter",
        "Potter": "Harry Potter",
        "Hagrid": "Hagrid",
    }


@pytest.mark.parametrize("short", ["Challenger", "Professor_Challenger"])
def test_a_title_may_be_left_out(short: str) -> None:
    assert set(canonical(**{"Professor_Challenger": 30, short: 20}).values()) == {"Professor Challenger"}
    lord = canonical(Lord_John_Roxton=5, Lord_John=60, John=9, Roxton=8, John_Roxton=3)
    assert set(lord.values()) == {"Lord John Roxton"}


def test_a_title_of_its_own_makes_another_person() -> None:
    found = canonical(Judge_Thatcher=12, Becky_Thatcher=10, Uncle_Henry=5, Sir_Henry=6, Sir_Henry_Baskerville=2)
    assert (found["Judge Thatcher"], found["Becky Thatcher"], found["Uncle Henry"]) == (
        "Judge Thatcher",
        "Becky Thatcher",
        "Uncle Henry",
    )
    assert found["Sir Henry"] == "Sir Henry Baskerville"


def test_a_plural_is_its_singular() -> None:
    assert canonical(Munchkin=5, Munchkins=20, Winkies=7) == {
        "Munchkin": "Munchkin",
        "Munchkins": "Munchkin",
        "Winkies": "Winkies",
    }


def test_what_could_be_several_stands_for_itself() -> None:
    assert canonical(Red_Queen=40, White_Queen=35, Queen=90)["Queen"] == "Queen"
    assert canonical(Sherlock_Holmes=90, Mycroft_Holmes=10, Holmes=300)["Holmes"] == "Sherlock Holmes"


def test_before_a_link_stands_what_is_named() -> None:
    found = canonical(Guardian_of_the_Gates=11, Guardian=3, Gates=2, Land_of_Oz_=5, Oz=90)
    assert (found["Guardian"], found["Gates"], found["Oz"]) == ("Guardian of the Gates", "Gates", "Oz")


def test_a_person_is_not_the_place_that_is_called_after_him() -> None:
    found = canonical(Baskerville_Hall_=30, Baskerville=20)
    assert found == {"Baskerville Hall": "Baskerville Hall", "Baskerville": "Baskerville"}


def test_hyphens_do_not_matter() -> None:
    anchors = [
        Anchor(term=term, kind="PERSON", count=3, log_odds_z=1.0, origin="entity")
        for term in ("Rikki-tikki-tavi", "Rikki-tikki")
    ]
    assert [anchor.canonical for anchor in name_aliases(anchors)] == ["Rikki-tikki-tavi"] * 2


def test_no_anchors_have_no_aliases() -> None:
    assert name_aliases([]) == []
