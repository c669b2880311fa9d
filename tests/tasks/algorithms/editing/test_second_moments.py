"""Claims: C is its float64 restatement, one token at a time, for every layer, padding not counted; what has converged
and what has not; a matrix that is not positive definite is refused.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.editing.second_moments import cholesky, second_moments, solver, text_batches
from tasks.algorithms.models.architectures import mlp_output
from tasks.settings.rank_one_editing import SecondMomentConfig
from tests.reference.second_moments import second_moment, with_ridge
from tests.stand_ins.architectures import tiny

ALL = SecondMomentConfig(least_tokens=1, tolerance=1e-12, batch_rows=3, block_size=8)
"""Reads everything: nothing is that exact."""


def texts(count: int, longest: int = 12) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(2, 60, (1 + number % longest,), generator=generator).tolist() for number in range(count)]


def batches(rows: list[list[int]], config: SecondMomentConfig):
    return text_batches(rows, config, 0, torch.device("cpu"))


@pytest.fixture
def gpt2() -> nn.Module:
    return tiny("gpt2").double()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_it_equals_the_restatement_in_every_layer(kind: str) -> None:
    model, rows = tiny(kind).double(), texts(10)
    cut = [row[start : start + 8] for row in rows for start in range(0, len(row), 8)]
    found = second_moments(model, batches(rows, ALL), ALL)
    assert (found.tokens, found.converged, found.matrices.dtype) == (sum(map(len, rows)), False, torch.float64)
    for layer in range(3):
        wanted = second_moment(model, cut, layer)
        torch.testing.assert_close(found.matrices[layer], wanted, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.matrices[layer], found.matrices[layer].T, rtol=0, atol=1e-12)
        assert torch.linalg.eigvalsh(found.matrices[layer]).min() > -1e-12


def test_sums_of_a_single_precision_model_are_double() -> None:
    rows = texts(10, 8)
    found = second_moments(tiny("gpt2"), batches(rows, ALL), ALL)
    assert found.matrices.dtype == torch.float64
    torch.testing.assert_close(found.matrices[1], second_moment(tiny("gpt2").double(), rows, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["opt", "gpt_neox", "gemma3_text"])
def test_other_architectures_equal_a_hook_on_their_matrix(kind: str) -> None:
    model, rows, keys = tiny(kind), texts(9, 8), []
    found = second_moments(model, batches(rows, ALL), ALL)
    handle = mlp_output(model, 2).register_forward_pre_hook(lambda module, given: keys.append(given[0].flatten(0, -2)))
    with torch.no_grad():
        for row in rows:
            model(input_ids=torch.tensor([row]))
    handle.remove()
    together = torch.cat(keys).double()
    torch.testing.assert_close(found.matrices[2], together.T @ together / len(together), rtol=1e-4, atol=1e-5)


def test_neither_padding_nor_the_size_of_batches_counts(gpt2) -> None:
    rows = texts(10, 8)
    found = [
        second_moments(gpt2, batches(rows, config), config).matrices
        for config in (SecondMomentConfig(least_tokens=10**5, batch_rows=size, block_size=8) for size in (1, 4, 10))
    ]
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-9, atol=1e-12)


def test_change_is_how_far_every_other_row_is_from_all(gpt2) -> None:
    rows = texts(9, 8)
    config = SecondMomentConfig(least_tokens=10**5, batch_rows=2, block_size=8)
    found = second_moments(gpt2, batches(rows, config), config)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0)).tolist()
    changes = []
    for layer in range(3):
        whole = second_moment(gpt2, rows, layer)
        half = second_moment(gpt2, [rows[index] for index in order[::2]], layer)
        changes.append(((half - whole).norm() / whole.norm()).item())
    assert found.change == pytest.approx(max(changes), rel=1e-9)


def test_it_stops_where_it_has_converged_and_not_before_the_least(gpt2) -> None:
    rows, read = texts(400, 8), []
    loose = SecondMomentConfig(tolerance=0.2, least_tokens=100, batch_rows=8, block_size=8)
    found = second_moments(gpt2, batches(rows, loose), loose, read.append)
    assert found.converged
    assert found.change <= 0.2
    assert 100 <= found.tokens == read[-1] < sum(map(len, rows))
    strict = SecondMomentConfig(tolerance=0.001, least_tokens=100, most_tokens=300, batch_rows=8, block_size=8)
    found = second_moments(gpt2, batches(rows, strict), strict)
    assert not found.converged
    assert 300 <= found.tokens < 300 + 64


def test_of_one_row_nothing_is_known_to_have_converged(gpt2) -> None:
    config = SecondMomentConfig(tolerance=1e6, least_tokens=1, block_size=8)
    found = second_moments(gpt2, batches([[5, 6, 7]], config), config)
    assert (found.tokens, found.change, found.converged) == (3, math.inf, False)


def test_rows_of_a_batch_of_one_are_not_all_even(gpt2) -> None:
    config = SecondMomentConfig(tolerance=1e-9, least_tokens=1, batch_rows=1, block_size=8)
    found = second_moments(gpt2, batches(texts(6, 8), config), config)
    assert 1e-3 < found.change < math.inf


def test_no_text_is_refused(gpt2) -> None:
    with pytest.raises(ValueError, match="there is no text to read for second moments; wanted at least one token"):
        second_moments(gpt2, batches([], ALL), ALL)


def test_a_model_of_experts_is_refused() -> None:
    with pytest.raises(ValueError, match="model type 'mixtral' cannot be edited"):
        second_moments(tiny("mixtral"), batches([[5, 6]], ALL), ALL)


def test_no_hook_stays(gpt2) -> None:
    second_moments(gpt2, batches([[5, 6]], ALL), ALL)
    assert not any(module._forward_pre_hooks for module in gpt2.modules())


def drawn(rows: int, size: int = 6) -> Tensor:
    keys = torch.randn(rows, size, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    return keys.T @ keys / rows


def test_the_factor_and_what_it_solves() -> None:
    moment = drawn(30)
    factor = cholesky(moment, 0.01)
    torch.testing.assert_close(factor @ factor.T, with_ridge(moment, 0.01))
    assert torch.equal(factor, factor.tril())
    assert torch.linalg.eigvalsh(factor @ factor.T).min() > 0
    solve, right = solver(factor), torch.randn(6, 2, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(solve(right), torch.linalg.inv(with_ridge(moment, 0.01)) @ right.double())
    torch.testing.assert_close(solve(right[:, 0]), solve(right)[:, 0])


def test_what_is_not_positive_definite_is_refused_in_plain_words() -> None:
    with pytest.raises(
        ValueError, match=r"C is not positive definite with a ridge of 0; wanted more text \(second_mom"
    ):
        cholesky(torch.diag(torch.tensor([1.0, 2.0, 0.0])), 0.0)
    cholesky(torch.diag(torch.tensor([1.0, 2.0, 0.0])), 1e-6)
    with pytest.raises(ValueError, match=r"with a ridge of 0\.0001"):
        cholesky(-drawn(30), 1e-4)
    with pytest.raises(ValueError, match="not positive definite"):
        cholesky(torch.full((3, 3), math.nan), 1e-4)


def test_texts_are_cut_and_read_in_a_seeded_order() -> None:
    config = SecondMomentConfig(batch_rows=2, block_size=4)
    rows = [list(range(2, 12)), [20, 21]]
    read = [
        [row[: int(flags.sum())].tolist() for row, flags in zip(ids, mask, strict=True)]
        for ids, mask in batches(rows, config)
    ]
    assert [len(batch) for batch in read] == [2, 2]
    flat = [row for batch in read for row in batch]
    assert sorted(flat) == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11], [20, 21]]
    assert flat == [row for ids, mask in batches(rows, config) for row in cut(ids, mask)]
    other = SecondMomentConfig(batch_rows=2, block_size=4, seed=1)
    assert flat != [row for ids, mask in batches(rows, other) for row in cut(ids, mask)]


def cut(ids: Tensor, mask: Tensor) -> list[list[int]]:
    return [row[: int(flags.sum())].tolist() for row, flags in zip(ids, mask, strict=True)]
