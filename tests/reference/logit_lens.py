"""The logit lens in float64: one prompt at a time, every layer's states through the final norm and the head."""

import copy

import torch

from tests.reference.edit_scores import object_tokens
from tests.reference.labels import bytes_read


def best_rank(model, tokenizer, request) -> int:
    """Least number of tokens that are likelier than the object's first, over layers, at the subject's last token and
    at the prompt's.
    """
    prompt = request.prompt.replace("{}", request.subject)
    ids, first = object_tokens(tokenizer, prompt, request.object)
    ends = [len(text) for text in bytes_read(tokenizer, ids)]
    end = len(request.prompt.split("{}")[0].encode()) + len(request.subject.encode())
    subject = next(place for place, stop in enumerate(ends) if stop >= end)
    exact = copy.deepcopy(model).double()
    norm = exact.model.norm if hasattr(exact, "model") else exact.transformer.ln_f
    with torch.no_grad():
        states = exact(input_ids=torch.tensor([ids[:first]]), output_hidden_states=True).hidden_states
        shown = [exact.lm_head(norm(state[0])) for state in states[1:-1]] + [exact.lm_head(states[-1][0])]
    rows = [logits[place].tolist() for logits in shown for place in (subject, first - 1)]
    return min(sum(one > row[ids[first]] for one in row) for row in rows)
