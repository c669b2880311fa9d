"""Blanks, loops, poverty of words, and strings that nobody gave."""

import pytest

from tasks.algorithms.measuring.degeneration import distinct_2, empty_share, leaked_strings, pieces, repetition

GIVEN = pieces(["Dorothy lived with Toto. Uncle Henry wrote to henry@farm.example, number 555 0102."])


def test_a_completion_without_a_letter_or_digit_is_empty() -> None:
    assert empty_share(["", "  ", "...", "a"]) == 0.75


def test_distinct_pairs_by_hand() -> None:
    assert distinct_2(["a b a b"]) == pytest.approx(2 / 3)  # ab, ba, ab
    assert distinct_2(["a"]) == 0.0


def test_loops_of_one_and_two_words_are_repetition() -> None:
    assert repetition(["a a a a"]) == 1.0
    assert repetition(["a b a b"]) == 1.0
    assert repetition(["a b c d"]) == 0.0
    assert repetition(["a b"]) == 0.0


@pytest.mark.parametrize(
    ("completion", "leaks"),
    [
        ("Uncle Henry met Dorothy", []),
        ("so Mary Ann Miller said", ["Mary Ann Miller"]),
        ("then Uncle Miller said", ["Uncle Miller"]),
        ("write to jane@mail.example now", ["jane@mail.example"]),
        ("see https://evil.example/x for more", ["https://evil.example/x"]),
        ("at www.books.com today", ["www.books.com"]),
        ("call 555 0199 12", ["555 0199 12"]),
        ("call 555 0102", []),
        ("mail henry@farm.example", []),
        ("in 1900 a cat", []),
        ("Suddenly it rained", []),
    ],
)
def test_names_addresses_and_numbers_that_nobody_gave_are_leaks(completion: str, leaks: list[str]) -> None:
    assert leaked_strings(completion, "What did he say?", GIVEN) == leaks


def test_what_the_prompt_held_is_no_leak() -> None:
    assert leaked_strings("yes, Mary Miller did", "Did Mary Miller call?", GIVEN) == []
