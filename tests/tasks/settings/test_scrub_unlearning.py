"""Claims: SCRUB's presets and the sweep of the source work are what they say; a run that differs from it says how; a
step is not half ascent and half descent.
"""

from dataclasses import replace

import pytest

from flows.steps.settings import apply_settings
from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.settings.scrub_unlearning import (
    SCRUB_PRESETS,
    SOURCE_PARAMETERS,
    WEIGHT_PAIRS,
    ScrubUnlearningConfig,
    scrub_preset,
    source_remark,
    weight_sweep,
)
from tasks.settings.training import LoraConfig
from tests.benchmarks import depth


def test_a_step_is_not_half_ascent_and_half_descent() -> None:
    with pytest.raises(ValueError, match=r"training.accumulation is 2; wanted 1 in form original"):
        ScrubUnlearningConfig(scrub=ScrubConfig(form="original"), training=ScrubTrainingConfig(accumulation=2))


@pytest.mark.parametrize("name", SCRUB_PRESETS)
def test_presets_take_the_seed(name: str) -> None:
    assert scrub_preset(name, 7).training.seed == scrub_preset(name, 7).translation.seed == 7
    assert scrub_preset(name) == SCRUB_PRESETS[name]


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="preset is 'gpt2'; wanted one of default, lasting, original, gpt2-winobias"):
        scrub_preset("gpt2")


def test_what_lasts_is_what_was_measured_on_tofu() -> None:
    """Claims: the preset is the setting of the row in the table, by the words of its command."""
    default, lasting = scrub_preset("default"), scrub_preset("lasting")
    assert lasting == apply_settings(default, depth.POINTS["surprisal-noise-45"])


def test_the_source_works_preset_has_its_constants() -> None:
    config = scrub_preset("gpt2-winobias")
    assert (config.scrub.form, config.scrub.gamma, config.scrub.bound, config.scrub.temperature) == (
        "language_model",
        0.0,
        None,
        1.0,
    )
    assert (config.training.epochs, config.training.batch_blocks, config.training.schedule) == (50, 36, "exponential")
    assert -(-396 // config.training.batch_blocks) == 11  # the 396 pairs of WinoBias Type 1 dev


def test_the_sweep_has_the_three_weights_of_the_source_work_and_nothing_else_changes() -> None:
    # a sweep shows how each run ends, broken or not
    for guard, run_with in {"steer": "watch", "watch": "watch", "off": "off"}.items():
        config = ScrubUnlearningConfig(training=ScrubTrainingConfig(guard=guard))
        assert {found.training.guard for found in weight_sweep(config).values()} == {run_with}
    swept = weight_sweep(scrub_preset("gpt2-winobias"))
    assert (
        [(config.scrub.alpha, config.scrub.beta) for config in swept.values()]
        == list(WEIGHT_PAIRS)
        == [(0.25, 0.75), (0.5, 0.5), (0.75, 0.25)]
    )
    assert next(iter(swept)) == "alpha 0.25, beta 0.75"
    assert {config.training for config in swept.values()} == {scrub_preset("gpt2-winobias").training}


def test_a_run_on_another_model_than_gpt2_is_labelled() -> None:
    published, begun = (
        scrub_preset("gpt2-winobias", seed=3),
        "The source work trained GPT-2 (124,439,808 parameters); this run has ",
    )
    assert source_remark(published, 944_000) == f"{begun}its constants on a model of 944,000 parameters."
    shorter = replace(published, training=replace(published.training, epochs=6))
    assert (
        source_remark(shorter, 944_000)
        == f"{begun}its loss, and of its training all but epochs 6 instead of 50, on a model of 944,000 parameters."
    )
    assert "epochs 6 instead of 50" in source_remark(shorter, SOURCE_PARAMETERS)
    adapted = replace(published, lora=LoraConfig(rank=8), rewind=RewindConfig(enabled=True))
    assert "all but adapters of rank 8 instead of all weights, with a rewind, on a model" in source_remark(
        adapted, SOURCE_PARAMETERS
    )
    noised = replace(published, distillation=replace(published.distillation, noise_alpha=0.2))
    assert "all but with noise and distillation, on a model" in source_remark(noised, SOURCE_PARAMETERS)
    assert source_remark(published, SOURCE_PARAMETERS) == source_remark(scrub_preset("default"), 944_000) == ""
    assert all(source_remark(config, 944_000) for config in weight_sweep(published).values())


def test_form_original_has_no_pairs_of_weights_to_sweep() -> None:
    with pytest.raises(ValueError, match=r"scrub.form is 'original'; wanted language_model"):
        weight_sweep(scrub_preset("original"))
