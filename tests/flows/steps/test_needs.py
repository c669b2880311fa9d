"""Claims: what a run needs follows from its model's shape and its text alone, by arithmetic that is worked out here;
shapes are read of every known type as the models have them.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.steps.needs import ModelShape, beside_what_is_there, editing_needs, model_shape, shape_of, unlearning_needs
from tasks.algorithms.models.architectures import decoder_layers, is_transposed, mlp_output
from tasks.artifacts import CheckpointRef
from tasks.settings.evaluation import MethodConfig
from tasks.settings.measuring import RelearningConfig
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.settings.training import LoraConfig
from tests.stand_ins.architectures import CONFIGS, tiny

SHAPE = ModelShape(parameters=250_000_000, hidden=1000, inner=4000, layers=10)
"""A gigabyte of weights, 4 KB a state."""
TOKENS = {"forget": 1_000_000, "retain": 2_000_000, "general": 10**9}
ALONE = RelearningConfig(steps=())


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_shape_is_that_of_the_model(kind: str) -> None:
    model = tiny(kind)
    found = model_shape(model.config, 7)
    assert (found.parameters, found.layers) == (7, len(decoder_layers(model)))
    assert found.hidden == model.get_input_embeddings().weight.shape[1]
    if kind != "mixtral":  # of experts there is no single matrix
        matrix = mlp_output(model, 0)
        assert found.inner == matrix.weight.shape[0 if is_transposed(matrix) else 1]


def test_a_checkpoint_is_described_by_its_config_alone(tmp_path: Path) -> None:
    """GPT-2's calls a state's size `n_embd`."""
    tiny("gpt2").config.save_pretrained(tmp_path)
    place = {"kind": "checkpoints", "digest": "0" * 64, "sensitivity": "ordinary", "location": str(tmp_path)}
    found = shape_of(CheckpointRef(**place, parameters=7, label="target"))
    assert found == ModelShape(parameters=7, hidden=32, inner=128, layers=3)


def test_all_weights_take_seven_copies_to_train_and_three_on_disk() -> None:
    needs = unlearning_needs(SHAPE, TOKENS, SelectiveUnlearningConfig(relearning=ALONE))
    # labels 2 x 4 GB, of one side a copy while written, 4 GB; the teacher's states 8 GB
    assert (needs.memory, needs.disk) == pytest.approx((7, 3 + 8 + 4 + 8))


def test_an_adapter_takes_two_but_relearning_trains_all_weights_of_two_models_again() -> None:
    adapted = SelectiveUnlearningConfig(relearning=ALONE, lora=LoraConfig(rank=4))
    assert unlearning_needs(SHAPE, {}, adapted).memory == pytest.approx(2)
    # what the target model writes, 256 blocks of 256 tokens, where there is no text: 0.26 GB of states
    assert unlearning_needs(SHAPE, {}, adapted).disk == pytest.approx(2 + 256 * 256 * 4e-6)
    silent = replace(adapted, finetune=replace(adapted.finetune, self_written_blocks=0))
    assert unlearning_needs(SHAPE, {}, silent).disk == pytest.approx(2)
    noised = replace(silent, distillation=replace(silent.distillation, noise_alpha=0.2))
    assert unlearning_needs(SHAPE, {}, noised).disk == pytest.approx(3 + 256 * 256 * 4e-6)
    assert unlearning_needs(SHAPE, {}, replace(adapted, relearning=RelearningConfig())).memory == pytest.approx(8)


def test_a_distillation_has_a_copy_and_states_of_its_own() -> None:
    config = SelectiveUnlearningConfig(relearning=ALONE, lora=LoraConfig(rank=4))
    for forget_text, states in ((False, 8), (True, 8 + 4)):
        distillation = replace(config.distillation, noise_alpha=0.2, forget_text=forget_text)
        needs = unlearning_needs(SHAPE, TOKENS, replace(config, distillation=distillation))
        assert (needs.memory, needs.disk) == pytest.approx((6, 3 + 8 + 4 + 8 + states))


def test_a_method_without_adapters_counts_as_one_of_all_weights() -> None:
    assert unlearning_needs(SHAPE, {}, MethodConfig(relearning=ALONE)).memory == pytest.approx(7)


def test_an_edit_takes_the_second_moments_of_all_layers_four_times_in_float64() -> None:
    # 10 layers of 4000 x 4000 numbers: 1.28 GB in float64, 0.64 GB in float32
    needs = editing_needs(SHAPE)
    assert (needs.memory, needs.disk) == pytest.approx((2 + 4 * 1.28, 2 + 0.64))


def test_what_is_there_stands_beside(lethe_home: object) -> None:
    found = beside_what_is_there(editing_needs(SHAPE))
    assert [found[name][0] for name in ("memory", "disk")] == pytest.approx([7.12, 2.64])
    assert all(there > 0 for _, there in found.values())
