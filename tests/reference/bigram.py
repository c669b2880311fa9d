"""A language model whose every prediction is written down in the test: logits[t] = table[ids[t]]."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn


class BigramModel(nn.Module):
    """Its last hidden state is the one-hot token, its output head is the table."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.eye(len(table)))
        self.head = nn.Linear(len(table), len(table), bias=False)
        self.head.weight = nn.Parameter(table.T.clone())

    @property
    def base_model(self):
        return self._body

    def _body(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.embedding(input_ids))

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(self.embedding(input_ids)))


def bigram(vocabulary: int, predictions: dict[int, dict[int, float]]) -> BigramModel:
    """A model that, after the token `a`, gives the token `b` the logit `predictions[a][b]`, and 0 to all others."""
    table = torch.zeros(vocabulary, vocabulary)
    for token, following in predictions.items():
        for successor, logit in following.items():
            table[token, successor] = logit
    return BigramModel(table)
