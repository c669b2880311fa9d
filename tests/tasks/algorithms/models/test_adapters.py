"""Claims: a fresh adapter changes nothing, base weights never change, taking it off gives the base back, merging equals
it.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.models import adapters
from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch, EpochBatches, TrainingState, Validation, train
from tasks.settings.training import LoraConfig, TrainingConfig
from tests.reference.lora import merged_weight

BLOCKS = [
    tuple(torch.randint(300, (4 + 3 * number % 9,), generator=torch.Generator().manual_seed(number)).tolist())
    for number in range(8)
]
IDS, MASK = pad_batch(BLOCKS[:3], 0)
FAMILIES = pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
RANK4 = LoraConfig(rank=4)
TRAINING = TrainingConfig(
    learning_rate=2e-2, epochs=2, batch_blocks=2, mixed_precision="no", validate_every=2, patience=9
)


def make(chosen: list[int], step: int) -> Batch:
    ids, mask = pad_batch([BLOCKS[index] for index in chosen], 0)
    return Batch(tensors={"ids": ids, "mask": mask}, cached={}, weight=float(mask[:, 1:].sum()))


def fit(model: nn.Module, settings: TrainingConfig = TRAINING, **options: object) -> dict[str, float]:
    return train(model, EpochBatches(len(BLOCKS), make, settings), CausalLM(), settings, **options)


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(input_ids=IDS, attention_mask=MASK).logits[MASK.bool()]


def base_weights(model: nn.Module) -> dict[str, Tensor]:
    return {
        name.replace(".base_layer", ""): value.detach().clone()
        for name, value in model.named_parameters()
        if ".lora_" not in name
    }


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@FAMILIES
def test_a_fresh_adapter_changes_nothing_and_alone_is_trained(family: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1)
    before, parameters = logits(model), sum(value.numel() for value in model.parameters())
    adapters.attach(model, RANK4, "new", seed=0)
    assert torch.equal(logits(model), before)
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert trained == list(adapters.adapter_parameters(model, "new"))
    assert 0 < sum(value.numel() for value in adapters.adapter_parameters(model, "new").values()) < parameters / 2
    layers = {name.rpartition(".")[2] for name, _ in adapters.adapted_layers(model)}
    llama = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert layers == (llama if family == "tiny_llama" else {"c_attn", "c_proj", "c_fc"})


@FAMILIES
@pytest.mark.parametrize("tied", [False, True])
def test_base_weights_stay_while_an_adapter_trains_and_taking_it_out_gives_the_base_back(
    family: str, tied: bool, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)(1, tie_word_embeddings=tied)
    weights, before = base_weights(model), logits(model)
    adapters.attach(model, RANK4, "new", seed=0)
    fit(model)
    assert_equal(base_weights(model), weights)
    assert (logits(model) - before).abs().max() > 0.1
    with adapters.switched(model, None):
        assert torch.equal(logits(model), before)
    assert adapters.switched_on(model) == "new"
    adapters.take_out(model)
    assert torch.equal(logits(model), before)
    assert_equal({name: value.detach() for name, value in model.named_parameters()}, weights)
    assert all(value.requires_grad for value in model.parameters())


@FAMILIES
@pytest.mark.parametrize("tied", [False, True])
def test_a_merged_model_is_a_plain_one_that_says_the_same(
    family: str, tied: bool, request: pytest.FixtureRequest, tmp_path
) -> None:
    model = request.getfixturevalue(family)(1, tie_word_embeddings=tied)
    names = list(dict(model.named_parameters()))
    adapters.attach(model, RANK4, "new", seed=0)
    fit(model)
    wanted = logits(model)
    adapters.merge(model, "new")
    torch.testing.assert_close(logits(model), wanted, atol=1e-5, rtol=0)
    assert list(dict(model.named_parameters())) == names
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(type(model).from_pretrained(tmp_path).eval()), logits(model))


@FAMILIES
def test_every_matrix_is_merged_as_the_slow_restatement_says(family: str, request: pytest.FixtureRequest) -> None:
    """GPT-2 keeps its weights transposed. With alpha 6 and rank 4 the scale is 1.5."""
    model = request.getfixturevalue(family)(1)
    adapters.attach(model, LoraConfig(rank=4, lora_alpha=6.0), "new", seed=0)
    fit(model)
    layers = {
        name: (layer.base_layer.weight.clone(), layer.lora_A["new"].weight.clone(), layer.lora_B["new"].weight.clone())
        for name, layer in adapters.adapted_layers(model)
    }
    adapters.merge(model, "new")
    for name, (weight, a, b) in list(layers.items())[::3]:
        wanted = merged_weight(weight, a, b, 6.0, transposed=family == "tiny_gpt2")
        torch.testing.assert_close(model.get_submodule(name).weight.double(), wanted, atol=1e-6, rtol=0)


def test_a_half_precision_base_is_merged_in_float32(tiny_llama) -> None:
    """The update is added before rounding, once; its own weights are float32."""
    model = tiny_llama(1).to(torch.bfloat16)
    adapters.attach(model, RANK4, "new", seed=0)
    assert {value.dtype for value in adapters.adapter_parameters(model, "new").values()} == {torch.float32}
    fit(model)
    name, layer = adapters.adapted_layers(model)[0]
    wanted = (layer.base_layer.weight.float() + 2.0 * layer.lora_B["new"].weight @ layer.lora_A["new"].weight).to(
        torch.bfloat16
    )
    adapters.merge(model, "new")
    assert torch.equal(model.get_submodule(name).weight, wanted)


def test_one_seed_one_adapter_and_the_callers_random_numbers_stay(tiny_llama) -> None:
    found = []
    for seed in (3, 3, 4):
        model = tiny_llama(1)
        torch.manual_seed(7)
        adapters.attach(model, RANK4, "new", seed)
        drawn = torch.rand(3)
        torch.manual_seed(7)
        assert torch.equal(torch.rand(3), drawn)
        found.append(adapters.adapter_tensors(model, "new"))
    assert_equal(found[1], found[0])
    assert any(not torch.equal(found[2][name], found[0][name]) for name in found[0])


@FAMILIES
def test_two_adapters_share_one_base_and_do_not_meet(family: str, request: pytest.FixtureRequest) -> None:
    """Reinforced and unlearned model on one set of weights: training the second leaves the first as it was."""
    factory = request.getfixturevalue(family)
    model = factory(1)
    before = logits(model)
    adapters.attach(model, RANK4, "first", seed=0)
    fit(model)
    first, kept = logits(model), adapters.adapter_tensors(model, "first")
    adapters.attach(model, LoraConfig(rank=2), "second", seed=1)
    assert torch.equal(logits(model), before)
    fit(model)
    assert_equal(adapters.adapter_tensors(model, "first"), kept)
    second = logits(model)
    for name, wanted in (("first", first), (None, before), ("second", second)):
        with adapters.switched(model, name):
            assert torch.equal(logits(model), wanted)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == set(adapters.adapter_parameters(model, "second"))  # switching changes no one's training
    with pytest.raises(KeyError, match="no adapter 'third'; wanted one of first, second"):
        adapters.switch(model, "third")
    with pytest.raises(ValueError, match="an adapter 'second' already"):
        adapters.attach(model, RANK4, "second", seed=0)


@FAMILIES
def test_views_read_one_model_two_ways_and_hold_one_set_of_weights(family: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1)
    plain, before = last_hidden(model, IDS, MASK).detach(), logits(model)
    adapters.attach(model, RANK4, "new", seed=0)
    fit(model)
    off, on = adapters.AdapterView(model, None), adapters.AdapterView(model, "new")
    assert torch.equal(last_hidden(off, IDS, MASK), plain)
    assert torch.equal(last_hidden(on, IDS, MASK), last_hidden(model, IDS, MASK))
    assert torch.equal(logits(off), before)
    assert output_head(on) is output_head(off) is model.get_output_embeddings()
    assert {value.data_ptr() for value in on.parameters()} == {value.data_ptr() for value in off.parameters()}
    assert on.device == model.device


@FAMILIES
def test_a_saved_adapter_comes_back_to_the_bit(family: str, request: pytest.FixtureRequest) -> None:
    factory = request.getfixturevalue(family)
    model, other = factory(1), factory(1)
    adapters.attach(model, RANK4, "new", seed=0)
    fit(model)
    settings, tensors = adapters.adapter_settings(model, "new"), adapters.adapter_tensors(model, "new")
    adapters.attach_saved(other, settings, tensors, "again")
    assert torch.equal(logits(other), logits(model))
    assert not any(value.requires_grad for value in other.parameters())
    with pytest.raises(ValueError, match="do not fit model type"):
        adapters.attach_saved(factory(1), settings, dict(list(tensors.items())[1:]), "short")


@FAMILIES
@pytest.mark.parametrize("validated", [False, True])
def test_a_resumed_run_ends_with_the_same_adapter_and_its_state_holds_nothing_else(
    family: str, validated: bool, request: pytest.FixtureRequest
) -> None:
    def validate(model: nn.Module) -> Validation:
        size = sum(
            float(value.detach().double().square().sum())
            for value in adapters.adapter_parameters(model, "new").values()
        )
        return Validation(score=abs(size % 1.0 - 0.5), acceptable=True)

    factory, states = request.getfixturevalue(family), {}

    def keep(step: int, capture: Callable[[], TrainingState]) -> None:
        states[step] = capture()

    options = {"validate": validate} if validated else {}
    model = factory(1)
    adapters.attach(model, RANK4, "new", seed=0)
    numbers = fit(model, on_checkpoint=keep, **options)
    own = set(adapters.adapter_parameters(model, "new"))
    for state in states.values():
        assert {name.partition("/")[2] for name in state.tensors if not name.startswith("optimizer/")} == own
        assert len({name.split("/")[1] for name in state.tensors if name.startswith("optimizer/")}) == len(own)
    for step in (1, 3, 6):
        again = factory(1)
        adapters.attach(again, RANK4, "new", seed=5)
        assert fit(again, state=states[step], **options) == numbers
        assert_equal(adapters.adapter_tensors(again, "new"), adapters.adapter_tensors(model, "new"))


def test_the_learning_rate_is_that_of_whole_weights_times_the_factor() -> None:
    """At 7e9 parameters the rule gives 3e-6."""
    config = TrainingConfig(rate_at_7b=3e-6)
    assert adapters.adapter_training(
        config, LoraConfig(rank=8, rate_factor=10.0), 7_000_000_000
    ).learning_rate == pytest.approx(3e-5)
    assert adapters.adapter_training(
        TrainingConfig(learning_rate=1e-4), LoraConfig(rank=8, rate_factor=5.0), 10
    ).learning_rate == pytest.approx(5e-4)


def random_blocks(seed: int) -> list[tuple[int, ...]]:
    return [
        tuple(torch.randint(300, (16,), generator=torch.Generator().manual_seed(100 * seed + number)).tolist())
        for number in range(8)
    ]


def learn(model: nn.Module, blocks: list[tuple[int, ...]], settings: TrainingConfig) -> float:
    """Train on the blocks and return their loss afterwards, in nats a token."""

    def make_batch(chosen: list[int], step: int) -> Batch:
        ids, mask = pad_batch([blocks[index] for index in chosen], 0)
        return Batch(tensors={"ids": ids, "mask": mask}, cached={}, weight=1.0)

    train(model, EpochBatches(len(blocks), make_batch, settings), CausalLM(), settings)
    ids, mask = pad_batch(blocks, 0)
    with torch.no_grad():
        return float(CausalLM().loss(model, {"ids": ids, "mask": mask}, {})[0])


@FAMILIES
def test_at_the_default_factor_an_adapter_learns_in_as_many_steps_what_whole_weights_do(
    family: str, request: pytest.FixtureRequest
) -> None:
    """Loss of eight new blocks after fifteen readings: 3.2 and 5.1 with whole weights, 3.2 and 5.3 at rank 4, 7.7 and
    8.1 there with factor 1.
    """
    factory, settings = (
        request.getfixturevalue(family),
        TrainingConfig(learning_rate=1e-3, epochs=15, batch_blocks=4, mixed_precision="no"),
    )
    start = factory(1)
    learn(start, random_blocks(0) + random_blocks(1), replace(settings, learning_rate=5e-3, epochs=80))

    def loss(lora: LoraConfig) -> float:
        model, config = factory(1), settings
        model.load_state_dict(start.state_dict())
        if lora.rank:
            adapters.attach(model, lora, "new", seed=0)
            config = adapters.adapter_training(settings, lora, 1)
        return learn(model, random_blocks(9), config)

    whole = loss(LoraConfig())
    assert loss(RANK4) == pytest.approx(whole, rel=0.15)
    assert loss(LoraConfig(rank=4, rate_factor=1.0)) > 1.4 * whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": -1}, "lora.rank is -1"),
        ({"lora_alpha": -0.5}, "lora.lora_alpha is -0.5"),
        ({"rate_factor": 0.0}, "lora.rate_factor is 0.0"),
        ({"rate_factor": math.nan}, "lora.rate_factor is nan"),
        ({"lora_alpha": math.inf}, "lora.lora_alpha is inf"),
        ({"output": "both"}, "lora.output is 'both'; wanted one of merged, adapter"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoraConfig(**changes)
