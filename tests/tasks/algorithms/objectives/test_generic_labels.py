"""Claims: soft and hard label terms and the retain term are those of the float64 restatement; nothing banned, padded or equal disturbs them."""

import copy
import math

import numpy as np
import pytest
import torch

from tasks.algorithms.config import GenericLabelLossConfig
from tasks.algorithms.heads import last_hidden, pad_batch
from tasks.algorithms.objectives import OBJECTIVES
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, kl_divergence
from tests.reference import losses
from tests.reference.labels import log_softmax, logits_of

FORGET = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]
ROWS = [(0, 0), (0, 3), (1, 1), (2, 0), (2, 2)]
RETAIN = [(20, 21, 22), (23, 24, 25, 26)]
BANNED = [(0, 3), (0, 4), (3, 7)]


@pytest.fixture
def bench(tiny_llama):
    """Student, baseline and reinforced model, far apart, and what the objective is given of them."""
    student, baseline, reinforced = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2, 3))

    def inputs(forget=FORGET, retain=RETAIN, pad_id: int = 0) -> tuple[dict, dict]:
        ids, mask = pad_batch(forget, pad_id)
        batch = {"ids": ids, "mask": mask, "rows": torch.tensor(ROWS)}
        with torch.no_grad():
            states = [last_hidden(model, ids, mask)[batch["rows"][:, 0], batch["rows"][:, 1]] for model in (baseline, reinforced)]
            cached = {
                "hard": torch.tensor([1, 2, 3, 4, 5]), "banned": torch.tensor(BANNED), "baseline_hidden": states[0],
                "reinforced_hidden": states[1], "baseline_head": baseline.lm_head, "reinforced_head": reinforced.lm_head,
            }  # fmt: skip
            if retain:
                batch["retain_ids"], batch["retain_mask"] = pad_batch(retain, pad_id)
                hidden = last_hidden(baseline, batch["retain_ids"], batch["retain_mask"])
                cached["retain_hidden"] = hidden[batch["retain_mask"].bool()]
        return batch, cached

    return student, baseline, reinforced, inputs


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("relu_on", ["logits", "log_probabilities"])
@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
def test_the_loss_equals_float64(bench, kind: str, relu_on: str, weight: float) -> None:
    student, baseline, reinforced, inputs = bench
    config = GenericLabelLossConfig(kind=kind, alpha=2.0, relu_on=relu_on, retain_weight=weight)
    found, metrics = GenericLabelLoss(config).loss(student, *inputs())
    rows = [np.array([logits_of(model, FORGET[block])[at] for block, at in ROWS]) for model in (student, baseline, reinforced)]
    retain = tuple(np.concatenate([logits_of(model, block) for block in RETAIN]) for model in (baseline, student))
    options = {"kind": kind, "alpha": 2.0, "relu_on": relu_on}
    forget_only = losses.generic_label_loss(*rows, [1, 2, 3, 4, 5], BANNED, **options)
    expected = losses.generic_label_loss(*rows, [1, 2, 3, 4, 5], BANNED, retain=retain, retain_weight=weight, **options)
    assert found.item() == pytest.approx(expected, rel=2e-5)
    assert metrics["label_loss_nats"].item() == pytest.approx(forget_only, rel=2e-5)
    if weight:
        assert metrics["retain_kl_nats"].item() == pytest.approx(losses.mean_kl(*retain), rel=2e-5)


def test_without_retain_text_its_weight_has_no_effect(bench) -> None:
    student, _, _, inputs = bench
    light, heavy = (GenericLabelLoss(GenericLabelLossConfig(retain_weight=weight)).loss(student, *inputs(retain=None)) for weight in (0.0, 9.0))
    assert torch.equal(light[0], heavy[0])
    assert set(light[1]) == {"label_loss_nats"}


def test_the_retain_term_is_the_mean_over_supervised_positions(bench) -> None:
    student, baseline, _, inputs = bench
    batch, cached = inputs()
    batch["retain_supervised"], _ = pad_batch([(0, 1, 0), (0, 0, 1, 1)], 0)
    counted = [(0, 1), (1, 2), (1, 3)]
    cached["retain_hidden"] = last_hidden(baseline, batch["retain_ids"], batch["retain_mask"])[batch["retain_supervised"].bool()].detach()
    found = GenericLabelLoss(GenericLabelLossConfig()).loss(student, batch, cached)[1]["retain_kl_nats"].item()
    rows = [np.array([logits_of(model, RETAIN[block])[at] for block, at in counted]) for model in (baseline, student)]
    assert found == pytest.approx(losses.mean_kl(*rows), rel=2e-5)


def test_retain_kl_of_the_target_model_itself_is_0(bench) -> None:
    _, baseline, _, inputs = bench
    metrics = GenericLabelLoss(GenericLabelLossConfig()).loss(baseline, *inputs())[1]
    assert abs(metrics["retain_kl_nats"].item()) < 1e-6


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_padding_changes_no_loss(bench, kind: str) -> None:
    """A long block beside them pads all others; its filler is a token of theirs."""
    student, _, _, inputs = bench
    objective = GenericLabelLoss(GenericLabelLossConfig(kind=kind))
    plain = objective.loss(student, *inputs())[0].item()
    batch, cached = inputs(forget=[*FORGET, tuple(range(40, 80))], retain=None, pad_id=6)
    retain = inputs(pad_id=24)
    batch |= {name: retain[0][name] for name in ("retain_ids", "retain_mask")}
    cached |= {"retain_hidden": retain[1]["retain_hidden"]}
    assert objective.loss(student, batch, cached)[0].item() == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_gradients_are_finite_and_reach_only_the_student(bench, kind: str) -> None:
    student, baseline, reinforced, inputs = bench
    GenericLabelLoss(GenericLabelLossConfig(kind=kind)).loss(student, *inputs())[0].backward()
    assert all(torch.isfinite(weight.grad).all() for weight in student.parameters())
    assert any(weight.grad.abs().max() > 0 for weight in student.parameters())
    assert all(weight.grad is None for model in (baseline, reinforced) for weight in model.parameters())


def test_a_few_steps_move_the_student_towards_the_generic_prediction(bench) -> None:
    student, _, _, inputs = bench
    student, objective = copy.deepcopy(student), GenericLabelLoss(GenericLabelLossConfig())
    batch, cached = inputs()
    optimizer, curve = torch.optim.SGD(student.parameters(), lr=0.05), []
    for _ in range(5):
        loss, _ = objective.loss(student, batch, cached)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    assert curve[-1] < 0.9 * curve[0]


def random_log_p(seed: int) -> torch.Tensor:
    return torch.randn(4, 7, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def test_kl_of_equals_is_0_and_its_gradient_too() -> None:
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = kl_divergence(logits.detach().log_softmax(-1), logits.log_softmax(-1))
    loss.backward()
    assert abs(loss.item()) < 1e-7
    assert logits.grad.abs().max() < 1e-7


def test_kl_goes_from_the_reference_to_the_model() -> None:
    # reference (3/4, 1/4), model (1/2, 1/2): 3/4 log(3/2) + 1/4 log(1/2) = 0.1308; the other way 1/2 log(2/3) + 1/2 log 2 = 0.1438
    reference, model = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert kl_divergence(reference, model).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-7)
    assert kl_divergence(model, reference).item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-7)


def test_kl_is_the_mean_over_rows_and_never_below_0() -> None:
    reference, model = random_log_p(1), random_log_p(2)
    rows = [losses.kl(log_softmax(r), log_softmax(m)) for r, m in zip(reference.double().numpy(), model.double().numpy(), strict=True)]
    assert min(rows) > 0
    assert kl_divergence(reference, model).item() == pytest.approx(sum(rows) / 4, rel=1e-5)


def test_a_banned_token_costs_nothing_by_itself_and_its_gradient_is_finite() -> None:
    reference = random_log_p(3).clone()
    reference[0, 2] = float("-inf")
    reference = reference.log_softmax(-1)
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(4)).requires_grad_()
    loss = kl_divergence(reference, logits.log_softmax(-1))
    loss.backward()
    assert loss.item() == pytest.approx(losses.mean_kl(reference.double().numpy(), logits.detach().double().numpy()), rel=1e-5)
    # d KL / d logits = (softmax(logits) - reference) / rows, also where the reference is 0
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(-1) - reference.exp()) / 4, atol=1e-6, rtol=0)


def test_a_negative_retain_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="retain_weight is -1"):
        GenericLabelLossConfig(retain_weight=-1)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_says_what_it_needs(name: str) -> None:
    assert OBJECTIVES[name].needs <= {"reference_logprobs", "reference_hidden", "forget_hidden", "labels", "preferred", "retain"}
