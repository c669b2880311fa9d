"""Claims: the loss is the token mean of the float64 restatement's KL(teacher || student); of equals it is 0; padding
and what is not supervised are nothing to it; no gradient reaches the teacher; of two each
speaks of its own positions.
"""

import copy

import pytest
import torch
from torch import nn

from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives.distillation import Distillation
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.tokens.batching import pad_batch
from tests.reference.labels import logits_of
from tests.reference.losses import mean_kl

BLOCKS = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]
SUPERVISED = [(1, 1, 1, 1, 1), (0, 1), (0, 0, 1)]


def given(teacher: nn.Module, pad: int = 0) -> tuple[dict, dict]:
    """A batch with the teacher's states at supervised positions."""
    ids, mask = pad_batch(BLOCKS, pad)
    counted, _ = pad_batch(SUPERVISED, 0)
    with torch.no_grad():
        hidden = last_hidden(teacher, ids, mask)[counted.bool()]
    cached = {"teachers": [(copy.deepcopy(output_head(teacher)).requires_grad_(False), hidden)]}
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
    [(head, hidden)], [(other_head, other_hidden)] = one["teachers"], other["teachers"]
    both = {"teachers": [(head, hidden[:2]), (other_head, other_hidden[2:])]}
    rows = [positions(model) for model in (first, second, student)]
    wanted = mean_kl(rows[0][:2] + rows[1][2:], rows[2])
    assert Distillation().loss(student, batch, both)[0].item() == pytest.approx(wanted, rel=1e-4)


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
    assert all(weight.grad is None for weight in (*teacher.parameters(), *cached["teachers"][0][0].parameters()))
    assert isinstance(Distillation(), Objective)
