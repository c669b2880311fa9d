"""Thresholds that make no sense are refused by name."""

import math

import pytest

from tasks.settings.edit_verdict import EditVerdictConfig

SHARES = ("efficacy", "paraphrase", "old_left", "neighborhood", "alteration", "entropy")


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_from_0_to_1(name: str) -> None:
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=rf"verdict\.{name} is {value}; wanted a number from 0 to 1"):
            EditVerdictConfig(**{name: value})
    for value in (0.0, 1.0):
        assert getattr(EditVerdictConfig(**{name: value}), name) == value


def test_a_ratio_is_positive() -> None:
    for value in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"verdict\.perplexity_ratio is {value}; wanted a number > 0"):
            EditVerdictConfig(perplexity_ratio=value)
