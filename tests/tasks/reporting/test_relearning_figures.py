"""Claims: a card's figures after relearning become curves in the order of their steps, one a model and text, and a
picture that says in words what it shows.
"""

from typing import Any

from tasks.reporting.relearning_figures import relearning_curves, relearning_picture

PNG = b"\x89PNG"


def row(target: float, unlearned: float, retrained: float | None = None) -> dict[str, Any]:
    return {"target": target, "unlearned": unlearned, "retrained": retrained}


METRICS = {
    "forget_test/probability": row(0.9, 0.0, 0.1),
    "forget_test/relearned_forget_30_probability": row(0.7, 0.3, 0.2),
    "forget_test/relearned_forget_3_probability": row(0.8, 0.1, 0.15),
    "forget_test/relearned_retain_10_probability": row(0.85, 0.05),
    "forget_test/rounded_4_probability": row(0.9, 0.0),
    "retain_test/relearned_forget_3_probability": row(0.9, 0.0),
}


def test_points_stand_in_the_order_of_their_steps_and_nothing_else_is_one() -> None:
    assert relearning_curves(METRICS) == {
        "forget": {
            "target": [(3, 0.8), (30, 0.7)],
            "unlearned": [(3, 0.1), (30, 0.3)],
            "retrained": [(3, 0.15), (30, 0.2)],
        },
        "retain": {"target": [(10, 0.85)], "unlearned": [(10, 0.05)]},
    }


def test_the_picture_says_in_words_what_it_shows() -> None:
    picture = relearning_picture(METRICS)
    assert picture is not None
    assert picture.png.startswith(PNG)
    assert "trained on other parts of the forgotten text, unlearned: 0.1 after 3, 0.3 after 30" in picture.alt
    assert "trained on text that is to be kept, target: 0.85 after 10" in picture.alt


def test_without_relearning_there_is_none() -> None:
    assert relearning_picture({"forget_test/probability": row(0.9, 0.0)}) is None
