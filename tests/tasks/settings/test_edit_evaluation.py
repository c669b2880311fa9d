"""Settings of how edits are judged: a figure that makes no sense is refused by name."""

import pytest

from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.schema import prose


@pytest.mark.parametrize(
    ("setting", "value", "least"),
    [
        ("unrelated", -1, 0),
        ("generations", -1, 0),
        ("generation_tokens", 2, 3),
        ("generation_top_k", 0, 1),
        ("text_tokens", -1, 0),
        ("window", 15, 16),
        ("answers", -1, 0),
        ("answer_tokens", 0, 1),
    ],
)
def test_a_number_that_is_too_small_is_refused(setting: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"edit_evaluation.{setting} is {value}; wanted a whole number >= {least}"):
        EditEvaluationConfig(**{setting: value})
    assert getattr(EditEvaluationConfig(**{setting: least}), setting) == least


def test_every_setting_says_what_it_is() -> None:
    assert set(prose(EditEvaluationConfig)) == set(EditEvaluationConfig.__dataclass_fields__)
