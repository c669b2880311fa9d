"""Claims: what is left, what comes back and what is kept are shares of what the target model has, in one metric;
words say which half a choice passed on, and what it lacks on the other."""

import pytest

from tasks.reporting.choice_rows import how_chosen, how_judged, in_part, in_words, standing


def row(target: float | None, unlearned: float | None) -> dict:
    return {"target": target, "unlearned": unlearned, "retrained": None, "ci95": None, "n": 1}


METRICS = {
    "forget_test/probability": row(0.8, 0.2),
    "forget_test/familiarity": row(0.5, 0.4),
    "forget_test/relearned_forget_1_probability": row(0.8, 0.3),
    "forget_test/relearned_retain_3_probability": row(0.7, 0.4),
    "forget_test/relearned_forget_3_familiarity": row(0.5, 0.5),
    "retain_test/probability": row(0.8, 0.76),
}


def test_shares_of_what_the_target_has() -> None:
    assert standing(METRICS) == pytest.approx({"left": 0.25, "back": 0.5, "kept": 0.95})


def test_prose_is_told_by_its_anchors_and_its_tokens() -> None:
    prose = {name: value for name, value in METRICS.items() if not name.endswith("probability")}
    found = standing({**prose, "retain_test/text_probability": row(0.2, 0.19)})
    assert found == pytest.approx({"left": 0.8, "back": 1.0, "kept": 0.95})


def test_what_was_not_measured_is_none() -> None:
    assert standing({}) == {"left": None, "back": None, "kept": None}
    assert standing({"forget_test/probability": row(None, 0.2)})["left"] is None


def test_what_lacks_is_said_with_how_much_more_there_is() -> None:
    assert in_words([]) == "nothing"
    assert in_words(["a", "b", "c"], 2) == "a; b; 1 more"
    assert in_words(["a", "b"]) == "a; b"
    assert (in_part("npo", 1.0), in_part("npo", 0.25)) == ("npo", "npo, 0.25 of its steps")


def test_words_say_by_which_half_it_was_chosen_and_what_it_lacks_on_the_other() -> None:
    assert how_chosen([], candidates=3, trials=1) == (
        "among 3 candidates, in 1 trial, by one half of what is asked about, on which it passed; judged on the other"
        " half, which no trial saw"
    )
    assert "in 4 trials, by one half of what is asked about, on which none passed; it came nearest, lacking a; b;" in (
        how_chosen(["a", "b"], candidates=3, trials=4)
    )
    assert how_judged([], []) == how_judged(["a"], []) == "On the untouched half it passes."
    again = "Nothing was tried again on that half: it would say no more."
    assert how_judged(["a"], ["a", "c"]) == f"On the untouched half it does not pass: it lacks a; c. {again}"
    assert how_judged([], ["c"]) == (
        "On the untouched half it does not pass: although it passed on the half it was chosen by, it lacks c. " + again
    )
