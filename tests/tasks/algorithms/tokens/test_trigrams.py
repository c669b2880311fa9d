"""Claims: surprisal and what is expected are those of the restatement; what a text tells surprises least."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.algorithms.tokens.trigrams import Expected, Trigrams
from tests.reference import trigrams as restated

ROW = st.lists(st.integers(0, 4), max_size=9)
ROWS = st.lists(ROW, max_size=6)
TEXT = st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=9), max_size=6).map(
    lambda rows: [([token for token, _ in row], [counts for _, counts in row]) for row in rows]
)


def blocks(text) -> list[TextBlock]:
    return [TextBlock(ids=tuple(ids), supervised=tuple(counts)) for ids, counts in text]


def prose(*rows) -> list[TextBlock]:
    return blocks(restated.whole(rows))


def dense(expected: Expected) -> torch.Tensor:
    """Each position's distribution, (positions, vocab)."""
    found = expected.share[:, None] * expected.everywhere
    return found.index_put((expected.positions, expected.tokens), expected.entries, accumulate=True)


@given(text=TEXT, rows=ROWS)
def test_surprisal_equals_the_restatement(text: list, rows: list[list[int]]) -> None:
    known = Trigrams(rows, iter(blocks(text)), 5)
    for row in rows:
        assert known.surprisals(row) == pytest.approx(restated.surprisal(text, 5, row), rel=1e-12)


@given(text=TEXT, rows=ROWS)
def test_what_is_expected_equals_the_restatement(text: list, rows: list[list[int]]) -> None:
    contexts = [tuple(row[max(0, at - 2) : at]) for row in rows for at in range(len(row))]
    expected = Trigrams(rows, blocks(text), 5).expected(contexts)
    assert expected.positions.tolist() == sorted(expected.positions.tolist())
    wanted = [[restated.probability(text, 5, context, token) for token in range(5)] for context in contexts]
    torch.testing.assert_close(dense(expected), torch.tensor(wanted).reshape(-1, 5))


@given(text=TEXT, row=ROW.filter(bool))
def test_what_is_expected_is_a_distribution(text: list, row: list[int]) -> None:
    found = dense(Trigrams([row], blocks(text), 5).expected([tuple(row[-2:]), ()]))
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def test_a_run_that_a_text_tells_often_surprises_least() -> None:
    rows = [(1, 2, 3), (9, 2, 3), (1, 2, 4)]
    known = Trigrams(rows, prose(*[(1, 2, 3)] * 50), 100)
    told, half_told, untold = (known.surprisals(row)[-1] for row in rows)
    assert told < half_told < math.log(100) < untold


def test_without_any_text_every_token_surprises_alike() -> None:
    assert Trigrams([(3, 1, 4)], [], 50).surprisals((3, 1, 4)) == pytest.approx([math.log(50)] * 3)


def test_no_run_goes_from_one_row_into_the_next() -> None:
    row = (1, 2, 3)
    apart, together = (Trigrams([row], prose(*text), 10).surprisals(row)[-1] for text in ([(1, 2), (3,)], [row]))
    assert together < apart


def test_what_is_never_asked_for_is_not_expected() -> None:
    """Claims: a question is no part of what answers are expected to say, though it stands before them."""
    question, answer = (7, 8, 2), (4, 2, 5)
    asked = [TextBlock(ids=question + answer, supervised=(False,) * 2 + (True,) * 4)]
    contexts = [(8, 2), (4, 2), (7, 8)]
    found = dense(Trigrams([question, answer], asked, 10).expected(contexts))
    assert found.argmax(1).tolist()[:2] == [4, 5]
    # 8 and 2 of the question are as likely as what was never seen, after whatever context
    assert found[2, 8] == found[2, 9] < found[2, 4]
