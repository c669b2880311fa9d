"""Claims: what is out of range is refused by name; every method has the settings, off, with the preset's seed; a method
or an adapter that noise is not for is refused with its settings; a short key still means what it meant.
"""

from dataclasses import replace

import pytest

from flows.methods import METHODS
from flows.steps.settings import apply_settings
from tasks.artifacts import BadInputError
from tasks.settings.distillation import DistillationConfig
from tasks.settings.training import peak_learning_rate

ON = "distillation.noise_alpha=0.3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_alpha": 1.0}, "distillation.noise_alpha is 1.0; wanted a number from 0 to 1, less than 1"),
        ({"noise_alpha": float("nan")}, "distillation.noise_alpha is nan"),
        ({"noise_beta": -0.1}, "distillation.noise_beta is -0.1"),
        ({"steps": 0}, "distillation.steps is 0; wanted a whole number >= 1"),
        ({"block_size": 8}, "distillation.block_size is 8"),
        ({"self_written_blocks": -1}, "distillation.self_written_blocks is -1"),
        ({"text_share": -0.1}, "distillation.text_share is -0.1"),
        ({"text_share": 1.1}, "distillation.text_share is 1.1; wanted a number from 0 to 1"),
        ({"text_share": float("nan")}, "distillation.text_share is nan"),
        ({"held_share": 0.0}, "distillation.held_share is 0.0; wanted a number above 0, 0.5 at most"),
        ({"batch_blocks": 0}, "batch_blocks is 0"),
    ],
)
def test_senseless_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationConfig(**changes)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_it_off_and_with_the_seed_of_its_preset(name: str) -> None:
    for preset in ("default", "paper"):
        assert METHODS[name].preset(preset, 7).distillation == DistillationConfig(seed=7)
    assert METHODS[name].preset("default", 0).distillation.noise_alpha == 0


def test_a_method_that_changes_no_weights_is_refused() -> None:
    refusing = set()
    for name, method in METHODS.items():
        try:
            apply_settings(method.preset("default", 0), [ON])
        except BadInputError as error:
            assert str(error) == "distillation.noise_alpha is 0.3; wanted 0: a guardrail changes no weights"
            refusing.add(name)
    assert refusing == {name for name, method in METHODS.items() if not method.changes_weights} == {"guardrail"}


@pytest.mark.parametrize("name", ["whp", "npo", "scrub", "task_vector"])
def test_an_adapter_can_be_merged_and_noised_but_not_noised_and_handed_over(name: str) -> None:
    config = METHODS[name].preset("default", 0)
    assert apply_settings(config, [ON, "lora.rank=4"]).lora.output == "merged"
    with pytest.raises(BadInputError, match=r"lora\.output is 'adapter'; wanted merged"):
        apply_settings(config, [ON, "lora.rank=4", "lora.output=adapter"])


def test_alpha_and_beta_alone_are_those_of_the_method() -> None:
    assert apply_settings(METHODS["whp"].preset("default", 0), ["alpha=3"]).labels.alpha == 3
    assert apply_settings(METHODS["scrub"].preset("default", 0), ["beta=0.5", "alpha=0.5"]).scrub.beta == 0.5
    with pytest.raises(BadInputError, match=r"did you mean distillation.noise_alpha\?"):
        apply_settings(METHODS["whp"].preset("default", 0), ["distillation.alpha=0.3"])


def test_the_rule_meets_the_source_works_rate_at_its_models_size() -> None:
    assert peak_learning_rate(DistillationConfig(), 2_614_000_000) == pytest.approx(2e-5, rel=0.1)
    assert peak_learning_rate(replace(DistillationConfig(), learning_rate=1e-4), 10) == 1e-4
