"""Claims: the loss is the float64 restatement's, whatever is computed at once: of the teacher's word, and of the token
that follows as much as is said, which is nothing where none follows; of equals it is 0; padding and what is not
supervised are nothing to it; no gradient reaches the teacher; states of other positions are refused.
"""

import copy

import pytest
import torch
from torch import nn

from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.distillation import Distillation
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.tokens.batching import pad_batch
from tests.reference.labels import logits_of
from tests.reference.losses import mean_kl, mean_kl_and_text

BLOCKS = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14, 15)]
SUPERVISED = [(1, 0, 1, 1, 1), (0, 1), (0, 1, 0, 0)]
FOLLOWING = [6, 8, 9, None, None, 14]
"""Of the supervised positions, what stands at the next."""


def given(teacher: nn.Module, pad: int = 0, shares: tuple[float, ...] = (0.0,) * 6) -> tuple[dict, dict]:
    """A batch with the teacher's states at supervised positions."""
    ids, mask = pad_batch(BLOCKS, pad)
    counted, _ = pad_batch(SUPERVISED, 0)
    with torch.no_grad():
        hidden = last_hidden(teacher, ids, mask)[counted.bool()]
    cached = {
        "teacher_head": copy.deepcopy(output_head(teacher)),
        "teacher_hidden": hidden,
        "text_share": torch.tensor(shares),
    }
    return {"ids": ids, "mask": mask, "supervised": counted}, cached


def positions(model: nn.Module) -> list:
    """The logits at supervised positions, one sequence at a time, without padding."""
    return [
        logits_of(model, block)[at]
        for block, counted in zip(BLOCKS, SUPERVISED, strict=True)
        for at in range(len(block))
        if counted[at]
    ]


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_the_loss_is_the_restatements(family: str, request: pytest.FixtureRequest) -> None:
    teacher, student = (request.getfixturevalue(family)(seed, initializer_range=0.3) for seed in (1, 2))
    loss, metrics = Distillation().loss(student, *given(teacher))
    assert loss.item() == pytest.approx(mean_kl(positions(teacher), positions(student)), rel=1e-4)
    assert loss.item() > 0.1
    assert metrics == {}


@pytest.mark.parametrize("at_once", [1, 2**24])
@pytest.mark.parametrize("shares", [(0.3,) * 6, (1.0,) * 6, (0.0, 0.3, 1.0, 0.5, 0.5, 0.2)])
def test_the_text_itself_counts_as_much_as_is_said(
    shares: tuple[float, ...], at_once: int, tiny_llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Position by position; where a block ends there is no token to count."""
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    teacher, student = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2))
    wanted = mean_kl_and_text(positions(teacher), positions(student), FOLLOWING, shares)
    found, _ = Distillation().loss(student, *given(teacher, shares=shares))
    assert found.item() == pytest.approx(wanted, rel=1e-4)
    assert wanted != pytest.approx(mean_kl(positions(teacher), positions(student)), rel=1e-2)


@pytest.mark.parametrize("at_once", [1, 2**24])
def test_its_gradient_is_that_of_both_cross_entropies(
    at_once: int, tiny_llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weighted by the share, and at the last position the teacher's alone."""
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    teacher, student = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2))
    Distillation().loss(student, *given(teacher, shares=(0.25,) * 6))[0].backward()
    found = {name: weight.grad.clone() for name, weight in student.named_parameters()}
    student.zero_grad()
    losses = []
    for block, counted in zip(BLOCKS, SUPERVISED, strict=True):
        ids = torch.tensor([block])
        log_p, wanted = student(ids).logits[0].log_softmax(-1), teacher(ids).logits[0].softmax(-1).detach()
        for at in (at for at in range(len(block)) if counted[at]):
            share = 0.25 if at + 1 < len(block) else 0.0
            hard = -log_p[at, block[at + 1]] if share else 0.0
            losses.append((1 - share) * -(wanted[at] * log_p[at]).sum() + share * hard)
    torch.stack(losses).mean().backward()
    for name, weight in student.named_parameters():
        assert torch.allclose(found[name], weight.grad, atol=1e-6), name


def test_a_student_that_is_its_teacher_loses_nothing_and_filler_is_nothing_to_it(tiny_llama) -> None:
    teacher, student = tiny_llama(1), tiny_llama(2)
    assert Distillation().loss(tiny_llama(1), *given(teacher))[0].item() == pytest.approx(0.0, abs=1e-6)
    one, other = (Distillation().loss(student, *given(teacher, pad, (0.5,) * 6))[0].item() for pad in (0, 17))
    assert one == pytest.approx(other, rel=1e-6)


def test_states_of_other_positions_are_refused(tiny_llama) -> None:
    batch, cached = given(tiny_llama(1))
    with pytest.raises(ValueError, match="the cache holds 5 hidden states for this batch; wanted 6"):
        Distillation().loss(tiny_llama(2), batch, cached | {"teacher_hidden": cached["teacher_hidden"][:5]})


def test_gradients_are_the_students_alone(tiny_gpt2) -> None:
    teacher, student = tiny_gpt2(1), tiny_gpt2(2)
    batch, cached = given(teacher, shares=(0.5,) * 6)
    cached["teacher_hidden"].requires_grad_()
    Distillation().loss(student, batch, cached)[0].backward()
    assert all(weight.grad is not None for weight in student.transformer.h.parameters())
    assert all(weight.grad is None for weight in cached["teacher_head"].parameters())
    assert cached["teacher_hidden"].grad is None
    assert isinstance(Distillation(), Objective)
