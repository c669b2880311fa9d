"""Claims: the loss is the token mean of the float64 restatement's KL(teacher || student); of equals it is 0; padding
and what is not supervised are nothing to it; no gradient reaches the teacher; of two each speaks of its own
positions; the token that follows counts as much as is said, and not where none follows.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives.distillation import Distillation, Said
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.tokens.batching import pad_batch
from tests.reference.labels import logits_of
from tests.reference.losses import mean_kl, mean_kl_with_text

BLOCKS = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]
SUPERVISED = [(1, 1, 1, 1, 1), (0, 1), (0, 0, 1)]


def given(teacher: nn.Module, pad: int = 0) -> tuple[dict, dict]:
    """A batch with the teacher's states at supervised positions."""
    ids, mask = pad_batch(BLOCKS, pad)
    counted, _ = pad_batch(SUPERVISED, 0)
    with torch.no_grad():
        hidden = last_hidden(teacher, ids, mask)[counted.bool()]
    cached = {"teachers": [Said(head=copy.deepcopy(output_head(teacher)).requires_grad_(False), hidden=hidden)]}
    return {"ids": ids, "mask": mask, "supervised": counted}, cached


def restated(teacher: nn.Module, student: nn.Module) -> float:
    return mean_kl(positions(teacher), positions(student))


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
    assert loss.item() == pytest.approx(restated(teacher, student), rel=1e-4)
    assert loss.item() > 0.1
    assert metrics == {}


def test_of_two_teachers_each_speaks_of_its_own_positions(tiny_llama) -> None:
    """The first of the first two, the second of the others."""
    first, second, student = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2, 3))
    (batch, one), (_, other) = given(first), given(second)
    [said], [other_said] = one["teachers"], other["teachers"]
    both = {"teachers": [replace(said, hidden=said.hidden[:2]), replace(other_said, hidden=other_said.hidden[2:])]}
    rows = [positions(model) for model in (first, second, student)]
    wanted = mean_kl(rows[0][:2] + rows[1][2:], rows[2])
    assert Distillation().loss(student, batch, both)[0].item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_text_itself_counts_as_much_as_is_said(share: float, tiny_llama) -> None:
    """Beside a teacher of whose text nothing is said; where a block ends there is no token to count."""
    first, second, student = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2, 3))
    (batch, one), (_, other) = given(first), given(second)
    [said], [other_said] = one["teachers"], other["teachers"]
    both = {
        "teachers": [
            replace(said, hidden=said.hidden[:5], text_share=share),
            replace(other_said, hidden=other_said.hidden[5:]),
        ]
    }
    rows = [positions(model) for model in (first, second, student)]
    wanted = mean_kl_with_text(rows[0][:5] + rows[1][5:], rows[2], [6, 7, 8, 9, None, None, None], share)
    assert Distillation().loss(student, batch, both)[0].item() == pytest.approx(wanted, rel=1e-4)


def test_its_gradient_is_that_of_both_cross_entropies(tiny_llama) -> None:
    """Weighted by the share, and the last position by the teacher's alone."""
    teacher, student = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2))
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    ones = torch.ones_like(ids)
    with torch.no_grad():
        hidden = last_hidden(teacher, ids, ones)[0]
    said = Said(head=output_head(teacher), hidden=hidden, text_share=0.25)
    batch = {"ids": ids, "mask": ones, "supervised": ones}
    Distillation().loss(student, batch, {"teachers": [said]})[0].backward()
    found = {name: weight.grad.clone() for name, weight in student.named_parameters()}
    student.zero_grad()
    log_p = student(ids).logits[0].log_softmax(-1)
    soft = -(teacher(ids).logits[0].softmax(-1).detach() * log_p).sum(-1)
    hard = -log_p[:-1].gather(1, ids[0, 1:, None])[:, 0]
    ((0.75 * soft[:-1] + 0.25 * hard).sum() + soft[-1]).div(5).backward()
    for name, weight in student.named_parameters():
        assert torch.allclose(found[name], weight.grad, atol=1e-6), name


def test_a_student_that_is_its_teacher_loses_nothing_and_filler_is_nothing_to_it(tiny_llama) -> None:
    teacher, student = tiny_llama(1), tiny_llama(2)
    assert Distillation().loss(tiny_llama(1), *given(teacher))[0].item() == pytest.approx(0.0, abs=1e-6)
    one, other = (Distillation().loss(student, *given(teacher, pad))[0].item() for pad in (0, 17))
    assert one == pytest.approx(other, rel=1e-6)


def test_gradients_are_the_students_alone(tiny_gpt2) -> None:
    teacher, student = tiny_gpt2(1), tiny_gpt2(2)
    batch, cached = given(teacher)
    Distillation().loss(student, batch, cached)[0].backward()
    assert all(weight.grad is not None for weight in student.transformer.h.parameters())
    assert all(weight.grad is None for weight in (*teacher.parameters(), *cached["teachers"][0].head.parameters()))
    assert isinstance(Distillation(), Objective)
