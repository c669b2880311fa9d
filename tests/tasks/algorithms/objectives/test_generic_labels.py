"""Claims: soft and hard label terms and the retain term are those of the float64 restatement; nothing banned, padded or
equal disturbs them.
"""

import copy

import numpy as np
import pytest
import torch

from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
from tasks.algorithms.tokens.batching import pad_batch
from tasks.settings.finetuning import GenericLabelLossConfig
from tests.reference import losses
from tests.reference.labels import logits_of

FORGET = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]
ROWS = [(0, 0), (0, 3), (1, 1), (2, 0), (2, 2)]
RETAIN = [(20, 21, 22), (23, 24, 25, 26)]
BANNED = [(0, 3), (0, 4), (3, 7)]
TOPIC = [4, 9]


@pytest.fixture
def bench(tiny_llama):
    """Student, baseline and reinforced model, far apart, and what the objective is given of them."""
    student, baseline, reinforced = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2, 3))

    def inputs(forget=FORGET, retain=RETAIN, pad_id: int = 0) -> tuple[dict, dict]:
        ids, mask = pad_batch(forget, pad_id)
        batch = {"ids": ids, "mask": mask, "rows": torch.tensor(ROWS)}
        with torch.no_grad():
            states = [
                last_hidden(model, ids, mask)[batch["rows"][:, 0], batch["rows"][:, 1]]
                for model in (baseline, reinforced)
            ]
            cached = {
                "hard": torch.tensor([1, 2, 3, 4, 5]),
                "banned": torch.tensor(BANNED),
                "topic": torch.tensor(TOPIC),
                "baseline_hidden": states[0],
                "reinforced_hidden": states[1],
                "baseline_head": baseline.lm_head,
                "reinforced_head": reinforced.lm_head,
            }
            if retain:
                batch["retain_ids"], batch["retain_mask"] = pad_batch(retain, pad_id)
                hidden = last_hidden(baseline, batch["retain_ids"], batch["retain_mask"])
                cached["retain_hidden"] = hidden[batch["retain_mask"].bool()]
        return batch, cached

    return student, baseline, reinforced, inputs


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("relu_on", ["logits", "log_probabilities"])
@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_the_loss_equals_float64(
    bench, kind: str, relu_on: str, weight: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    student, baseline, reinforced, inputs = bench
    config = GenericLabelLossConfig(kind=kind, alpha=2.0, relu_on=relu_on, retain_weight=weight)
    found, metrics = GenericLabelLoss(config).loss(student, *inputs())
    rows = [
        np.array([logits_of(model, FORGET[block])[at] for block, at in ROWS])
        for model in (student, baseline, reinforced)
    ]
    retain = tuple(np.concatenate([logits_of(model, block) for block in RETAIN]) for model in (baseline, student))
    options = {"kind": kind, "alpha": 2.0, "relu_on": relu_on, "topic": TOPIC}
    forget_only = losses.generic_label_loss(*rows, [1, 2, 3, 4, 5], BANNED, **options)
    expected = losses.generic_label_loss(*rows, [1, 2, 3, 4, 5], BANNED, retain=retain, retain_weight=weight, **options)
    assert found.item() == pytest.approx(expected, rel=2e-5)
    assert metrics["label_loss_nats"].item() == pytest.approx(forget_only, rel=2e-5)
    if weight:
        assert metrics["retain_kl_nats"].item() == pytest.approx(losses.mean_kl(*retain), rel=2e-5)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_chunks_of_rows_change_no_gradient_and_bound_what_the_head_sees(
    bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, _, _, inputs = bench
    batch, cached = inputs()
    objective, seen, found = GenericLabelLoss(GenericLabelLossConfig(kind=kind)), [], []
    student.lm_head.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    for rows in (2, len(ROWS) + sum(map(len, RETAIN))):
        monkeypatch.setattr(terms, "LOGITS_AT_ONCE", rows * student.config.vocab_size)
        seen.clear()
        loss, _ = objective.loss(student, batch, cached)
        found.append(torch.autograd.grad(loss, list(student.parameters())))
        assert max(seen) == min(rows, sum(map(len, RETAIN)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_without_retain_text_its_weight_has_no_effect(bench) -> None:
    student, _, _, inputs = bench
    light, heavy = (
        GenericLabelLoss(GenericLabelLossConfig(retain_weight=weight)).loss(student, *inputs(retain=None))
        for weight in (0.0, 9.0)
    )
    assert torch.equal(light[0], heavy[0])
    assert set(light[1]) == {"label_loss_nats"}


def test_the_retain_term_is_the_mean_over_supervised_positions(bench) -> None:
    student, baseline, _, inputs = bench
    batch, cached = inputs()
    batch["retain_supervised"], _ = pad_batch([(0, 1, 0), (0, 0, 1, 1)], 0)
    counted = [(0, 1), (1, 2), (1, 3)]
    cached["retain_hidden"] = last_hidden(baseline, batch["retain_ids"], batch["retain_mask"])[
        batch["retain_supervised"].bool()
    ].detach()
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


def test_a_negative_retain_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="retain_weight is -1"):
        GenericLabelLossConfig(retain_weight=-1)
