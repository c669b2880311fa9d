"""What a model says of a fact today."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tasks.algorithms.editing.prompts import edit_prompt
from tasks.algorithms.models.activations import logits_of
from tasks.algorithms.models.heads import last_hidden
from tasks.settings.edit_request import EditRequest


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answer to an edit's prompt."""

    known: bool
    """Whether its first choices are the named object's tokens; true where none is named."""
    token: int
    """The first token of the fact's object: the named one's, else of what the model says."""
    text: str
    """What the model says: as many words as the named object has tokens, else one."""


@torch.no_grad()
def answer_of(model: nn.Module, tokenizer: Any, request: EditRequest) -> Answer:
    """Ask a model for the object of a fact: its first choice for each of the object's tokens, the true ones before it.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        request: With the object where one is named.
    """
    prompt = edit_prompt(tokenizer, request.prompt, request.subject, request.object)
    wanted = prompt.target
    ids = torch.tensor([prompt.ids[:-1] if wanted else prompt.ids], device=next(model.parameters()).device)
    last = last_hidden(model, ids, torch.ones_like(ids))[0, prompt.target_start - 1 :]
    said = logits_of(model, last).argmax(dim=-1).tolist()
    known = not wanted or tuple(said) == tuple(wanted)
    return Answer(known=known, token=wanted[0] if wanted else said[0], text=tokenizer.decode(said).strip())
