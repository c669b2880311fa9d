"""Claims: surprisal is that of the restatement; probabilities make one; what a text tells surprises least."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.tokens.trigrams import Trigrams
from tests.reference import trigrams as restated

ROW = st.lists(st.integers(0, 4), max_size=9)


@given(rows=st.lists(ROW, max_size=6), row=ROW)
def test_surprisal_equals_the_restatement(rows: list[list[int]], row: list[int]) -> None:
    assert Trigrams(rows, 5).surprisal(row) == pytest.approx(restated.surprisal(rows, 5, row), rel=1e-12)


@given(rows=st.lists(ROW, max_size=6), context=st.lists(st.integers(0, 4), max_size=2))
def test_the_probabilities_after_a_context_make_one(rows: list[list[int]], context: list[int]) -> None:
    known = Trigrams(rows, 5)
    assert math.fsum(math.exp(-known.surprisal([*context, token])[-1]) for token in range(5)) == pytest.approx(1.0)


def test_a_run_that_a_text_tells_often_surprises_least() -> None:
    known = Trigrams([(1, 2, 3)] * 50, 100)
    told, half_told, untold = (known.surprisal(row)[-1] for row in ((1, 2, 3), (9, 2, 3), (1, 2, 4)))
    assert told < half_told < math.log(100) < untold


def test_without_any_text_every_token_surprises_alike() -> None:
    assert Trigrams([], 50).surprisal((3, 1, 4)) == pytest.approx([math.log(50)] * 3)


def test_no_run_goes_from_one_row_into_the_next() -> None:
    apart, together = Trigrams([(1, 2), (3,)], 10), Trigrams([(1, 2, 3)], 10)
    assert together.surprisal((1, 2, 3))[-1] < apart.surprisal((1, 2, 3))[-1]
