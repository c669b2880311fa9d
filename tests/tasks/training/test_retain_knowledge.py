"""Claims: bounds and what is expected are those of the restated trigrams at counted positions, made where asked for."""

from types import SimpleNamespace

import pytest
import torch

from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.settings.scrub import ScrubConfig
from tasks.training.retain_knowledge import RetainKnowledge
from tests.reference import trigrams as restated

FORGET = [((1, 2, 3, 4), (0, 1, 1, 1)), ((5, 1, 2), (1, 0, 1)), ((3, 4), (1, 1))]
RETAIN = [((1, 2, 5, 1, 2, 3), (0, 1, 1, 1, 1, 1)), ((3, 4, 1), (1,) * 3)]
VOCABULARY, CPU = 7, torch.device("cpu")


def rows() -> SimpleNamespace:
    parts = {
        part: [TextBlock(ids=ids, supervised=tuple(map(bool, flags))) for ids, flags in blocks]
        for part, blocks in (("forget", FORGET), ("retain", RETAIN))
    }
    return SimpleNamespace(rows=parts.__getitem__)


def known(**settings) -> RetainKnowledge:
    return RetainKnowledge(rows(), ScrubConfig(**settings), VOCABULARY)


@pytest.mark.parametrize("bound", [None, 1.0])
def test_each_token_is_bounded_by_its_share_of_surprisal(bound: float | None) -> None:
    tensors, cached = known(surprisal_share=0.5, bound=bound).of([2, 0], CPU)
    for found, (ids, _) in zip(tensors["bound_nats"], (FORGET[2], FORGET[0]), strict=True):
        nats = [min(0.5 * nat, bound or 99.0) for nat in restated.surprisal(RETAIN, VOCABULARY, ids)[1:]]
        assert found[: len(nats)].tolist() == pytest.approx(nats)
    assert not cached


def test_what_is_expected_stands_where_a_prediction_counts() -> None:
    tensors, cached = known(expected_weight=0.1).of([0, 1, 2], CPU)
    contexts = [(1, 2), (2, 3), (5,), (3,)]
    found = cached["expected"]
    dense = (found.share[:, None] * found.everywhere).index_put(
        (found.positions, found.tokens), found.entries, accumulate=True
    )
    wanted = [
        [restated.probability(RETAIN, VOCABULARY, context, token) for token in range(VOCABULARY)]
        for context in contexts
    ]
    torch.testing.assert_close(dense, torch.tensor(wanted))
    assert not tensors


def test_nothing_is_made_where_nothing_is_asked_for() -> None:
    assert known().of([0, 1], CPU) == ({}, {})
