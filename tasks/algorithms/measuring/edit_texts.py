"""What a model writes about a subject after an edit: is it still language, and does it speak as of the new object?

    GE = mean over texts of (2/3 H_2 + 4/3 H_3) / 2     H_n = -sum_g f(g) log2 f(g) over the n-grams g of words, in bits
    RS = cos(tfidf(all texts of the edit), tfidf(its reference texts))

Both as kmeng01/rome computes them (Meng et al. 2022, arXiv:2202.05262; tables of that paper show 100 GE): a text is its
prompt with its continuation, and document frequencies are those of the reference texts of all edits. Deviations: a word
is a run of letters and digits, a mark of punctuation one by itself, where the original has NLTK's tokenizer.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tasks.algorithms.models.heads import context_size
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest

WEIGHTS = {2: 2 / 3, 3: 4 / 3}
"""Length of the n-grams -> weight of their entropy."""


@dataclass(frozen=True, kw_only=True)
class WrittenText:
    """A text that a model wrote for an edit."""

    request: int
    number: int
    """Place of the prompt among the request's."""
    text: str
    """Prompt and continuation."""


def write_texts(
    model: nn.Module,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    config: EditEvaluationConfig,
    pad_id: int,
    only: Collection[int] | None = None,
) -> list[WrittenText]:
    """Continue the `generation` prompts of every request, at most `config.generations` each.

    What is drawn depends on the seed and the request's place, not on what else is asked.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        requests: All of them.
        config: How many, how long, drawn from how many tokens.
        pad_id: Filler token.
        only: Places of those that are asked for; None: all.
    """
    return [
        WrittenText(request=at, number=number, text=text)
        for at, request in enumerate(requests)
        if only is None or at in only
        for number, text in enumerate(
            _continued(model, tokenizer, request.generation[: config.generations], config, pad_id, config.seed + at)
        )
    ]


@torch.no_grad()
def _continued(
    model: nn.Module, tokenizer: Any, prompts: Sequence[str], config: EditEvaluationConfig, pad_id: int, seed: int
) -> list[str]:
    """Return each prompt with its continuation, drawn in one batch; padding is on the left and masked."""
    if not prompts:
        return []
    context, prefix, device = context_size(model.config), prefix_ids(tokenizer), next(model.parameters()).device
    new_tokens = min(config.generation_tokens, context // 2)
    rows = [
        [*prefix, *encode(tokenizer, prompt.rstrip())[0][-(context - new_tokens - len(prefix)) :]] for prompt in prompts
    ]
    width = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    draw = (
        {"do_sample": False} if config.generation_top_k == 1 else {"do_sample": True, "top_k": config.generation_top_k}
    )
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        found = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens, pad_token_id=pad_id, use_cache=True, **draw
        )
    added = tokenizer.batch_decode(found[:, width:], skip_special_tokens=True)
    return [prompt.rstrip() + text for prompt, text in zip(prompts, added, strict=True)]


def n_gram_entropy(text: str) -> float:
    """Return the weighted mean of the bigrams' and the trigrams' entropy, in bits; 0 for a text of one word."""
    words = re.findall(r"\w+|[^\w\s]", text)
    grams = {size: [tuple(words[at : at + size]) for at in range(len(words) - size + 1)] for size in WEIGHTS}
    return sum(weight * _entropy(grams[size]) for size, weight in WEIGHTS.items()) / 2


def _entropy(items: Sequence[tuple[str, ...]]) -> float:
    return -sum(count / len(items) * math.log2(count / len(items)) for count in Counter(items).values())


def reference_scores(texts: Sequence[WrittenText], references: Sequence[Sequence[str]]) -> dict[int, float]:
    """Return for every request with texts and references the cosine of the two, 0 to 1.

    Args:
        texts: What a model wrote.
        references: The reference texts of each request, none or more; those of all requests give the document
            frequencies.
    """
    asked = sorted({text.request for text in texts if references[text.request]})
    if not asked:
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer

    frequencies = TfidfVectorizer().fit([reference for own in references for reference in own])
    written = [" ".join(text.text for text in texts if text.request == at) for at in asked]
    ours, theirs = frequencies.transform(written), frequencies.transform([" ".join(references[at]) for at in asked])
    # rows have length 1, so their product is the cosine
    return dict(zip(asked, ours.multiply(theirs).sum(axis=1).A1.tolist(), strict=True))
