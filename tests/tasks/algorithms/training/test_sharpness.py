"""Claims: a sharpness-aware step descends along the forget term's gradient at its worst weights near by and the retain
term's where the weights are; the weights are otherwise left as they were; what has no two terms is taken as a whole.

The model is six weights, whose gradients are known in closed form.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.objectives.npo import NPO
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.algorithms.training.loop import Batch, EpochBatches, shuffled, train
from tasks.algorithms.training.sharpness import backward_at_worst, moved
from tasks.settings.objectives.npo import NPOConfig
from tasks.settings.training import TrainingConfig
from tests.reference.adamw import adamw_run
from tests.reference.sharpness import sharp_gradient

START = np.array([0.5, -0.3, 0.8, 0.1, -0.7, 0.2])
POINTS = np.random.default_rng(0).normal(size=(12, 6))
RADIUS = 0.3


class Weights(nn.Module):
    """A model that is nothing but six numbers in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(START))
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))


class Pull(TwoTerms):
    """Forget: mean over points x of sum (w - x)^4 / 4. Retain: twice the sum of w^2."""

    config_type = object

    def forget_term(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> Term:
        term = ((student.w - batch["x"]) ** 4 / 4).sum(-1).mean()
        return term, {"forget": term.detach()}

    def retain_term(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> Term | None:
        if "retain_ids" not in batch:
            return None
        term = (student.w**2).sum()
        return 2 * term, {"retain": term.detach()}


class Whole(Objective):
    """Pull without retain rows, as an objective that has no two terms."""

    config_type = object

    def loss(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> Term:
        return Pull().forget_term(student, batch, cached)


def forget_gradient(chosen: list[int], weights: np.ndarray) -> np.ndarray:
    return np.mean([(weights - POINTS[point]) ** 3 for point in chosen], axis=0)


def batch(chosen: list[int], *, held: bool = True) -> Batch:
    tensors = {"ids": torch.zeros(1), "x": torch.tensor(POINTS[chosen])} | (
        {"retain_ids": torch.zeros(1)} if held else {}
    )
    return Batch(tensors=tensors, cached={}, weight=float(len(chosen)))


def gradient(objective: Objective, given: Batch, radius: float = RADIUS) -> tuple[Weights, Term]:
    model = Weights()
    found = backward_at_worst(
        model,
        list(model.parameters()),
        given,
        objective,
        radius,
        autocast=nullcontext,
        backward=lambda loss: loss.backward(),
    )
    return model, found


@pytest.mark.parametrize("held", [True, False])
def test_a_step_goes_along_the_restated_gradient_and_leaves_the_weights(held: bool) -> None:
    model, (loss, metrics) = gradient(Pull(), batch([0, 3, 5], held=held))
    wanted = sharp_gradient(
        START,
        lambda weights: forget_gradient([0, 3, 5], weights),
        lambda weights: 4 * weights if held else np.zeros(6),
        RADIUS,
    )
    np.testing.assert_allclose(model.w.grad.numpy(), wanted, atol=1e-12, rtol=0)
    assert torch.equal(model.w.detach(), torch.tensor(START))
    assert torch.equal(model.unused.detach(), torch.ones(2, dtype=torch.float64))
    held_loss = 2 * metrics["retain"] if held else 0.0
    assert float(loss) == pytest.approx(float(metrics["forget"] + metrics["sharpness"] + held_loss), abs=1e-12)
    assert float(metrics["sharpness"]) > 0


def test_an_objective_of_one_term_is_taken_as_a_whole() -> None:
    whole, (loss, _) = gradient(Whole(), batch([1, 2]))
    terms, (other, _) = gradient(Pull(), batch([1, 2], held=False))
    assert torch.equal(whole.w.grad, terms.w.grad)
    assert float(loss) == float(other)


def test_a_batch_without_forget_rows_is_trained_on_plainly() -> None:
    """As the min-steps of SCRUB's original form are."""

    class Held(Pull):
        def loss(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> Term:
            return self.retain_term(student, batch, cached)

    given = Batch(tensors={"retain_ids": torch.zeros(1)}, cached={}, weight=1.0)
    model, (loss, metrics) = gradient(Held(), given)
    np.testing.assert_allclose(model.w.grad.numpy(), 4 * START, atol=1e-12, rtol=0)
    assert float(loss) == pytest.approx(2 * float(metrics["retain"]))
    assert "sharpness" not in metrics


def test_gradients_of_several_batches_add_up() -> None:
    model, parts = Weights(), [[0, 1], [2, 3, 4]]
    for chosen in parts:
        backward_at_worst(
            model,
            list(model.parameters()),
            batch(chosen),
            Pull(),
            RADIUS,
            autocast=nullcontext,
            backward=lambda loss: loss.backward(),
        )
    wanted = sum(gradient(Pull(), batch(chosen))[0].w.grad for chosen in parts)
    torch.testing.assert_close(model.w.grad, wanted)


def test_training_equals_adamw_on_the_restated_gradient() -> None:
    settings = TrainingConfig(
        learning_rate=0.05, epochs=3, batch_blocks=4, mixed_precision="no", seed=1, sharpness=RADIUS
    )
    orders = [shuffled(12, 1, epoch) for epoch in range(3)]
    parts = [order[start : start + 4] for order in orders for start in range(0, 12, 4)]

    def gradient_of(weights: np.ndarray, step: int) -> np.ndarray:
        return sharp_gradient(
            weights, lambda moved: forget_gradient(parts[step], moved), lambda moved: 4 * moved, RADIUS
        )

    names = ("learning_rate", "beta2", "weight_decay", "clip_norm", "warmup_share", "schedule")
    wanted = adamw_run(START, gradient_of, steps=9, **{name: getattr(settings, name) for name in names})
    model, seen = Weights(), []
    train(
        model,
        EpochBatches(12, lambda chosen, step: batch(chosen), settings),
        Pull(),
        settings,
        on_step=lambda step, metrics: seen.append(metrics),
    )
    np.testing.assert_allclose(model.w.detach().numpy(), wanted, atol=1e-9, rtol=0)
    assert all(metrics["sharpness"] > 0 for metrics in seen)


@pytest.mark.parametrize("direction", [torch.zeros(6), torch.full((6,), torch.inf), torch.full((6,), torch.nan), None])
def test_a_direction_without_length_moves_nothing(direction: Tensor | None) -> None:
    weight = nn.Parameter(torch.tensor(START))
    with moved([weight], [direction], 1.0):
        assert torch.equal(weight.detach(), torch.tensor(START))


def test_weights_move_by_the_distance_over_all_of_them_and_come_back_after_an_error() -> None:
    weights = [nn.Parameter(torch.tensor(START)), nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
    with pytest.raises(KeyError), moved(weights, [torch.tensor(START), torch.ones(3, dtype=torch.bfloat16)], 2.0):
        shifts = [weights[0].detach() - torch.tensor(START), weights[1].detach().double() - 1]
        assert torch.cat(shifts).norm().item() == pytest.approx(2.0, rel=1e-2)
        raise KeyError
    assert torch.equal(weights[0].detach(), torch.tensor(START))
    assert torch.equal(weights[1].detach(), torch.ones(3, dtype=torch.bfloat16))


def test_a_real_objective_is_lower_at_its_worst_weights(tiny_llama) -> None:
    """After as many steps the highest value near by, which is what is minimised, is lower than after plain training."""
    ids = torch.randint(3, 300, (4, 12), generator=torch.Generator().manual_seed(0))
    rows = {"ids": ids, "mask": torch.ones_like(ids), "supervised": torch.ones_like(ids)}
    cached = {"reference_logprob": torch.full((4,), -60.0)}
    objective, worst = NPO(NPOConfig(retain_weight=0)), []
    for sharpness in (0.0, 0.5):
        model = tiny_llama(0)
        settings = TrainingConfig(
            learning_rate=3e-3, least_steps=100, batch_blocks=4, mixed_precision="no", sharpness=sharpness
        )
        train(
            model,
            EpochBatches(4, lambda chosen, step: Batch(tensors=rows, cached=cached, weight=4.0), settings),
            objective,
            settings,
        )
        trained = list(model.parameters())
        plain, _ = objective.forget_term(model, rows, cached)
        uphill = torch.autograd.grad(plain, trained, allow_unused=True)
        with moved(trained, uphill, 0.5), torch.no_grad():
            worst.append(objective.forget_term(model, rows, cached)[0].item())
    assert worst[1] < 0.99 * worst[0]
