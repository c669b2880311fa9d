"""Claims: surprisal is that of the restatement; probabilities make one; what a text tells surprises least."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.tokens.trigrams import surprisals
from tests.reference import trigrams as restated

ROW = st.lists(st.integers(0, 4), max_size=9)
ROWS = st.lists(ROW, max_size=6)


@given(text=ROWS, rows=ROWS)
def test_surprisal_equals_the_restatement(text: list[list[int]], rows: list[list[int]]) -> None:
    found = surprisals(rows, iter(text), 5)
    assert [len(nats) for nats in found] == [len(row) for row in rows]
    for nats, row in zip(found, rows, strict=True):
        assert nats == pytest.approx(restated.surprisal(text, 5, row), rel=1e-12)


@given(text=ROWS, context=st.lists(st.integers(0, 4), max_size=2))
def test_the_probabilities_after_a_context_make_one(text: list[list[int]], context: list[int]) -> None:
    found = surprisals([[*context, token] for token in range(5)], text, 5)
    assert math.fsum(math.exp(-nats[-1]) for nats in found) == pytest.approx(1.0)


def test_a_run_that_a_text_tells_often_surprises_least() -> None:
    rows = [(1, 2, 3), (9, 2, 3), (1, 2, 4)]
    told, half_told, untold = (nats[-1] for nats in surprisals(rows, [(1, 2, 3)] * 50, 100))
    assert told < half_told < math.log(100) < untold


def test_without_any_text_every_token_surprises_alike() -> None:
    assert surprisals([(3, 1, 4)], [], 50)[0] == pytest.approx([math.log(50)] * 3)


def test_no_run_goes_from_one_row_into_the_next() -> None:
    apart, together = (surprisals([(1, 2, 3)], text, 10)[0][-1] for text in ([(1, 2), (3,)], [(1, 2, 3)]))
    assert together < apart
