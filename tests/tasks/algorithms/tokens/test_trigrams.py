"""Claims: surprisal and what is expected are those of the restatement; what a text tells surprises least."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.tokens.trigrams import Expected, Trigrams
from tests.reference import trigrams as restated

ROW = st.lists(st.integers(0, 4), max_size=9)
ROWS = st.lists(ROW, max_size=6)


def dense(expected: Expected) -> torch.Tensor:
    """Each position's distribution, (positions, vocab)."""
    found = expected.share[:, None] * expected.everywhere
    return found.index_put((expected.positions, expected.tokens), expected.entries, accumulate=True)


@given(text=ROWS, rows=ROWS)
def test_surprisal_equals_the_restatement(text: list[list[int]], rows: list[list[int]]) -> None:
    known = Trigrams(rows, iter(text), 5)
    for row in rows:
        assert known.surprisals(row) == pytest.approx(restated.surprisal(text, 5, row), rel=1e-12)


@given(text=ROWS, rows=ROWS)
def test_what_is_expected_equals_the_restatement(text: list[list[int]], rows: list[list[int]]) -> None:
    contexts = [tuple(row[max(0, at - 2) : at]) for row in rows for at in range(len(row))]
    expected = Trigrams(rows, text, 5).expected(contexts)
    assert expected.positions.tolist() == sorted(expected.positions.tolist())
    wanted = [[restated.probability(text, 5, context, token) for token in range(5)] for context in contexts]
    torch.testing.assert_close(dense(expected), torch.tensor(wanted).reshape(-1, 5))


@given(text=ROWS, row=ROW.filter(bool))
def test_what_is_expected_is_a_distribution(text: list[list[int]], row: list[int]) -> None:
    found = dense(Trigrams([row], text, 5).expected([tuple(row[-2:]), ()]))
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def test_a_run_that_a_text_tells_often_surprises_least() -> None:
    rows = [(1, 2, 3), (9, 2, 3), (1, 2, 4)]
    known = Trigrams(rows, [(1, 2, 3)] * 50, 100)
    told, half_told, untold = (known.surprisals(row)[-1] for row in rows)
    assert told < half_told < math.log(100) < untold


def test_without_any_text_every_token_surprises_alike() -> None:
    assert Trigrams([(3, 1, 4)], [], 50).surprisals((3, 1, 4)) == pytest.approx([math.log(50)] * 3)


def test_no_run_goes_from_one_row_into_the_next() -> None:
    row = (1, 2, 3)
    apart, together = (Trigrams([row], text, 10).surprisals(row)[-1] for text in ([(1, 2), (3,)], [row]))
    assert together < apart
