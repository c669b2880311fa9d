"""Cross-entropy of a model's predictions under a distribution that is given in few entries a position."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tasks.algorithms.models.heads import apply_head, output_size
from tasks.algorithms.shapes import Float
from tasks.algorithms.tokens.batching import row_chunks
from tasks.algorithms.tokens.trigrams import Expected


def expected_cross_entropy(
    head: nn.Module, hidden: Float[Tensor, "rows hidden"], expected: Expected
) -> Float[Tensor, " rows"]:
    """Return -sum_t q(t) log p(t) of every row, in nats; logits exist a chunk of rows at a time, q never does.

    Args:
        head: Output head of the model that is trained.
        hidden: Its last hidden states.
        expected: q at each row; its vocabulary may lack filler tokens that the head has at its end.

    Raises:
        ValueError: If there are not as many positions as rows.
    """
    if len(hidden) != len(expected.share):
        raise ValueError(
            f"what is expected has {len(expected.share)} positions; wanted {len(hidden)}, one for each row"
        )
    if not len(hidden):
        return hidden.sum(-1).float()

    def nats(rows: Tensor, share: Tensor, positions: Tensor, tokens: Tensor, entries: Tensor) -> Tensor:
        log_p = apply_head(head, rows).log_softmax(-1)
        found = share * (log_p[:, : len(expected.everywhere)] @ expected.everywhere)
        return -found.index_add(0, positions, entries * log_p[positions, tokens])

    found = []
    for chunk in row_chunks(len(hidden), output_size(head, hidden), hidden.device):
        start, stop = torch.searchsorted(
            expected.positions, torch.tensor([chunk.start, chunk.stop], device=hidden.device)
        )
        part = slice(int(start), int(stop))
        inputs = (expected.positions[part] - chunk.start, expected.tokens[part], expected.entries[part])
        found.append(checkpoint(nats, hidden[chunk], expected.share[chunk], *inputs, use_reentrant=False))
    return torch.cat(found)
