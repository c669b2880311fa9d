"""Claims: only what counts is summed; chunks change neither values nor gradients and keep no logits; KL is the
restatement's.
"""

import math
import re

import pytest
import torch
from torch import nn

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.terms import (
    cross_entropy,
    kl_rows,
    kl_to_cached,
    retain_term,
    sequence_lengths,
    sequence_logprobs,
    token_logprobs,
)
from tests.reference import losses, objectives
from tests.reference.labels import log_softmax
from tests.stand_ins.objectives import FORGET, PREFERRED, RETAIN, make_batch, make_cached, padded, rows_of

VOCABULARY, HIDDEN, ROWS = 64, 8, 50


def test_counted_positions_are_supervised_and_followed_by_a_real_token() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    supervised = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])
    assert terms.counted_positions(mask, supervised).tolist() == [[True, True, False], [False, True, False]]
    assert terms.counted_positions(mask, supervised.bool()).tolist() == [[True, True, False], [False, True, False]]


@pytest.mark.parametrize("prefix, texts", [("", FORGET), ("preferred_", PREFERRED)])
def test_sequence_logprobs_equal_float64(pair, prefix: str, texts: list) -> None:
    found = sequence_logprobs(pair.student, make_batch(), prefix)
    expected = [objectives.sequence_log_p(row) for row in rows_of(pair.student, texts)]
    assert found.tolist() == pytest.approx(expected, rel=2e-5)


def test_a_row_that_counts_nothing_has_sum_0_and_no_gradient(pair) -> None:
    texts = [FORGET[0], ((10, 11, 12), (0, 0, 1))]
    found = sequence_logprobs(pair.student, padded(texts, ""))
    assert found[1].item() == 0
    assert sequence_lengths(padded(texts, "")).tolist() == [3, 0]
    nothing = cross_entropy(pair.student, padded(texts[1:], ""))
    nothing.backward()
    assert nothing.item() == 0
    assert all(weight.grad is None or not weight.grad.any() for weight in pair.student.parameters())


def test_the_mean_is_over_tokens_and_not_over_rows(pair) -> None:
    rows = rows_of(pair.student, FORGET)  # 3, 2 and 1 counted tokens
    of_rows = [objectives.cross_entropy([row]) for row in rows]
    found = cross_entropy(pair.student, make_batch()).item()
    assert found == pytest.approx((3 * of_rows[0] + 2 * of_rows[1] + of_rows[2]) / 6, rel=2e-5)
    assert abs(found - sum(of_rows) / 3) > 1e-2


@pytest.mark.parametrize("kind", ["ce", "kl"])
def test_the_retain_term_equals_float64(pair, kind: str) -> None:
    batch = make_batch()
    found = retain_term(pair.student, batch, make_cached(pair.frozen, batch), kind).item()
    assert found == pytest.approx(
        objectives.retain(kind, rows_of(pair.frozen, RETAIN), rows_of(pair.student, RETAIN)), rel=2e-5
    )


def test_an_unknown_retain_term_is_answered_with_the_known_ones(pair) -> None:
    with pytest.raises(KeyError, match="no retain loss 'mse'; wanted one of ce, kl"):
        retain_term(pair.student, make_batch(), {}, "mse")


def test_states_of_other_positions_are_refused(pair) -> None:
    batch = make_batch()
    cached = make_cached(pair.frozen, batch)
    cached["retain_hidden"] = cached["retain_hidden"][:-1]
    with pytest.raises(
        ValueError,
        match=re.escape("the cache holds 3 hidden states for this batch; wanted 4, one for each position that counts"),
    ):
        retain_term(pair.student, batch, cached, "kl")


def heads_and_rows() -> tuple[nn.Linear, nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(5)
    head, frozen = nn.Linear(HIDDEN, VOCABULARY, bias=False), nn.Linear(HIDDEN, VOCABULARY, bias=False)
    for layer in (head, frozen):
        nn.init.normal_(layer.weight, generator=drawn)
    hidden, cached = torch.randn(2, ROWS, HIDDEN, generator=drawn)
    return head, frozen, hidden.requires_grad_(), cached, torch.randint(VOCABULARY, (ROWS,), generator=drawn)


def both_terms(head, frozen, hidden, cached, targets) -> torch.Tensor:
    return token_logprobs(head, hidden, targets).sum() + kl_to_cached(head, hidden, frozen, cached).sum()


@pytest.mark.parametrize("at_once", [1, VOCABULARY, 7 * VOCABULARY, ROWS * VOCABULARY - 1])
def test_chunks_change_neither_values_nor_gradients(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    head, frozen, hidden, cached, targets = heads_and_rows()
    whole = both_terms(head, frozen, hidden, cached, targets)
    expected = torch.autograd.grad(whole, [hidden, head.weight])
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    found = both_terms(head, frozen, hidden, cached, targets)
    assert found.item() == pytest.approx(whole.item(), rel=1e-6)
    for one, other in zip(torch.autograd.grad(found, [hidden, head.weight]), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def numbers_kept(function) -> int:
    """How many numbers the backward pass of `function` keeps that have a vocabulary axis, the heads' weights aside."""
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(
            tensor.numel() if tensor.ndim == 2 and tensor.shape[1] == VOCABULARY and tensor.shape[0] != HIDDEN else 0
        )
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(kept)


def test_no_logits_are_kept_for_the_backward_pass_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = heads_and_rows()
    assert numbers_kept(lambda: both_terms(*inputs)) >= 2 * ROWS * VOCABULARY
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", 10 * VOCABULARY)
    assert numbers_kept(lambda: both_terms(*inputs)) == 0


def test_the_head_never_sees_more_rows_than_a_chunk_has(monkeypatch: pytest.MonkeyPatch) -> None:
    head, frozen, hidden, cached, targets = heads_and_rows()
    seen: list[int] = []
    for layer in (head, frozen):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", 10 * VOCABULARY)
    both_terms(head, frozen, hidden, cached, targets).backward()
    assert max(seen) == 10
    # the student's head in both terms, the frozen one in one; each forward and again in the backward pass
    assert sum(seen) == 2 * 3 * ROWS
    assert frozen.weight.grad is None


def test_chunks_do_without_gradients_too(monkeypatch: pytest.MonkeyPatch) -> None:
    head, frozen, hidden, cached, targets = heads_and_rows()
    expected = both_terms(head, frozen, hidden, cached, targets).item()
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", 10 * VOCABULARY)
    with torch.no_grad():
        assert both_terms(head, frozen, hidden, cached, targets).item() == pytest.approx(expected, rel=1e-6)


def random_log_p(seed: int) -> torch.Tensor:
    return torch.randn(4, 7, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def test_kl_of_equals_is_0_and_its_gradient_too() -> None:
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = kl_rows(logits.detach().log_softmax(-1), logits.log_softmax(-1)).mean()
    loss.backward()
    assert abs(loss.item()) < 1e-7
    assert logits.grad.abs().max() < 1e-7


def test_kl_goes_from_the_reference_to_the_model() -> None:
    # reference (3/4, 1/4), model (1/2, 1/2): 3/4 log(3/2) + 1/4 log(1/2) = 0.1308; the other way 1/2 log(2/3) +
    # 1/2 log 2 = 0.1438
    reference, model = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert kl_rows(reference, model).mean().item() == pytest.approx(
        0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-7
    )
    assert kl_rows(model, reference).mean().item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-7)


def test_kl_is_the_mean_over_rows_and_never_below_0() -> None:
    reference, model = random_log_p(1), random_log_p(2)
    rows = [
        losses.kl(log_softmax(r), log_softmax(m))
        for r, m in zip(reference.double().numpy(), model.double().numpy(), strict=True)
    ]
    assert min(rows) > 0
    assert kl_rows(reference, model).mean().item() == pytest.approx(sum(rows) / 4, rel=1e-5)


def test_a_banned_token_costs_nothing_by_itself_and_its_gradient_is_finite() -> None:
    reference = random_log_p(3).clone()
    reference[0, 2] = float("-inf")
    reference = reference.log_softmax(-1)
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(4)).requires_grad_()
    loss = kl_rows(reference, logits.log_softmax(-1)).mean()
    loss.backward()
    assert loss.item() == pytest.approx(
        losses.mean_kl(reference.double().numpy(), logits.detach().double().numpy()), rel=1e-5
    )
    # d KL / d logits = (softmax(logits) - reference) / rows, also where the reference is 0
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(-1) - reference.exp()) / 4, atol=1e-6, rtol=0)
