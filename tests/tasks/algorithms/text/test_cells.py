"""Claims: no text of a cell begins as a formula does; every text comes back as it was; numbers stay numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.text.cells import as_cell, from_cell

STARTS = ("=", "+", "-", "@", "\t", "\r")


@given(st.text() | st.builds(lambda start, rest: start + rest, st.text("'=+-@\t\r", max_size=4), st.text(max_size=5)))
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    cell = as_cell(text)
    assert not cell.startswith(STARTS)
    assert from_cell(cell) == text


@pytest.mark.parametrize("text", ["'tis", "it's", "", "a=b", "O'Neill"])
def test_a_text_that_is_no_formula_stays_as_it_is(text: str) -> None:
    assert as_cell(text) == from_cell(text) == text


@pytest.mark.parametrize("value", [-1, -1.5, None, True])
def test_what_is_no_text_stays_as_it_is(value: object) -> None:
    assert as_cell(value) is value
