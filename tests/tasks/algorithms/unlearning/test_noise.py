"""Claims: the noised weights are the restatement's; each tensor's noise has the variance of a fresh initialisation, and
hangs on seed and name alone; at alpha = 0 nothing changes; a tied head stays tied; what has one dimension shrinks.
"""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tasks.algorithms.unlearning.noise import fresh, shrink_and_perturb
from tests.reference.noise import shrunk_and_perturbed


class Weights(nn.Module):
    """Tensors of one, two and three dimensions, one that is empty, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(1)
        self.gain = nn.Parameter(torch.ones(5))
        self.matrix = nn.Parameter(torch.randn(7, 5, generator=drawn))
        self.experts = nn.Parameter(torch.randn(3, 4, 6, generator=drawn))
        self.frozen = nn.Parameter(torch.randn(4, 4, generator=drawn), requires_grad=False)
        self.empty = nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("seen", torch.tensor(7.0))


def noised(model: nn.Module, alpha: float, beta: float = 0.1, seed: int = 0) -> dict[str, torch.Tensor]:
    """Noise a copy, and return its tensors."""
    changed = copy.deepcopy(model)
    shrink_and_perturb(changed, alpha, beta, seed)
    return changed.state_dict()


def noise_of(name: str, model: nn.Module, seed: int = 0) -> torch.Tensor:
    """What is added to a tensor, made as large as N."""
    return (noised(model, 0.5, 1.0, seed)[name] - 0.5 * model.state_dict()[name]) / 0.5


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.1), (0.9, 1.0), (0.5, 0.0)])
def test_every_tensor_is_the_restatements(alpha: float, beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of draws that are known here: those of xavier_uniform_ are replaced by its own formula's input."""
    model, draws = Weights(), {}

    def drawn(matrix: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        uniform = torch.rand(matrix.shape, generator=generator)
        draws.setdefault(len(draws), uniform.double().numpy())
        bound = math.sqrt(6 / sum(matrix.shape))
        return matrix.copy_(bound * (2 * uniform - 1))

    monkeypatch.setattr(nn.init, "xavier_uniform_", drawn)
    found = noised(model, alpha, beta)
    uniform = {"matrix": draws[0], "experts": np.stack([draws[1], draws[2], draws[3]]), "frozen": draws[4]}
    for name, weight in model.named_parameters():
        before = weight.detach().double().numpy()
        wanted = shrunk_and_perturbed(before, uniform.get(name, np.zeros(before.shape)), alpha, beta)
        np.testing.assert_allclose(found[name].numpy(), wanted, atol=1e-6, rtol=0)
    assert float(found["seen"]) == 7.0


def test_noise_has_the_spread_of_a_fresh_initialisation() -> None:
    drawn = torch.Generator().manual_seed(3)
    for shape in ((300, 200), (200, 300), (5, 100, 80)):
        noise, bound = fresh(torch.empty(shape), drawn), math.sqrt(6 / sum(shape[-2:]))
        assert noise.abs().max() <= bound
        assert noise.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert noise.mean().item() == pytest.approx(0.0, abs=0.02 * bound)
    assert torch.equal(fresh(torch.ones(9), drawn), torch.zeros(9))


def test_at_alpha_0_nothing_changes_to_the_bit(tiny_llama) -> None:
    model = tiny_llama(0)
    found = noised(model, 0.0, 5.0)
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_noise_hangs_on_seed_and_name_alone_and_leaves_the_callers_numbers(tiny_llama) -> None:
    model = tiny_llama(0)
    torch.manual_seed(5)
    found, after = noised(model, 0.4), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    again = noised(model, 0.4)
    assert all(torch.equal(found[name], again[name]) for name in found)
    one, other = (noise_of(f"model.layers.{layer}.mlp.up_proj.weight", model) for layer in (0, 1))
    assert not torch.allclose(one, other)
    assert not torch.allclose(one, noise_of("model.layers.0.mlp.up_proj.weight", model, seed=1))


def test_the_order_of_tensors_changes_no_noise() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, weight in reversed([*Weights().named_parameters()]):
                self.register_parameter(name, weight)

    one, other = noised(Weights(), 0.5), noised(Turned(), 0.5)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_tied_head_is_noised_once_and_stays_tied(tiny_gpt2) -> None:
    model = tiny_gpt2(1)
    before = model.lm_head.weight.detach().clone()
    shrink_and_perturb(model, 0.5, 0.0, 0)
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()
    torch.testing.assert_close(model.lm_head.weight.detach(), 0.5 * before)


def test_half_precision_is_rounded_once() -> None:
    exact, half = Weights(), Weights().bfloat16()
    exact.load_state_dict({name: tensor.float() for name, tensor in half.state_dict().items()})
    wanted, found = noised(exact, 0.3, 1.0), noised(half, 0.3, 1.0)
    assert all(torch.equal(found[name], wanted[name].bfloat16()) for name in found)


@pytest.mark.parametrize(
    ("alpha", "beta", "words"),
    [
        (1.0, 0.1, "alpha is 1.0"),
        (-0.1, 0.1, "alpha is -0.1"),
        (math.nan, 0.1, "alpha is nan"),
        (0.1, -1.0, "beta is -1.0"),
    ],
)
def test_shares_and_scales_out_of_range_are_refused(alpha: float, beta: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        shrink_and_perturb(Weights(), alpha, beta, 0)
