"""What objectives are given, made the plain way: full logits of a frozen model, every position, no chunks; and rows for
the restatement.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.tokens.batching import pad_batch
from tests.reference.labels import logits_of
from tests.reference.objectives import Row

Text = tuple[tuple[int, ...], tuple[int, ...]]
FORGET: list[Text] = [((5, 6, 7, 8, 9), (0, 1, 1, 1, 0)), ((10, 11, 12), (1, 1, 1)), ((13, 14, 15, 16), (0, 0, 1, 1))]
"""Token ids, and at which positions the prediction of the next token counts."""
RETAIN: list[Text] = [((20, 21, 22), (1, 1, 1)), ((23, 24, 25, 26, 27), (0, 1, 0, 1, 1))]
PREFERRED: list[Text] = [
    ((5, 6, 30, 31), (0, 1, 1, 0)),
    ((10, 30, 31), (1, 1, 0)),
    ((13, 14, 15, 30, 31), (0, 0, 1, 1, 0)),
]


def padded(texts: Sequence[Text], prefix: str, pad_id: int = 0, width: int = 0) -> dict[str, Tensor]:
    """Return ids, mask and supervised of the texts under a prefix, `width` columns of padding more than they need."""
    ids, mask = pad_batch([text for text, _ in texts], pad_id)
    supervised, _ = pad_batch([counts for _, counts in texts], 0)
    found = {"ids": ids, "mask": mask, "supervised": supervised}
    fill = {"ids": pad_id, "mask": 0, "supervised": 1}  # padding that is called supervised still does not count
    return {
        f"{prefix}{name}": nn.functional.pad(tensor, (0, width), value=fill[name]) for name, tensor in found.items()
    }


def make_batch(
    *, forget: Sequence[Text] = FORGET, retain: Sequence[Text] = RETAIN, pad_id: int = 0, width: int = 0
) -> dict[str, Tensor]:
    """Return a micro-batch with every kind of row."""
    texts = {"": forget, "retain_": retain, "preferred_": PREFERRED[: len(forget)]}
    return {
        name: tensor
        for prefix, rows in texts.items()
        if rows
        for name, tensor in padded(rows, prefix, pad_id, width).items()
    }


def which_count(batch: dict[str, Tensor], prefix: str) -> Tensor:
    """Return (batch, seq - 1): a plain loop over rows and positions."""
    supervised, mask = batch[f"{prefix}supervised"].tolist(), batch[f"{prefix}mask"].tolist()
    return torch.tensor(
        [[bool(s[at] and m[at + 1]) for at in range(len(s) - 1)] for s, m in zip(supervised, mask, strict=True)]
    )


@torch.no_grad()
def make_cached(frozen: nn.Module, batch: dict[str, Tensor], layer: int = 1) -> dict[str, Any]:
    """Return what a frozen model says of the batch, under the names of all `needs`."""
    cached: dict[str, Any] = {"reference_head": frozen.get_output_embeddings()}
    for prefix, name in {"": "reference_logprob", "preferred_": "preferred_reference_logprob"}.items():
        ids, counts = batch[f"{prefix}ids"], which_count(batch, prefix)
        log_p = frozen(input_ids=ids, attention_mask=batch[f"{prefix}mask"]).logits[:, :-1].log_softmax(-1)
        cached[name] = (log_p.gather(-1, ids[:, 1:, None])[..., 0] * counts).sum(1)
    for prefix, name in {"": "forget_hidden", "retain_": "retain_hidden"}.items():
        if f"{prefix}ids" in batch:
            cached[name] = last_hidden(frozen, batch[f"{prefix}ids"], batch[f"{prefix}mask"])[:, :-1][
                which_count(batch, prefix)
            ]
    if "retain_ids" in batch:
        cached["retain_layer_hidden"] = layer_states(frozen, batch["retain_ids"], batch["retain_mask"], layer)
    return cached


def layer_states(model: nn.Module, ids: Tensor, mask: Tensor, layer: int) -> Tensor:
    """Return the hidden states after a layer, from a whole forward pass."""
    seen: list[Tensor] = []
    layers = model.model.layers if hasattr(model, "model") else model.transformer.h
    handle = layers[layer].register_forward_hook(
        lambda module, inputs, output: seen.append(output if isinstance(output, Tensor) else output[0])
    )
    model(input_ids=ids, attention_mask=mask)
    handle.remove()
    return seen[0]


def rows_of(model: nn.Module, texts: Sequence[Text]) -> list[Row]:
    """Return the texts with the model's float64 logits, each read alone and without padding."""
    return [Row(logits_of(model, ids).tolist(), ids, supervised) for ids, supervised in texts]


class TwoTokens(nn.Module):
    """A model whose only weights are the logits of two tokens, whatever came before: gradients by hand."""

    def __init__(self, logits: Sequence[float]) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2, bias=False)
        self.head.weight = nn.Parameter(torch.tensor(logits)[:, None])

    def base_model(self, input_ids: Tensor, **ignored: Any) -> Any:
        return SimpleNamespace(last_hidden_state=torch.ones(*input_ids.shape, 1))

    def forward(self, input_ids: Tensor, **ignored: Any) -> Any:
        return SimpleNamespace(logits=self.head(torch.ones(*input_ids.shape, 1)))

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def gradient(objective: Any, model: nn.Module, batch: dict[str, Tensor], cached: dict[str, Any]) -> Tensor:
    """Return the gradient of the loss by all weights that it reaches, one after another."""
    model.zero_grad()
    objective.loss(model, batch, cached)[0].backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
