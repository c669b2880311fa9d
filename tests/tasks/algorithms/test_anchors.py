"""Claims: anchors are what the forget text alone is fond of; they are found whole, longest first."""

import math

import pytest

from tasks.algorithms.anchors import (
    AnchorConfig,
    anchor_expression,
    capitalised_runs,
    count_terms,
    count_words,
    find_anchors,
    log_odds_z,
    lowercase_words,
    select_anchors,
)

FORGET = ["They saw Dorothy in the Emerald City with the Tin Woodman. Then Dorothy left London with Toto and a dog. "] * 8
BACKGROUND = ["The man left London with a dog and saw the city of London; then the men left London too. They left a tin there."] * 8
CONFIG = AnchorConfig(pipeline="none", min_count=3, min_log_odds_z=1.0)


def terms(anchors: list) -> list[str]:
    return [anchor.term for anchor in anchors]


def test_log_odds_by_hand() -> None:
    scores = log_odds_z({"oz": 3, "the": 5}, {"the": 7, "cat": 1})
    # priors: a_oz = 0.01 * (3 + 0) + 0.01 = 0.04, a_the = 0.01 * (5 + 7) + 0.01 = 0.13, a_0 = 0.01 * (8 + 8) + 0.01 * 2 = 0.18
    oz = math.log(3.04 / (8.18 - 3.04)) - math.log(0.04 / (8.18 - 0.04))  # 4.790
    the = math.log(5.13 / (8.18 - 5.13)) - math.log(7.13 / (8.18 - 7.13))  # -1.396
    assert scores["oz"] == pytest.approx(oz / math.sqrt(1 / 3.04 + 1 / 0.04), abs=1e-12)  # 0.952
    assert scores["the"] == pytest.approx(the / math.sqrt(1 / 5.13 + 1 / 7.13), abs=1e-12)  # -2.411
    assert scores["oz"] == pytest.approx(0.952, abs=1e-3)
    assert scores["the"] == pytest.approx(-2.411, abs=1e-3)


def test_log_odds_are_antisymmetric_in_the_two_texts() -> None:
    ours, theirs = {"oz": 9, "the": 40}, {"oz": 2, "the": 60}
    forward, backward = log_odds_z(ours, theirs), log_odds_z(theirs, ours)
    assert all(forward[word] == pytest.approx(-backward[word], abs=1e-12) for word in ours)


def test_a_text_of_one_word_has_a_finite_score() -> None:
    assert math.isfinite(log_odds_z({"oz": 3}, {})["oz"])
    assert math.isfinite(log_odds_z({"oz": 3}, {"oz": 2})["oz"])


def test_words_are_counted_without_case_and_hyphens_hold() -> None:
    assert count_words(["Oz, oz and OZ's well-known man"]) == {"oz": 3, "and": 1, "s": 1, "well-known": 1, "man": 1}
    assert lowercase_words(["Oz met the OLD man"]) == {"met", "the", "man"}


def test_the_longest_anchor_wins() -> None:
    expression = anchor_expression(["Tin", "Tin Woodman", "Woodman"])
    text = "Tin Woodman, Tin and Woodman"
    assert [text[start:end] for start, end in find_anchors(text, expression)] == ["Tin Woodman", "Tin", "Woodman"]
    assert count_terms([text], ["Tin", "Tin Woodman", "Woodman"]) == {"Tin Woodman": 1, "Tin": 1, "Woodman": 1}


def test_a_longer_word_hides_no_anchor_and_is_none() -> None:
    expression = anchor_expression(["Tin", "Tin Woodman"])
    text = "Tin Woodmans met Tina and MarTin"
    assert [text[start:end] for start, end in find_anchors(text, expression)] == ["Tin"]


def test_possessives_hyphens_and_quotes_bound_an_anchor() -> None:
    text = "Dorothy's \u201cDorothy\u201d Dorothy\u2019s Dorothy-like (Dorothy)"
    assert len(find_anchors(text, anchor_expression(["Dorothy"]))) == 5


def test_signs_in_a_term_are_taken_literally() -> None:
    assert find_anchors("Mr. Fox+ met Mrx Foxx", anchor_expression(["Mr.", "Fox+"])) == [(0, 3), (4, 8)]


def test_no_term_finds_and_counts_nothing() -> None:
    assert find_anchors("Oz, and nothing else", anchor_expression([])) == []
    assert count_terms(["Oz"], []) == {}


def test_capitalised_runs_know_where_a_sentence_opens() -> None:
    text = "Then came the Tin Woodman. Toto saw Queen of the Mice; \u201cOz,\u201d said Toto."
    assert list(capitalised_runs(text)) == [
        ("Then", True), ("Tin Woodman", False), ("Toto", True), ("Queen of the Mice", False), ("Oz", True), ("Toto", False),
    ]  # fmt: skip


def test_a_run_does_not_end_in_a_link_word_nor_cross_a_line() -> None:
    assert list(capitalised_runs("saw Oz of the old\nand Toto\nDorothy")) == [("Oz", False), ("Toto", False), ("Dorothy", True)]


def test_selection_drops_what_the_background_uses_as_much() -> None:
    found = terms(select_anchors({}, FORGET, BACKGROUND, CONFIG))
    assert found[0] == "Dorothy"
    assert {"Dorothy", "Emerald City", "Tin Woodman", "Toto"} == set(found)


def test_without_a_background_no_name_is_left_out_for_its_score() -> None:
    assert set(terms(select_anchors({}, FORGET, [], CONFIG))) == {"Dorothy", "Emerald City", "Tin Woodman", "London", "Toto"}


def test_selection_counts_and_ranks_by_count() -> None:
    found = select_anchors({}, FORGET, BACKGROUND, CONFIG)
    assert [(anchor.term, anchor.count) for anchor in found] == [("Dorothy", 16), ("Emerald City", 8), ("Tin Woodman", 8), ("Toto", 8)]


def test_rare_terms_and_terms_beyond_the_limit_are_left_out() -> None:
    assert terms(select_anchors({}, FORGET, BACKGROUND, AnchorConfig(min_count=9))) == ["Dorothy"]
    assert terms(select_anchors({}, FORGET, BACKGROUND, AnchorConfig(max_anchors=2))) == ["Dorothy", "Emerald City"]


def test_a_run_is_as_distinctive_as_its_best_word() -> None:
    """`Tin` is ordinary in the background, `Woodman` is not."""
    scores = {anchor.term: anchor.log_odds_z for anchor in select_anchors({}, FORGET, BACKGROUND, CONFIG)}
    words, other = count_words(FORGET), count_words(BACKGROUND)
    assert scores["Tin Woodman"] == pytest.approx(log_odds_z(words, other)["woodman"], abs=5e-4)


def test_an_entity_keeps_its_kind_when_its_article_or_possessive_is_cut() -> None:
    entities = {"The Emerald City": {"PLACE": 3, "THING": 1}, "Dorothy's": {"PERSON": 2}, "Dorothy": {"GROUP": 1}}
    kinds = {anchor.term: anchor.kind for anchor in select_anchors(entities, FORGET, BACKGROUND, CONFIG)}
    assert kinds["Emerald City"] == "PLACE"
    assert kinds["Dorothy"] == "PERSON"
    assert kinds["Toto"] == "THING"


def test_origins_say_who_found_a_term() -> None:
    """`London` is no anchor; `Toto` opens no sentence, so both find it; `left` is found by the pipeline alone."""
    forget = ["Sophy met Toto. "] * 5
    origins = {anchor.term: anchor.origin for anchor in select_anchors({"Toto": {"PERSON": 5}, "Sophy": {"PERSON": 5}}, forget, BACKGROUND, CONFIG)}
    assert origins == {"Toto": "entity+log-odds", "Sophy": "entity"}
    assert select_anchors({}, forget, BACKGROUND, CONFIG)[0].origin == "log-odds"


def test_a_text_without_names_has_no_anchors() -> None:
    assert select_anchors({}, ["all is quiet here"], BACKGROUND, CONFIG) == []
    assert select_anchors({}, [], [], CONFIG) == []


@pytest.mark.parametrize("field", ["min_count", "max_anchors"])
def test_senseless_thresholds_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"anchors.{field} is 0"):
        AnchorConfig(**{field: 0})
