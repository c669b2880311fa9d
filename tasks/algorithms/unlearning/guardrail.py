"""The guardrail baseline: a prompt prefix and an output filter around a model whose weights stay as they are.

For text: everything the model reads begins with the prefix, and a completion that holds an anchor which its prompt did
not hold is replaced by a refusal. For probabilities, so that the scorecard reads the guarded model as it reads any
other:

    p'(t) = min(p(t), floor)                                     if t would complete an anchor that the prompt does not
    hold p'(t) = p(t) * (1 - sum of the floors) / (1 - sum of their p)  otherwise

The filter knows words, not meaning: it cannot see where a word ends before the word is complete, so that a token which
completes an anchor is lowered even where it would begin a longer word, and other spellings pass. Both errors show in
the scorecard like any other model's, since `GuardrailModel` is read by the same code for every split.

Source: Thaker et al. 2024, arXiv:2403.03329, guardrail baselines (prompting and filtering). Deviation: the form for
probabilities is ours.
"""

import copy
import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.models.heads import apply_head, context_size, last_hidden, output_head
from tasks.algorithms.shapes import Float, Int
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.tokens.templates import DATE, QUESTION, read_template
from tasks.settings.text import CorpusConfig

CURLY = str.maketrans("'", "\u2019")


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """What stands around a model."""

    prefix: str
    """Text before everything that the model reads; may be empty."""
    refusal: str
    floor: float
    """Probability of a token that would complete an anchor."""
    terms: tuple[str, ...]
    """Anchors that are filtered; may be empty."""


def lower_tokens(
    logits: Float[Tensor, "rows vocab"], tokens: Int[Tensor, " tokens"], floor: float
) -> Float[Tensor, "rows vocab"]:
    """Return log-probabilities in nats in which some tokens have at most `floor` and the others share the rest as
    before.

    Args:
        logits: Unnormalised log-probabilities.
        tokens: Distinct tokens, fewer than the vocabulary.
        floor: A probability; with very many tokens it is lowered so that together they have at most one half.
    """
    log_p = logits.float().log_softmax(-1)
    capped = log_p[:, tokens].clamp(max=math.log(min(floor, 0.5 / len(tokens))))
    others = log_p.index_fill(-1, tokens, -math.inf)
    lowered = others - others.logsumexp(-1, keepdim=True) + torch.log1p(-capped.exp().sum(-1, keepdim=True))
    return lowered.index_copy(-1, tokens, capped)


class TermFilter:
    """Knows which next tokens would complete a term."""

    def __init__(self, terms: Sequence[str], tokenizer: Any) -> None:
        """Tokenize every term as it stands inside a text and at its beginning, with either apostrophe."""
        self._tokenizer, self._expression = tokenizer, anchor_expression(terms)
        self._after: dict[tuple[int, ...], set[tuple[int, str, bool]]] = defaultdict(set)
        for term in terms:
            for lead in ("", " "):
                for spelled in dict.fromkeys((term, term.translate(CURLY))):
                    ids, _ = encode(tokenizer, lead + spelled)
                    self._after[tuple(ids[:-1])].add((ids[-1], term, not lead))
        self._longest = max(map(len, self._after), default=0)
        self._ends_in_word = functools.cache(lambda token: tokenizer.decode([token])[-1:].isalnum())

    def terms_in(self, ids: Sequence[int]) -> frozenset[str]:
        """Return the terms that occur in a stretch of tokens."""
        return (
            frozenset(anchor.term for anchor in self._expression.find(self._tokenizer.decode(ids)))
            if len(ids)
            else frozenset()
        )

    def next_tokens(self, ids: Sequence[int], allowed: frozenset[str]) -> frozenset[int]:
        """Return the tokens that would complete a term after `ids`, but for terms that are `allowed`."""
        tokens = set()
        for length in range(min(self._longest, len(ids)) + 1):
            before = len(ids) - length
            for token, term, bare in self._after.get(tuple(ids[before:]), ()):
                inside = bare and before > 0 and self._ends_in_word(ids[before - 1])
                if term not in allowed and not inside:
                    tokens.add(token)
        return frozenset(tokens)


class FilteredHead(nn.Module):
    """A model's output head that reads, in one column beside the hidden state, which tokens are lowered in a row."""

    def __init__(self, head: nn.Module, floor: float, vocabulary: int) -> None:
        super().__init__()
        self.head, self._floor, self.out_features = head, floor, vocabulary
        self._sets: list[frozenset[int]] = [frozenset()]
        self._numbers = {frozenset(): 0}

    def number(self, tokens: frozenset[int]) -> int:
        """Return the number by which a row names a set of tokens; 0 is none. float32 holds any number below 2**24
        exactly.
        """
        if tokens not in self._numbers:
            self._numbers[tokens] = len(self._sets)
            self._sets.append(tokens)
        return self._numbers[tokens]

    def forward(self, hidden: Float[Tensor, "*rows extended"]) -> Float[Tensor, "*rows vocab"]:
        """Return logits, those of lowered rows as log-probabilities."""
        numbers, states = hidden[..., -1].round().long(), hidden[..., :-1].to(next(self.head.parameters()).dtype)
        logits = apply_head(self.head, states)
        for number in numbers.unique().tolist():
            if number:
                rows = numbers == number
                tokens = torch.tensor(sorted(self._sets[number]), device=logits.device)
                logits[rows] = lower_tokens(logits[rows], tokens, self._floor)
        return logits


class GuardrailModel(nn.Module):
    """A causal language model behind a guardrail, in so far as scoring, generation and lm-eval ask anything of a model.

    Last hidden states have one column more than the model's, see `FilteredHead`. What stands before the scored tokens
    is the prompt, as in generation what was asked; where nobody says what is scored, everything is taken for the
    model's own words.
    """

    def __init__(self, model: Any, tokenizer: Any, guardrail: Guardrail) -> None:
        """Put a guardrail around `model`, whose weights are not changed; the prefix takes its room from the context."""
        super().__init__()
        self.model, self._tokenizer, self._guardrail = model, tokenizer, guardrail
        self._beginnings = beginnings(tokenizer, guardrail.prefix)
        self._expression, self._filter = anchor_expression(guardrail.terms), TermFilter(guardrail.terms, tokenizer)
        self._head = FilteredHead(output_head(model), guardrail.floor, model.config.vocab_size)
        self.config, self.generation_config = copy.deepcopy(model.config), model.generation_config
        self.config.max_position_embeddings = room_left(self._beginnings, context_size(model.config))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def tie_weights(self) -> None:
        """There is nothing to tie: the weights are the model's."""

    def get_output_embeddings(self) -> nn.Module:
        """Return the head that filters."""
        return self._head

    def base_model(self, input_ids: Tensor, attention_mask: Tensor | None = None, use_cache: bool = False) -> Any:
        """Return `last_hidden_state`; everything counts as the model's own words."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return SimpleNamespace(last_hidden_state=self.hidden_behind_guardrail(input_ids, mask, [1] * len(input_ids)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        """Return `logits`."""
        return SimpleNamespace(logits=self._head(self.base_model(input_ids, attention_mask).last_hidden_state))

    def hidden_behind_guardrail(
        self, ids: Int[Tensor, "batch seq"], mask: Int[Tensor, "batch seq"], starts: Sequence[int]
    ) -> Float[Tensor, "batch seq extended"]:
        """Return last hidden states behind the prefix, with the number of the lowered tokens beside them.

        Args:
            ids: Tokens, padded on the right.
            mask: By length.
            starts: First position of each row that is the model's own word; those before are its prompt.
        """
        rows = [row[:count] for row, count in zip(ids.tolist(), mask.sum(1).tolist(), strict=True)]
        moved = [self._prefixed(row) for row in rows]
        wide, wide_mask = pad_batch([row for row, _ in moved], 0, ids.device)
        hidden = last_hidden(self.model, wide, wide_mask)
        offsets = torch.tensor([offset for _, offset in moved], device=ids.device)
        places = (torch.arange(ids.shape[1], device=ids.device) + offsets.unsqueeze(1)).clamp(0, wide.shape[1] - 1)
        aligned = hidden.gather(1, places.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        numbers = torch.zeros(ids.shape, device=ids.device)
        for slot, (row, start) in enumerate(zip(rows, starts, strict=True)):
            numbers[slot, : len(row)] = torch.tensor(self._numbers(row, start), device=ids.device)
        return torch.cat([aligned.float(), numbers.unsqueeze(-1)], dim=-1)

    def _numbers(self, row: Sequence[int], start: int) -> list[float]:
        prompt_terms = self._filter.terms_in(row[:start]) if start > 1 else frozenset()
        token_sets = (
            self._filter.next_tokens(row[: at + 1], prompt_terms) if at + 1 >= start else frozenset()
            for at in range(len(row))
        )
        return [float(self._head.number(tokens)) for tokens in token_sets]

    def _prefixed(self, row: Sequence[int]) -> tuple[list[int], int]:
        """Return a row behind the prefix, and by how much its tokens have moved."""
        begin, instead = next(
            (begin, instead) for begin, instead in self._beginnings if tuple(row[: len(begin)]) == begin
        )
        return [*instead, *row[len(begin) :]], len(instead) - len(begin)

    @torch.no_grad()
    def generate(
        self, input_ids: Int[Tensor, "batch seq"], attention_mask: Int[Tensor, "batch seq"], **options: Any
    ) -> Int[Tensor, "batch longer"]:
        """Continue prompts that are padded on the left, as the library's `generate`; filtered completions
        are refusals.
        """
        pad, most = options.get("pad_token_id") or 0, options["max_new_tokens"]
        prompts = [
            row[len(row) - count :]
            for row, count in zip(input_ids.tolist(), attention_mask.sum(1).tolist(), strict=True)
        ]
        moved = [self._prefixed(row)[0] for row in prompts]
        width = max(map(len, moved))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in moved], device=input_ids.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in moved], device=input_ids.device)
        completions = self.model.generate(input_ids=ids, attention_mask=mask, **options)[:, width:].tolist()
        completions = [
            self._filtered(row, prompt, options)[:most] for row, prompt in zip(completions, prompts, strict=True)
        ]
        longest = max(map(len, completions))
        answers = torch.tensor([row + [pad] * (longest - len(row)) for row in completions], device=input_ids.device)
        return torch.cat([input_ids, answers], dim=1)

    def _filtered(self, row: list[int], prompt: Sequence[int], options: dict[str, Any]) -> list[int]:
        """Return the completion that the user sees: the model's own, or the refusal where it names an anchor that its
        prompt does not.
        """
        own = self.generation_config.eos_token_id
        stops = options.get("eos_token_id", own if isinstance(own, list) else [own]) or []
        end = next((at for at, token in enumerate(row) if token in stops), len(row))
        text, prompt_text = (self._tokenizer.decode(ids, skip_special_tokens=True) for ids in (row[:end], prompt))
        if not names_anchor(text, prompt_text, self._expression):
            return row
        return encode(self._tokenizer, " " + self._guardrail.refusal)[0] + [
            token for token in stops[:1] if token is not None
        ]


def beginnings(tokenizer: Any, prefix: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return how texts may begin, in tokens, and what they begin with behind the prefix, the longest first; the last
    fits every text.

    A conversation gets the prefix as its system text, in place of one that the template writes by itself; plain text
    gets it after the tokenizer's own first token.
    """
    lead, plain = prefix_ids(tokenizer), tuple(encode(tokenizer, prefix)[0]) if prefix else ()
    pairs = [(lead, lead + plain), ((), plain)]
    template = read_template(tokenizer, CorpusConfig())
    if template.chat and template.head and prefix:
        heads = [
            tuple(encode(tokenizer, head)[0]) for head in (template.head, system_head(tokenizer, template.head, prefix))
        ]
        pairs.append((heads[0], heads[1]))
    return sorted(dict(reversed(pairs)).items(), key=lambda pair: -len(pair[0]))


def room_left(prompts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], context: int) -> int:
    """Return the positions that a prefix leaves of a context.

    Args:
        prompts: What `beginnings` returns.
        context: Positions that the model has.

    Raises:
        ValueError: If the prefix takes more than half of them.
    """
    prefix_length = max(0, *(len(instead) - len(begin) for begin, instead in prompts))
    if 2 * prefix_length > context:
        raise ValueError(
            f"the prefix takes {prefix_length} of the model's {context} positions; wanted half of them at most (--set"
            " guardrail.prefix=...)"
        )
    return context - prefix_length


def system_head(tokenizer: Any, head: str, prefix: str) -> str:
    """Return what a conversation has before its question where `prefix` is the system text; a template without one gets
    it before the question.
    """
    text = _opening(tokenizer, "system", prefix)
    before = text.partition(QUESTION)[0]
    has_system = prefix.strip() in before and QUESTION in text and text != _opening(tokenizer, "assistant", prefix)
    return before if has_system else head + prefix.strip() + "\n\n"


def _opening(tokenizer: Any, role: str, prefix: str) -> str:
    """Return a conversation that begins with `prefix` as said by `role`; empty where the template does not
    take that.
    """
    turns = [{"role": role, "content": prefix.strip()}, {"role": "user", "content": QUESTION}]
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE)
    except Exception:  # a template that knows no system text raises what it likes
        return ""
