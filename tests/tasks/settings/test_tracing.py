"""Claims: values that make no sense are refused by name, with what was wanted; the paper's constants are defaults."""

import math

import pytest

from tasks.settings.tracing import TracingConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": -1.0}, r"tracing\.noise is -1\.0; wanted a number >= 0"),
        ({"noise": math.inf}, r"tracing\.noise is inf"),
        ({"noise": math.nan}, r"tracing\.noise is nan"),
        ({"draws": 0}, r"tracing\.draws is 0; wanted a whole number >= 1"),
        ({"facts": 0}, r"tracing\.facts is 0"),
        ({"window": 0}, r"tracing\.window is 0"),
    ],
)
def test_bad_values_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TracingConfig(**changes)


def test_the_constants_of_the_paper_are_the_defaults() -> None:
    assert (TracingConfig().noise, TracingConfig().draws) == (3.0, 10)
