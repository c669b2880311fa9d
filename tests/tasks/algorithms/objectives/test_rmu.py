"""Claims: RMU is its float64 restatement; it computes nothing above its layer; only the named matrices are trained and
reached.
"""

import copy
import math
import re

import pytest
import torch

from tasks.algorithms.models.layers import default_layer, hidden_after
from tasks.algorithms.objectives.rmu import RMU, unit_vector
from tasks.settings.objectives.rmu import RMUConfig
from tests.reference import objectives as reference
from tests.stand_ins.architectures import tiny
from tests.stand_ins.objectives import FORGET, RETAIN, layer_states, make_batch, make_cached


def states(model, texts, layer: int) -> list:
    """Float64 hidden states of each text, read alone."""
    exact = copy.deepcopy(model).double()
    return [
        layer_states(exact, torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long), layer)[0].tolist()
        for ids, _ in texts
    ]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("c, alpha", [(6.5, 1200.0), (1.0, 0.5)])
def test_the_loss_equals_float64(pair, layer: int, c: float, alpha: float) -> None:
    batch = make_batch()
    found, metrics = RMU(RMUConfig(layer=layer, c=c, alpha=alpha, seed=3)).loss(
        pair.student, batch, make_cached(pair.frozen, batch, layer)
    )
    drawn = torch.rand(32, generator=torch.Generator().manual_seed(3)).tolist()
    expected = reference.rmu(
        states(pair.student, FORGET, layer),
        states(pair.student, RETAIN, layer),
        states(pair.frozen, RETAIN, layer),
        drawn,
        c,
        alpha,
        FORGET,
        RETAIN,
    )
    assert found.item() == pytest.approx(expected, rel=2e-5)
    assert found.item() == pytest.approx(metrics["forget_mse"].item() + alpha * metrics["retain_mse"].item(), rel=1e-6)


def test_the_target_model_has_no_retain_loss(pair) -> None:
    batch = make_batch()
    assert RMU(RMUConfig()).loss(pair.frozen, batch, make_cached(pair.frozen, batch))[1]["retain_mse"].item() < 1e-12


def test_the_vector_has_length_1_and_depends_on_the_seed_alone() -> None:
    assert unit_vector(32, 0).norm().item() == pytest.approx(1, rel=1e-6)
    assert torch.equal(unit_vector(32, 0), unit_vector(32, 0))
    assert not torch.equal(unit_vector(32, 0), unit_vector(32, 1))
    before = torch.random.get_rng_state()
    unit_vector(32, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_forgetting_brings_the_hidden_states_nearer_to_the_vector(pair) -> None:
    batch = make_batch(retain=())
    student, objective = copy.deepcopy(pair.student), RMU(RMUConfig(c=1.0))
    trained = [dict(student.named_parameters())[name] for name in objective.trainable(student)]
    optimizer, curve = torch.optim.SGD(trained, lr=3e-3), []
    for _ in range(10):
        loss, _ = objective.loss(student, batch, {})
        student.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] < 0.9 * curve[0]


def test_what_is_trained_by_default(tiny_llama, tiny_gpt2) -> None:
    llama, gpt2 = tiny_llama(0, vocab_size=40, num_hidden_layers=6), tiny_gpt2(0, vocab_size=40, n_layer=2)
    objective = RMU(RMUConfig(layer=4))
    assert objective.trainable(llama) == [f"model.layers.{layer}.mlp.down_proj.weight" for layer in (2, 3, 4)]
    assert RMU(RMUConfig()).trainable(gpt2) == [f"transformer.h.{layer}.mlp.c_proj.weight" for layer in (0, 1)]
    assert RMU(RMUConfig(layer=4, trained_layers=(1,))).trainable(llama) == ["model.layers.1.mlp.down_proj.weight"]


@pytest.mark.parametrize(
    "kind, name",
    [
        ("gpt_neox", "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight"),
        ("opt", "model.decoder.layers.{}.fc2.weight"),
        ("bloom", "transformer.h.{}.mlp.dense_4h_to_h.weight"),
        ("mixtral", "model.layers.{}.mlp.experts.down_proj"),
    ],
)
def test_other_architectures_are_trained_in_their_own_matrices(kind: str, name: str) -> None:
    model, objective, batch = tiny(kind), RMU(RMUConfig(layer=1, alpha=2.0)), make_batch()
    names = objective.trainable(model)
    assert names == [name.format(layer) for layer in (0, 1)]
    cached = {"retain_layer_hidden": hidden_after(model, 1, batch["retain_ids"], batch["retain_mask"]).detach() + 1.0}
    loss, metrics = objective.loss(model, batch, cached)
    read = [plain_states(model, torch.tensor([ids]), 1)[0] for ids, _ in FORGET]
    wanted = torch.cat([states[:-1] for states in read])[
        torch.tensor([bool(flag) for _, flags in FORGET for flag in flags[:-1]])
    ]
    drawn = torch.rand(32, generator=torch.Generator().manual_seed(0))
    expected = (wanted - 6.5 * drawn / drawn.norm()).square().mean().item()
    assert metrics["forget_mse"].item() == pytest.approx(expected, rel=1e-4)
    assert metrics["retain_mse"].item() == pytest.approx(1.0, rel=1e-4)
    loss.backward()
    assert all(dict(model.named_parameters())[each].grad.abs().max() > 0 for each in names)


def plain_states(model, ids: torch.Tensor, layer: int) -> torch.Tensor:
    """Hidden states after a layer that is not the last, as the model gives them itself."""
    return model(input_ids=ids, output_hidden_states=True).hidden_states[layer + 1].detach()


@pytest.mark.parametrize("depth, layer", [(1, 0), (2, 1), (3, 2), (4, 2), (12, 3), (16, 4), (32, 7), (80, 18)])
def test_the_rule_of_the_default_layer(depth: int, layer: int, tiny_llama) -> None:
    assert default_layer(depth) == layer
    if depth <= 4:
        assert RMU(RMUConfig()).layer(tiny_llama(0, vocab_size=40, num_hidden_layers=depth)) == layer


def test_all_that_is_trained_is_reached(tiny_llama) -> None:
    model = tiny_llama(1, vocab_size=40, num_hidden_layers=6, initializer_range=0.3)
    batch = make_batch()
    objective = RMU(RMUConfig(layer=3))
    objective.loss(model, batch, make_cached(tiny_llama(2, vocab_size=40, num_hidden_layers=6), batch, 3))[0].backward()
    weights = dict(model.named_parameters())
    assert all(weights[name].grad.abs().max() > 0 for name in objective.trainable(model))
    assert all(
        weight.grad is None
        for name, weight in weights.items()
        if "layers.4" in name or "layers.5" in name or "lm_head" in name or name == "model.norm"
    )


def test_layers_that_are_not_there_are_refused(tiny_llama) -> None:
    model = tiny_llama(0, vocab_size=40)
    with pytest.raises(ValueError, match="layer is 2; wanted 0 to 1 in a model of 2 layers"):
        RMU(RMUConfig(layer=2)).trainable(model)
    with pytest.raises(
        ValueError, match=re.escape("trained_layers is (1,); wanted none above layer 0, where the pass ends")
    ):
        RMU(RMUConfig(layer=0, trained_layers=(1,))).trainable(model)


def test_needs_follow_the_config() -> None:
    assert RMU(RMUConfig()).needs == {"retain", "retain_layer_hidden"}
    assert RMU(RMUConfig(alpha=0)).needs == frozenset()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"c": 0}, "c is 0; wanted a number > 0"),
        ({"alpha": -1}, "alpha is -1; wanted a number >= 0"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"layer": -1}, "layer is -1; wanted a number >= 0, or none"),
        ({"trained_layers": (0, -1)}, r"trained_layers is \(0, -1\)"),
    ],
)
def test_bad_values_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RMUConfig(**changes)
