"""Claims: terms are found whole, the longest first, in every spelling, and what is found counts for the term."""

import random

import pytest

from tasks.algorithms.text.anchors import AnchorMatch, anchor_expression, count_terms, find_anchors, spelling_key
from tasks.settings.text import AnchorConfig


def found(text: str, *terms: str) -> list[tuple[str, str]]:
    """Return what stands in the text, and the term it stands for."""
    return [(text[start:end], term) for start, end, term in find_anchors(text, anchor_expression(terms))]


def test_the_longest_anchor_wins() -> None:
    text = "Tin Woodman, Tin and Woodman"
    assert [term for _, term in found(text, "Tin", "Tin Woodman", "Woodman")] == ["Tin Woodman", "Tin", "Woodman"]
    assert count_terms([text], ["Tin", "Tin Woodman", "Woodman"]) == {"Tin Woodman": 1, "Tin": 1, "Woodman": 1}


def test_a_longer_word_hides_no_anchor_and_is_none() -> None:
    assert found("Tin Woodmanship met Tina and MarTin", "Tin", "Tin Woodman") == [("Tin", "Tin")]


def test_spans_are_characters_of_the_text() -> None:
    assert find_anchors("met Oz\u2019s Tin\nWoodman", anchor_expression(["Oz", "Tin Woodman"])) == [
        AnchorMatch(4, 6, "Oz"),
        AnchorMatch(9, 20, "Tin Woodman"),
    ]


def test_possessives_hyphens_and_quotes_bound_an_anchor() -> None:
    text = "Dorothy's \u201cDorothy\u201d Dorothy\u2019s Dorothy-like (Dorothy)"
    assert [surface for surface, _ in found(text, "Dorothy")] == ["Dorothy"] * 5


@pytest.mark.parametrize("term", ["Tin Woodman", "Tin-Woodman"])
def test_words_are_joined_by_space_hyphen_or_line_break_whichever_the_term_has(term: str) -> None:
    spellings = [
        "Tin Woodman",
        "Tin-Woodman",
        "Tin\nWoodman",
        "Tin \n  Woodman",
        "Tin-\nWoodman",
        "Tin\u00a0Woodman",
        "Tin\u2011Woodman",
        "Tin  Woodman",
    ]
    assert [surface for surface, _ in found(", ".join(spellings), term)] == spellings
    assert count_terms(spellings, [term]) == {term: len(spellings)}


def test_a_paragraph_a_dash_or_a_stop_joins_nothing() -> None:
    assert (
        found("the Emerald\n\nCity, Emerald -- City, Emerald--City, Emerald. City, EmeraldCity", "Emerald City") == []
    )


def test_quotes_and_apostrophes_are_straight_or_curly() -> None:
    spellings = ["Marooners\u2019 Rock", "Marooners' Rock"]
    for term in spellings:
        assert found(" and ".join(spellings), term) == [(surface, term) for surface in spellings]
    assert found('a "White Lion"', "\u201cWhite Lion\u201d") == [('"White Lion"', "\u201cWhite Lion\u201d")]


def test_the_ending_of_a_plural_stays_outside() -> None:
    assert found("Munchkins, Foxes and Munchkins\u2019", "Munchkin", "Fox") == [
        ("Munchkin", "Munchkin"),
        ("Fox", "Fox"),
        ("Munchkin", "Munchkin"),
    ]


def test_a_plural_that_is_a_term_itself_is_its_own() -> None:
    assert found("Munchkins and a Munchkin", "Munchkin", "Munchkins") == [
        ("Munchkins", "Munchkins"),
        ("Munchkin", "Munchkin"),
    ]


@pytest.mark.parametrize(("term", "word"), [("Ha", "Has"), ("Jon", "Jones"), ("Wa", "Was"), ("Tim", "Times")])
def test_a_word_that_only_looks_like_a_plural_is_none(term: str, word: str) -> None:
    assert found(f"then {word} came", term) == []


def test_titles_and_initials_are_found_as_they_stand() -> None:
    assert found("Mr. Holmes met J. H. Watson and St.\nClair", "Mr. Holmes", "J. H. Watson", "St. Clair") == [
        ("Mr. Holmes", "Mr. Holmes"),
        ("J. H. Watson", "J. H. Watson"),
        ("St.\nClair", "St. Clair"),
    ]


def test_signs_in_a_term_are_taken_literally() -> None:
    assert [surface for surface, _ in found("Mr. Fox+ met Mrx Foxx in R2-D2 (b)", "Mr.", "Fox+", "R2-D2", "(b)")] == [
        "Mr.",
        "Fox+",
        "R2-D2",
        "(b)",
    ]


def test_of_two_spellings_of_one_term_one_stands_for_both() -> None:
    assert count_terms(["Tin-Woodman, Tin Woodman"], ["Tin-Woodman", "Tin Woodman"]) == {"Tin Woodman": 2}
    assert spelling_key("Tin-Woodman") == spelling_key("Tin\nWoodman") != spelling_key("TinWoodman")


def test_no_term_finds_and_counts_nothing() -> None:
    assert found("Oz, and nothing else") == found("Oz, and nothing else", "", " ") == []
    assert count_terms(["Oz"], []) == {}
    assert not anchor_expression([]).occurs_in("Oz")


def test_terms_with_common_beginnings_are_found_as_one_by_one() -> None:
    """Against the plain rule: at each word's beginning the longest term that ends with a word; letters few, so that
    terms overlap much.
    """
    drawn = random.Random(0)
    words = ["".join(drawn.choices("abc", k=drawn.randint(1, 3))) for _ in range(40)]
    terms = {" ".join(drawn.choices(words, k=drawn.randint(1, 3))) for _ in range(200)}
    text = " ".join(drawn.choices(words, k=400))
    wanted, at = [], 0
    while at < len(text):
        fitting = (
            [term for term in terms if f"{text} "[at:].startswith(f"{term} ")] if at == 0 or text[at - 1] == " " else []
        )
        wanted += [max(fitting, key=len)] if fitting else []
        at += len(wanted[-1]) if fitting else 1
    assert [term for _, term in found(text, *terms)] == wanted


@pytest.mark.parametrize("field", ["min_count", "max_anchors"])
def test_senseless_thresholds_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"anchors.{field} is 0"):
        AnchorConfig(**{field: 0})
