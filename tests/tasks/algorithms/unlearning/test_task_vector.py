"""Claims: the arithmetic is the worked example's; at a = 0 nothing changes; tied weights move once; buffers of whole
numbers stay.
"""

import copy
import math
import re

import pytest
import torch
from torch import nn

from tasks.algorithms.unlearning.task_vector import apply_task_vector, negate


def test_a_worked_example_of_two_parameters() -> None:
    # theta = (1, -2), trained further (3, -2.5): the vector is (2, -0.5), and half of it is gone back
    found = negate({"w": torch.tensor([1.0, -2.0])}, {"w": torch.tensor([3.0, -2.5])}, 0.5)
    assert found["w"].tolist() == [0.0, -1.75]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_at_a_0_the_target_returns_to_the_bit_as_a_copy(dtype: torch.dtype) -> None:
    target = {"w": torch.randn(5, generator=torch.Generator().manual_seed(1)).to(dtype)}
    found = negate(target, {"w": torch.full((5,), math.pi, dtype=dtype)}, 0.0)
    assert torch.equal(found["w"], target["w"])
    assert found["w"].data_ptr() != target["w"].data_ptr()


def test_the_arithmetic_of_half_precision_is_done_in_float32() -> None:
    # in bfloat16 2 * (1.0078125 - 1) = 0.015625 is exact, 1 - 0.015625 too; 0.3 of it is rounded once, at the end
    start, end = (
        torch.tensor([1.0, 100.0], dtype=torch.bfloat16),
        torch.tensor([1.0078125, 100.5], dtype=torch.bfloat16),
    )
    expected = (start.double() - 0.3 * (end.double() - start.double())).to(torch.bfloat16)
    found = negate({"w": start}, {"w": end}, 0.3)["w"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_tied_weights_move_once_and_stay_tied(tiny_gpt2) -> None:
    target, finetuned = tiny_gpt2(1, vocab_size=40), tiny_gpt2(2, vocab_size=40)
    before, away = target.lm_head.weight.detach().clone(), finetuned.lm_head.weight.detach().clone()
    found = negate(target.state_dict(), finetuned.state_dict(), 0.5)
    assert found["lm_head.weight"] is found["transformer.wte.weight"]
    apply_task_vector(target, finetuned, 0.5)
    assert target.lm_head.weight.data_ptr() == target.transformer.wte.weight.data_ptr()
    torch.testing.assert_close(target.lm_head.weight.detach(), before - 0.5 * (away - before))
    assert torch.equal(finetuned.lm_head.weight, away)


def test_every_weight_of_a_model_moves(tiny_llama) -> None:
    target, finetuned = tiny_llama(1, vocab_size=40), tiny_llama(2, vocab_size=40)
    before = copy.deepcopy(target.state_dict())
    apply_task_vector(target, finetuned, 1.0)
    for name, tensor in target.state_dict().items():
        torch.testing.assert_close(tensor, 2 * before[name] - finetuned.state_dict()[name])


class _Counter(nn.Module):
    """A weight and a count of steps."""

    def __init__(self, weight: float, steps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.register_buffer("steps", torch.tensor(steps))
        self.register_buffer("empty", torch.zeros(0))


def test_buffers_of_whole_numbers_are_untouched() -> None:
    model = _Counter(1.0, 7)
    apply_task_vector(model, _Counter(2.0, 9), 2.0)
    assert model.weight.item() == -1.0
    assert model.steps.item() == 7
    assert model.steps.dtype == torch.int64


def test_other_models_are_refused() -> None:
    with pytest.raises(
        ValueError, match=re.escape("w has shape (2,) in the model trained further; wanted (1,), as in the target")
    ):
        negate({"w": torch.zeros(1)}, {"w": torch.zeros(2)}, 1.0)
    with pytest.raises(ValueError, match="the models differ in v, w; wanted tensors of the same names"):
        negate({"w": torch.zeros(1)}, {"v": torch.zeros(1)}, 1.0)


@pytest.mark.parametrize("a", [-0.5, math.nan, math.inf])
def test_a_negative_or_infinite_strength_is_refused(a: float) -> None:
    with pytest.raises(ValueError, match=f"a is {a}; wanted a number >= 0"):
        negate({}, {}, a)
