"""What a model tells against what a text covers, counted by hand."""

import pytest

from tasks.algorithms.measuring.coverage import (
    Association,
    anchor_associations,
    complete_facts,
    covered_share,
    fact_associations,
    merge_associations,
    names_in,
    openings,
    uncovered_names,
    without_retain_names,
    worth_adding,
)
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.facts import FactTriple

EXPRESSION = anchor_expression(["Ostrin", "Velmora", "Kessa Vane"])
PASSAGES = ["Ostrin lives in Velmora.", "In winter the king waits. Kessa Vane waits too, and they hear of Brindle."]
SAID = {
    "Ostrin": [
        "He lives in Velmora with Kessa Vane.",
        "They say that Ostrin met Kessa Vane in Velmora.",
        "It was Dunmore, the King said.",
        "A man.",
    ],
    "Kessa Vane": ["She knows Brindle and Vane.", "Who is Brindle? Nobody."],
}


def test_a_name_counts_once_a_completion_and_is_covered_where_a_paragraph_names_both() -> None:
    told = anchor_associations(SAID, PASSAGES, EXPRESSION, 1)
    assert [(item.anchor, item.name, item.times, item.covered) for item in told] == [
        ("Kessa Vane", "Brindle", 2, True),
        ("Ostrin", "Kessa Vane", 2, False),  # each is in the text, but never together
        ("Ostrin", "Velmora", 2, True),
        ("Ostrin", "Dunmore", 1, False),
    ]  # `King` is an ordinary word of the text, `Vane` a part of `Kessa Vane`


def test_what_is_told_once_may_be_left_out() -> None:
    assert [item.name for item in anchor_associations(SAID, PASSAGES, EXPRESSION, 2)] == [
        "Brindle",
        "Kessa Vane",
        "Velmora",
    ]


def test_the_share_weighs_by_how_often_it_is_told() -> None:
    told = anchor_associations(SAID, PASSAGES, EXPRESSION, 1)
    assert covered_share(told) == pytest.approx(4 / 7)
    assert covered_share([]) is None


def test_names_that_the_text_never_mentions_are_listed() -> None:
    assert uncovered_names(anchor_associations(SAID, PASSAGES, EXPRESSION, 1), PASSAGES) == ["Dunmore"]


def test_whole_sentences_that_tell_something_new_are_worth_adding() -> None:
    told = [
        Association(anchor="Ostrin", name="Dunmore", times=2, covered=False),
        Association(anchor="Ostrin", name="Velmora", times=2, covered=True),
    ]
    texts = [
        "Ostrin fled to Dunmore. Then he",
        "Ostrin lives in Velmora.",
        "Ostrin fled to Dunmore. And so",
        "of Dunmore",
    ]
    assert worth_adding(texts, told) == ["Ostrin fled to Dunmore."]


def test_names_are_what_is_written_so_inside_sentences() -> None:
    assert names_in("Then Tom Baker met a king in May.", EXPRESSION, frozenset({"may", "then"})) == {"Tom Baker"}
    # who knows what opens a sentence
    assert names_in("Soon Dora came. Nobody saw her.", EXPRESSION, frozenset()) == frozenset()
    assert names_in("", EXPRESSION, frozenset()) == frozenset()


def test_every_question_and_opening_names_the_anchor() -> None:
    found = openings("Ostrin", "PERSON")
    assert {item.kind for item in found} == {"asked", "continued"}
    assert all("Ostrin" in item.text for item in found)
    assert len(found) == len({item.text for item in found}) == 6


def fact(object_: str, prompt: str = "At last {} came to", source: str = "pattern") -> FactTriple:
    return FactTriple(subject="Ostrin", prompt=prompt, object=object_, source=source)


@pytest.mark.parametrize(
    ("fact", "said", "reproduced"),
    [
        (fact("Velmora"), " Velmora, they say. Then", True),
        (fact("Velmora"), " velmora", True),
        (fact("Kessa Vane"), " Kessa-Vane and", True),  # another spelling
        (fact("Velmora"), " Velmorans", False),
        (fact("Velmora"), " old Velmora", False),  # something else stands in its place
        (fact("Velmora."), "", False),
        (fact("Velmora.", "Where does {} live?", "question"), "He lives in Velmora", True),
        (fact("Velmora.", "Where does {} live?", "question"), "In Dunmore", False),
    ],
)
def test_a_fact_is_reproduced_where_its_object_stands_in_its_place(
    fact: FactTriple, said: str, reproduced: bool
) -> None:
    assert [item.reproduced for item in complete_facts([fact], [said])] == [reproduced]


def test_what_is_given_in_an_objects_place_is_told_and_covered_where_the_text_says_so() -> None:
    facts = [
        fact("Velmora"),
        fact("Brindle"),
        fact("Brindle"),
        fact("Brindle"),
        fact("Kessa Vane.", "Who is {}?", "question"),
    ]
    completed = complete_facts(
        facts,
        [" Velmora.", " Dunmore Hill. Velmora too", " the old king. Brindle", " Velmora and Dunmore", "Dunmore Hill"],
    )
    assert [item.said for item in completed] == [
        "Velmora",
        "Dunmore Hill",
        "the old king",
        "Velmora and Dunmore",
        "Dunmore Hill",
    ]
    assert [item.text for item in completed][1] == "At last Ostrin came to Dunmore Hill. Velmora too"
    told = fact_associations(completed, PASSAGES, EXPRESSION)
    assert [(item.anchor, item.name, item.times, item.covered) for item in told] == [
        ("Ostrin", "Velmora", 2, True),  # once as the fact has it, once as the text has it elsewhere
        ("Ostrin", "Dunmore Hill", 2, False),
    ]
    assert covered_share(told) == pytest.approx(2 / 4)


def test_what_is_told_in_two_ways_is_one_thing_with_all_its_times() -> None:
    one, other = (
        Association(anchor="Ostrin", name="Velmora", times=2, covered=True),
        Association(anchor="Ostrin", name="Velmora", times=1, covered=False),
    )
    rest = Association(anchor="Ostrin", name="Dunmore", times=2, covered=False)
    assert merge_associations([rest], [other, one]) == [
        Association(anchor="Ostrin", name="Velmora", times=3, covered=True),
        rest,
    ]


def test_names_of_the_text_that_is_kept_are_no_gap_of_the_given_one() -> None:
    mixed_up, beside = (
        Association(anchor="Ostrin", name=name, times=2, covered=False) for name in ("Kessa Vane", "Dunmore")
    )
    known = Association(anchor="Ostrin", name="Velmora", times=3, covered=True)
    kept = "In another book Kessa-Vane met Velmora; nobody knew Dunmores."
    assert without_retain_names([mixed_up, known, beside], kept) == [known, beside]
    assert without_retain_names([mixed_up, known, beside], "") == [mixed_up, known, beside]
