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

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from tasks.algorithms.models.heads import context_size
from tasks.algorithms.shapes import Float
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.algorithms.tokens.batching import length_batches
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest

WEIGHTS = {2: 2 / 3, 3: 4 / 3}
"""Length of the n-grams -> weight of their entropy."""
BATCH_TOKENS = 16384
"""Tokens, padding and continuations included, that are written at a time."""


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

    What is drawn depends on the seed, the request's place and the prompt's, not on what else is asked; a model before
    and one after edits draw alike.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        requests: All of them.
        config: How many, how long, drawn from how many tokens.
        pad_id: Filler token.
        only: Places of those that are asked for; None: all.
    """
    asked = [
        (at, number, prompt.rstrip())
        for at, request in enumerate(requests)
        if only is None or at in only
        for number, prompt in enumerate(request.generation[: config.generations])
    ]
    new_tokens = min(config.generation_tokens, context_size(model.config) // 2)
    noise = [_gumbel(config, at, number, new_tokens) for at, number, _ in asked]
    added = continue_texts(model, tokenizer, [prompt for _, _, prompt in asked], new_tokens, pad_id, noise)
    return [
        WrittenText(request=at, number=number, text=prompt + text)
        for (at, number, prompt), text in zip(asked, added, strict=True)
    ]


def continue_texts(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[str],
    new_tokens: int,
    pad_id: int,
    noise: Sequence[Float[Tensor, "steps ranks"]] | None = None,
) -> list[str]:
    """Return what a model adds to each prompt; prompts are cut on the left where the context is too small.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        prompts: Whole prompts.
        new_tokens: Tokens that are added at most; no more than half of the context are.
        pad_id: Filler token.
        noise: Of each text, see `_RankSampling`; None: greedy.
    """
    context, prefix = context_size(model.config), prefix_ids(tokenizer)
    new_tokens = min(new_tokens, context // 2)
    noise = [torch.zeros(new_tokens, 1)] * len(prompts) if noise is None else noise
    room = context - new_tokens - len(prefix)
    rows = [(*prefix, *encode(tokenizer, prompt)[0][-room:]) for prompt in prompts]
    added = [""] * len(prompts)
    for batch in length_batches([len(row) + new_tokens for row in rows], BATCH_TOKENS):
        found = _continued(model, [rows[at] for at in batch], torch.stack([noise[at] for at in batch]), pad_id)
        for at, text in zip(batch, tokenizer.batch_decode(found, skip_special_tokens=True), strict=True):
            added[at] = text
    return added


def _gumbel(config: EditEvaluationConfig, request: int, number: int, steps: int) -> Float[Tensor, "steps ranks"]:
    """Return the noise of one text: standard Gumbel, one for each of the likeliest tokens at each step."""
    seed = int(np.random.SeedSequence([config.seed, request, number]).generate_state(1)[0])
    uniform = torch.rand(steps, config.generation_top_k, generator=torch.Generator().manual_seed(seed))
    return -(-uniform.clamp_min(1e-20).log()).log()


class _RankSampling(LogitsProcessor):
    """Leaves of every row's k likeliest tokens the one whose log-probability plus noise is greatest.

    With Gumbel noise this draws from the softmax over the k (Gumbel-max), each row by its own noise, so that a text
    does not depend on the batch that it is written in.
    """

    def __init__(self, noise: Float[Tensor, "batch steps ranks"]) -> None:
        self.noise, self.step = noise, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ranks = min(self.noise.shape[-1], scores.shape[-1])
        top = scores.float().topk(ranks)
        best = (top.values + self.noise[:, self.step, :ranks].to(scores.device)).argmax(-1, keepdim=True)
        self.step += 1
        return torch.full_like(scores, -math.inf).scatter(-1, top.indices.gather(-1, best), 0.0)


@torch.no_grad()
def _continued(
    model: nn.Module, rows: Sequence[Sequence[int]], noise: Float[Tensor, "batch steps ranks"], pad_id: int
) -> list[list[int]]:
    """Return what a model adds to each row of tokens, padded on the left and masked; one rank is greedy."""
    width, device = max(map(len, rows)), next(model.parameters()).device
    ids = torch.tensor([[pad_id] * (width - len(row)) + [*row] for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    drawn = [] if noise.shape[-1] == 1 else [_RankSampling(noise)]
    options = {"do_sample": False, "max_new_tokens": noise.shape[1], "pad_token_id": pad_id, "use_cache": True}
    found = model.generate(input_ids=ids, attention_mask=mask, logits_processor=LogitsProcessorList(drawn), **options)
    return found[:, width:].tolist()


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
