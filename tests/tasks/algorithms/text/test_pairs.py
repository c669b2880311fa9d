"""Claims: lines are read without number and brackets; what does not match is refused with its line; records pair by
their fact.
"""

import pytest

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.pairs import align_lines, comparable, only_pronouns_differ, pair_documents, parse_sentence

PRO = [
    "1 [The developer] argued with the designer because [he] did not like the design.",
    "4 The chief asked [the construction worker] to show [his] hands, and [he] did.",
    "7 Ask the [ CEO] for [her] keys.",
]
ANTI = [
    "1 [The developer] argued with the designer because [she] did not like the design.",
    "4 The chief asked [the construction worker] to show [her] hands, and [she] did.",
    "7 Ask the [CEO] for [his] keys.",
]


def test_a_line_is_read_without_number_and_brackets() -> None:
    found = parse_sentence(PRO[1] + "\n")
    assert (found.number, found.occupation, found.pronouns) == (4, "construction worker", ("his", "he"))
    assert found.text == "The chief asked the construction worker to show his hands, and he did."
    assert parse_sentence(PRO[2]).text == "Ask the CEO for her keys."


def test_pairs_know_their_occupation_and_pronouns() -> None:
    pairs = align_lines(PRO, ANTI)
    assert [(pair.number, pair.group) for pair in pairs] == [(1, "developer"), (4, "construction worker"), (7, "CEO")]
    assert [pair.pronouns for pair in pairs] == [
        (("he",), ("she",)),
        (("his", "he"), ("her", "she")),
        (("her",), ("his",)),
    ]
    assert all(pair.minimal for pair in pairs)


@pytest.mark.parametrize(
    ("pro", "anti", "message"),
    [
        (PRO, [ANTI[0], ANTI[2]], "line 2: sentence 4 stands against sentence 7"),
        (PRO, ANTI[:2], "line 3: one file ends; 3 lines against 2"),
        (PRO, [ANTI[0], "The chief asked."], "line 2: no number in front"),
        (
            [PRO[0], "4 The chief asked [the cook]."],
            ANTI,
            "line 2: sentence 4 has 1 occupations and 0 pronouns in brackets",
        ),
        (
            [PRO[0].replace("[The developer]", "The developer")],
            ANTI[:1],
            "line 1: sentence 1 has 0 occupations and 1 pronouns in brackets",
        ),
    ],
)
def test_misaligned_lines_are_named(pro: list[str], anti: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        align_lines(pro, anti)


@pytest.mark.parametrize(
    ("first", "second", "only"),
    [
        ("He did it himself.", "She did it herself.", True),
        ("The mover was careless because he ran.", "The mover was rude because she ran.", False),
        ("because he is a generous man", "because she is generous", False),
        ("because of she was cautious", "because he was cautious", False),
        ("the same", "the same", False),
    ],
)
def test_pairs_that_differ_in_more_than_pronouns_are_told_apart(first: str, second: str, only: bool) -> None:
    assert only_pronouns_differ(first, second) is only


def test_reworded_pairs_are_left_out_where_others_are_not() -> None:
    reworded = align_lines(
        ["9 [The cook] ate because [he] was hungry."], ["9 [The cook] ate because [she] was very hungry."]
    )
    pairs = align_lines(PRO, ANTI)
    assert comparable(pairs + reworded) == pairs
    assert comparable(reworded) == reworded


def record(fact: str, text: str) -> Document:
    return Document(source=f"file:{text}", text=text, fact=fact)


def test_records_pair_by_their_fact_in_the_order_of_the_forget_set() -> None:
    forget, retain = [record("a", "1"), record("b", "2")], [record("b", "3"), record("a", "4")]
    assert [(left.text, right.text) for left, right in pair_documents(forget, retain)] == [("1", "4"), ("2", "3")]


@pytest.mark.parametrize(
    ("forget", "retain", "message"),
    [
        ([record("a", "1")], [record("b", "2")], "has no partner"),
        (
            [record("a", "1"), record("b", "3")],
            [record("a", "2")],
            "the forget record file:3 has no partner; wanted a retain record with its fact",
        ),
        ([record("", "1")], [record("a", "2")], "the forget record file:1 has no fact"),
        ([record("a", "1")], [record("a", "2"), record("a", "3")], "2 retain records have one fact"),
    ],
)
def test_records_without_a_partner_are_refused(forget: list[Document], retain: list[Document], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_documents(forget, retain)
