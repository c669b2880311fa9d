"""Claims: values that make no sense are refused by name, with what was wanted."""

import math

import pytest

from tasks.settings.rank_one_editing import EditConfig, SecondMomentConfig


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (SecondMomentConfig, {"least_tokens": 0}, r"second_moments\.least_tokens is 0"),
        (SecondMomentConfig, {"most_tokens": 1999}, r"most_tokens is 1999; wanted at least least_tokens, 2000"),
        (SecondMomentConfig, {"tolerance": 0.0}, r"second_moments\.tolerance is 0\.0; wanted a number > 0"),
        (SecondMomentConfig, {"tolerance": math.nan}, r"second_moments\.tolerance is nan"),
        (SecondMomentConfig, {"ridge": -1e-4}, r"second_moments\.ridge is -0\.0001; wanted a number >= 0"),
        (SecondMomentConfig, {"batch_rows": 0}, r"second_moments\.batch_rows is 0"),
        (EditConfig, {"algorithm": "memo"}, r"algorithm.*memo.*rome.*memit"),
        (EditConfig, {"keys": "both"}, r"keys.*both.*averaged.*original"),
        (EditConfig, {"steps": 0}, r"edit\.steps is 0; wanted a whole number >= 1"),
        (EditConfig, {"batch": 0}, r"edit\.batch is 0"),
        (EditConfig, {"learning_rate": 0.0}, r"edit\.learning_rate is 0\.0; wanted a number > 0"),
        (EditConfig, {"clamp": math.inf}, r"edit\.clamp is inf"),
        (EditConfig, {"stop_nats": -0.1}, r"edit\.stop_nats is -0\.1; wanted a number >= 0"),
        (EditConfig, {"decay": math.nan}, r"edit\.decay is nan"),
        (EditConfig, {"short_contexts": -1}, r"edit\.short_contexts is -1"),
        (EditConfig, {"layer": -1}, r"edit\.layer is -1; wanted a number >= 0, or none"),
    ],
)
def test_bad_values_are_named(config: type, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_the_constants_of_the_original_are_the_defaults() -> None:
    config = EditConfig()
    assert (config.learning_rate, config.steps, config.clamp, config.kl_weight, config.decay) == (
        0.5,
        20,
        4,
        0.0625,
        0.5,
    )
    assert (config.short_contexts, config.short_tokens, config.long_contexts, config.long_tokens) == (10, 5, 10, 10)
