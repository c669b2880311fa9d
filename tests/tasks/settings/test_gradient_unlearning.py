"""Claims: an objective's settings are checked by name and type, wherever they come from."""

from typing import Any

import pytest

from tasks.settings.gradient_unlearning import GradientUnlearningConfig
from tasks.settings.objectives.npo import NPOConfig


def test_a_mapping_becomes_the_settings_of_the_method() -> None:
    assert GradientUnlearningConfig(method="npo", objective={"b": 1}).objective == NPOConfig(b=1)
    assert GradientUnlearningConfig(method="rmu", objective={"trained_layers": [1, 2]}).objective.trained_layers == (
        1,
        2,
    )


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"b": [0.1]}, r"objective\.b is \(0\.1,\); wanted"),
        ({"b": "0.1"}, r"objective\.b is '0\.1'; wanted"),
        ({"b": True}, r"objective\.b is True; wanted"),
        ({"b": None}, r"objective\.b is None; wanted"),
        ([{"b": 0.1}], "objective is a list; wanted the settings of npo by name"),
        ("npo", "objective is a str; wanted"),
        ({"beta": 1, 3: 2}, "method npo has no setting 3, beta"),
    ],
)
def test_what_does_not_fit_is_refused(objective: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientUnlearningConfig(method="npo", objective=objective)
