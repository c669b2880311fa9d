"""Rows of unlike lengths are what was appended, whatever their order, in one tensor."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.tokens.ragged import RaggedRows

ROWS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), max_size=8)


@given(rows=ROWS, chance=st.randoms(use_true_random=False))
def test_rows_are_those_that_were_appended_in_any_order(rows: list[list[int]], chance) -> None:
    growing = RaggedRows(torch.int32)
    for row in rows:
        growing.append(row)
    found = growing.finish()
    assert (len(growing), len(found)) == (len(rows), len(rows))
    assert [row.tolist() for row in found] == rows
    assert found.lengths.tolist() == [len(row) for row in rows]
    order = chance.choices(range(len(rows)), k=5) if rows else []
    assert [row.tolist() for row in found.select(order)] == [rows[index] for index in order]


def test_a_token_takes_four_bytes_and_a_flag_one() -> None:
    for dtype, size in ((torch.int32, 4), (torch.bool, 1)):
        growing = RaggedRows(dtype)
        growing.append([1, 0, 1])
        growing.append([1])
        row = growing.finish()[1]
        assert (row.dtype, row.tolist(), row.untyped_storage().nbytes()) == (dtype, [1], 4 * size)


def test_there_is_no_row_after_the_last() -> None:
    growing = RaggedRows(torch.int32)
    growing.append([1])
    with pytest.raises(IndexError):
        growing.finish()[1]
