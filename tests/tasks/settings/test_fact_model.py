"""Claims: settings that cannot be met are refused with the value found and the value wanted."""

import pytest

from tasks.settings.fact_model import FactModelConfig, FactWorldConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"people": 1}, r"fact_world\.people is 1; wanted a whole number from 2 to 140"),
        ({"name_parts": 4}, r"fact_world\.name_parts is 4; wanted a whole number from 2 to 3"),
        ({"objects": 13}, r"fact_world\.objects is 13; wanted a whole number from 2 to 12"),
        ({"distractors": 1.5}, r"fact_world\.distractors is 1\.5; wanted a number from 0 to 1"),
        ({"tuning_share": -0.1}, r"fact_world\.tuning_share is -0\.1; wanted a number from 0 to 1"),
        ({"people": 10, "name_pool": 3}, r"fact_world\.people is 10; wanted at most 9, the names that there are"),
        ({"people": 4, "name_pool": 2, "places": 17}, r"fact_world\.places is 17; wanted at most 16"),
    ],
)
def test_a_world_that_cannot_be_is_refused(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactWorldConfig(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"form": "rnn"}, r"form is 'rnn'; wanted one of gpt2, llama"),
        ({"steps": 0}, r"fact_model\.steps is 0; wanted a whole number >= 1"),
        ({"hidden": 130}, r"fact_model\.hidden is 130; wanted a multiple of heads, 4"),
        ({"context": 32}, r"fact_model\.context is 32; wanted at least row_tokens, 48"),
        ({"initializer_range": 0.0}, r"fact_model\.initializer_range is 0\.0; wanted a number > 0"),
        ({"object_weight": 0.0}, r"fact_model\.object_weight is 0\.0; wanted a number > 0"),
        ({"mask_share": 2.0}, r"fact_model\.mask_share is 2\.0; wanted a number from 0 to 1"),
        ({"learning_rate": -1.0}, r"learning_rate is -1\.0; wanted a number > 0"),
    ],
)
def test_a_model_that_cannot_be_is_refused(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactModelConfig(**setting)


def test_three_words_of_few_make_many_names() -> None:
    assert FactWorldConfig(people=27, name_pool=3, name_parts=3, places=0).people == 27
