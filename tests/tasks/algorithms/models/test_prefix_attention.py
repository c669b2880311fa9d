"""Claims: attention in two parts is softmax(scaling q k^T + mask) v over both, with its gradients at the tail, for
heads that share keys too; a model that resumes so has its own attention again afterwards, and one that is set to
another keeps it.
"""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.models.activations import keep, resume
from tasks.algorithms.models.prefix_attention import FAST, NAME, Parts, PrefixLayer, attend, fixed_prefix
from tests.stand_ins.architectures import tiny

ROWS, SIZE = 3, 5
CASES = list(product([(4, 4), (4, 2), (4, 1)], [1, 2, FAST + 3], [1, 6]))


def drawn(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def hidden_behind(tail: int, prefix: int) -> Tensor:
    """The mask of a tail behind a prefix of which the first row's first position is padding."""
    seen = torch.ones(tail, prefix + tail).tril(prefix).bool().expand(ROWS, 1, -1, -1).clone()
    seen[0, :, :, 0] = False
    return torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, torch.finfo(torch.float64).min)


def parts(past: Tensor, new: Tensor) -> Parts:
    """What stands in the room for the tail does not matter."""
    return Parts(room=torch.cat([past, torch.full_like(new, torch.nan)], dim=2), tail=new)


def slowly(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """Row by row, head by head, position by position."""
    rows, heads, tail, _ = query.shape
    made = []
    for row, place, head in product(range(rows), range(tail), range(heads)):
        shared = head * key.shape[1] // heads
        scores = torch.stack([scaling * query[row, head, place].dot(each) for each in key[row, shared]])
        made.append((scores + mask[row, 0, place]).softmax(0) @ value[row, shared])
    return torch.stack(made).view(rows, tail, heads, -1)


@pytest.mark.parametrize(("heads", "tail", "prefix"), CASES)
def test_both_parts_are_attended_to(heads: tuple[int, int], tail: int, prefix: int) -> None:
    torch.manual_seed(0)
    query = drawn(ROWS, heads[0], tail, SIZE, grad=True)
    past, new = ([drawn(ROWS, heads[1], n, SIZE, grad=g) for _ in "kv"] for n, g in ((prefix, False), (tail, True)))
    mask, towards = hidden_behind(tail, prefix), drawn(ROWS, tail, heads[0], SIZE)
    key, value = map(parts, past, new)
    whole = [torch.cat([one, other], dim=2) for one, other in zip(past, new, strict=True)]
    outcomes = []
    for made in (attend(nn.Identity(), query, key, value, mask, scaling=0.3)[0], slowly(query, *whole, mask, 0.3)):
        outcomes.append([made.detach(), *torch.autograd.grad((made * towards).sum(), [query, *new])])
    for ours, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)


def test_scores_are_scaled_by_the_heads_size_if_nothing_is_said() -> None:
    torch.manual_seed(0)
    query, *rest = (drawn(ROWS, 2, 2, SIZE) for _ in range(5))
    key, value = parts(*rest[:2]), parts(*rest[2:])
    mask = hidden_behind(2, 2)
    said = attend(nn.Identity(), query, key, value, mask, scaling=SIZE**-0.5)[0]
    assert torch.equal(attend(nn.Identity(), query, key, value, mask)[0], said)


def test_passes_go_back_in_any_order() -> None:
    torch.manual_seed(0)
    past, mask = drawn(ROWS, 2, 6, SIZE), hidden_behind(2, 6)
    query, new = drawn(ROWS, 2, 2, SIZE), [drawn(ROWS, 2, 2, SIZE, grad=True) for _ in range(2)]
    room = parts(past, new[0]).room

    def total(tail: Tensor, room: Tensor) -> Tensor:
        both = Parts(room=room, tail=tail)
        return attend(nn.Identity(), query, both, both, mask)[0].square().sum()

    alone = [torch.autograd.grad(total(tail, room.clone()), tail)[0] for tail in new]
    totals = [total(tail, room) for tail in new]
    for tail, one, wanted in zip(new, totals, alone, strict=True):
        assert torch.equal(torch.autograd.grad(one, tail)[0], wanted)


def test_a_cache_hands_over_both_parts_or_one() -> None:
    keys, values, new = (drawn(ROWS, 2, 4, SIZE) for _ in range(3))
    key, value = PrefixLayer(keys, values, 3, apart=True).update(new[:, :, 3:], new[:, :, 3:])
    assert key.room is keys and value.room is values and torch.equal(key.tail, new[:, :, 3:])
    layer = PrefixLayer(keys, values, 3, apart=False)
    assert layer.get_seq_length() == 3
    key, value = layer.update(new[:, :, 3:], new[:, :, 3:])
    assert torch.equal(key, torch.cat([keys[:, :, :3], new[:, :, 3:]], dim=2))
    assert torch.equal(value, torch.cat([values[:, :, :3], new[:, :, 3:]], dim=2))


def test_a_model_has_its_own_attention_again_after_an_error() -> None:
    model = tiny("llama")
    with pytest.raises(KeyError), fixed_prefix(model) as apart:
        assert apart and model.config._attn_implementation == NAME
        raise KeyError
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(("kind", "implementation"), [("llama", "eager"), ("bloom", None)])
def test_another_attention_stays(kind: str, implementation: str | None) -> None:
    model = tiny(kind)
    if implementation:
        model.set_attn_implementation(implementation)
    own = model.config._attn_implementation
    with fixed_prefix(model) as apart:
        assert not apart and model.config._attn_implementation == own


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_model_that_goes_on_attends_in_two_parts(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny(kind), []
    original = PrefixLayer.update
    monkeypatch.setattr(PrefixLayer, "update", lambda self, *a, **k: seen.append(self.apart) or original(self, *a, **k))
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    kept = keep(model, ids, torch.ones_like(ids), 3)
    last = resume(model, kept, 1, kept.inputs[1])
    assert seen and all(seen)
    torch.testing.assert_close(last, kept.last, rtol=1e-4, atol=1e-5)
