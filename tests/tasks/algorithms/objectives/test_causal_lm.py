"""Claims: the loss is the token mean of the float64 restatement; padding is nothing to it."""

import pytest
import torch

from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.tokens.batching import pad_batch
from tests.reference.labels import log_softmax, logits_of
from tests.reference.losses import next_token_loss

BLOCKS = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]


def loss_of(model: torch.nn.Module, blocks: list[tuple[int, ...]], pad_id: int = 0) -> torch.Tensor:
    ids, mask = pad_batch(blocks, pad_id)
    return CausalLM().loss(model, {"ids": ids, "mask": mask}, {})[0]


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_the_loss_equals_float64_one_sequence_at_a_time(family: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1, initializer_range=0.3)
    expected = next_token_loss([logits_of(model, block) for block in BLOCKS], BLOCKS)
    assert loss_of(model, BLOCKS).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_the_library(tiny_llama) -> None:
    model = tiny_llama(2)
    ids = torch.tensor([BLOCKS[0]])
    assert loss_of(model, [BLOCKS[0]]).item() == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-6)


def test_only_supervised_predictions_count(tiny_llama) -> None:
    # block 0 counts from 7 on (positions 1 to 3 predict 7, 8, 9), block 1 not at all, block 2 counts 14; nothing
    # comes after a last position
    model = tiny_llama(4, initializer_range=0.3)
    ids, mask = pad_batch(BLOCKS, 0)
    supervised, _ = pad_batch([(0, 1, 1, 1, 0), (0, 0), (0, 1, 1)], 0)
    found = CausalLM().loss(model, {"ids": ids, "mask": mask, "supervised": supervised}, {})[0].item()
    logits = [logits_of(model, block) for block in BLOCKS]
    by_hand = [
        -log_softmax(logits[block][at])[token] for block, at, token in [(0, 1, 7), (0, 2, 8), (0, 3, 9), (2, 1, 14)]
    ]
    assert found == pytest.approx(sum(by_hand) / 4, rel=1e-5)


@pytest.mark.parametrize("pad_id", [0, 6, 299])
def test_padding_changes_neither_loss_nor_gradient(tiny_llama, pad_id: int) -> None:
    """A long block beside short ones, its tokens counted; the filler may be a token of the text."""
    model = tiny_llama(3, initializer_range=0.3)
    loss_of(model, BLOCKS, pad_id).backward()
    padded = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    model.zero_grad()
    tokens = [len(block) - 1 for block in BLOCKS]
    alone = sum(count * loss_of(model, [block]) for count, block in zip(tokens, BLOCKS, strict=True)) / sum(tokens)
    alone.backward()
    assert loss_of(model, BLOCKS, pad_id).item() == pytest.approx(alone.item(), rel=1e-5)
    torch.testing.assert_close(
        padded, torch.cat([weight.grad.flatten() for weight in model.parameters()]), atol=1e-6, rtol=1e-4
    )
