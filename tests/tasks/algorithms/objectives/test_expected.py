"""Claims: the cross-entropy is that under the whole distribution, whatever the chunks and the filler of the head."""

import pytest
import torch
from torch import nn

from tasks.algorithms.objectives import expected
from tasks.algorithms.objectives.expected import expected_cross_entropy
from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.algorithms.tokens.trigrams import Trigrams
from tests.reference import trigrams as restated

TEXT, VOCABULARY = restated.whole([(1, 2, 3, 1, 2, 4), (2, 3), (5, 1, 2)]), 6
BLOCKS = [TextBlock(ids=ids, supervised=tuple(counts)) for ids, counts in TEXT]
CONTEXTS = [(1, 2), (2, 3), (3,), (), (0, 5)]


@pytest.mark.parametrize("rows_at_once", [1, 2, 5])
def test_it_equals_the_whole_distribution_in_chunks(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        expected,
        "row_chunks",
        lambda rows, *_: [slice(at, min(at + rows_at_once, rows)) for at in range(0, rows, rows_at_once)],
    )
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(4, VOCABULARY + 2, bias=False)  # two outputs of filler
    hidden = torch.randn(5, 4, generator=generator, requires_grad=True)
    known = Trigrams([(1, 2, 3), (3,), (0, 5)], BLOCKS, VOCABULARY).expected(CONTEXTS)
    found = expected_cross_entropy(head, hidden, known)
    wanted = torch.tensor(
        [
            [restated.probability(TEXT, VOCABULARY, context, token) for token in range(VOCABULARY)]
            for context in CONTEXTS
        ]
    )
    nats = -(wanted * head(hidden).log_softmax(-1)[:, :VOCABULARY]).sum(1)
    torch.testing.assert_close(found, nats)
    ours, theirs = (torch.autograd.grad(values.sum(), hidden, retain_graph=True)[0] for values in (found, nats))
    torch.testing.assert_close(ours, theirs)


def test_without_rows_there_is_nothing() -> None:
    known = Trigrams([], BLOCKS, VOCABULARY).expected([])
    assert expected_cross_entropy(nn.Linear(4, VOCABULARY), torch.empty(0, 4), known).shape == (0,)


def test_other_positions_than_rows_are_refused() -> None:
    known = Trigrams([(1, 2)], BLOCKS, VOCABULARY).expected([(1, 2)])
    with pytest.raises(ValueError, match="what is expected has 1 positions; wanted 3"):
        expected_cross_entropy(nn.Linear(4, VOCABULARY), torch.zeros(3, 4), known)
