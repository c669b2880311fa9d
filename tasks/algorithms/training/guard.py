"""The guard that watches a model while it trains: do its completions degenerate, and do they leak strings of its
training data?

An objective can be won by breaking: SCRUB with (alpha, beta) = (0.25, 0.75) was seen to reach its lowest loss with a
model that answers in blanks, and with (0.75, 0.25) with one that recites strangers' names and addresses. So a few
prompts are answered greedily at every validation, and the answers are held against the target model's own on the same
prompts, with the thresholds of the verdict's `healthy`. A few are coarse: a share has to rise by more than one
completion before it counts.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tasks.algorithms.measuring.degeneration import distinct_2, empty_share, leaked_strings, repetition
from tasks.algorithms.measuring.metrics import bounded_exp
from tasks.algorithms.measuring.probing import Prompt, complete, make_prompts, rate_completions
from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.scripts import first_units, last_units, spoken_units
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.training.loop import Validation
from tasks.settings.measuring import ProbingConfig
from tasks.settings.verdict import VerdictConfig, health_limits

_log = logging.getLogger(__name__)
PROMPTS, NEW_TOKENS = 24, 16
"""How much a look costs at most: prompts, and tokens of each answer. Of four answers on what was forgotten none was
seen to loop where a quarter of all did."""
SHARES = ("empty_share", "leaked_strings")
"""Figures that count completions."""


@dataclass(frozen=True, kw_only=True)
class GuardReport:
    """What one look at the model found."""

    metrics: dict[str, float]
    """`guard/<figure of degeneration>`, and `guard/healthy` (0 or 1)."""
    healthy: bool
    reasons: tuple[str, ...]
    """One sentence for every figure that is out of bounds; they hold no text of the model's."""
    leaked: tuple[str, ...]
    """Names, addresses and numbers in the completions that nobody gave: may be someone's, so never logged in public."""
    completions: tuple[str, ...]


class Guard:
    """Holds a model's answers to a few prompts against those of the target model.

    `Guard(before, prompts, ...)(model)` costs `len(prompts)` greedy completions of `new_tokens` tokens; the model is
    left as it was.
    """

    def __init__(
        self,
        before: Sequence[str],
        prompts: Sequence[Prompt],
        *,
        tokenizer: Any,
        template: Template,
        known_pieces: frozenset[str],
        pad_id: int,
        context: int,
        thresholds: VerdictConfig = VerdictConfig(),
        new_tokens: int = NEW_TOKENS,
        teacher: nn.Module | None = None,
    ) -> None:
        """Take the target model's completions as the measure.

        Args:
            before: The target model's completions of `prompts`, see `answers`.
            prompts: What is asked, at most `PROMPTS`.
            tokenizer: The models' tokenizer.
            template: How a question is asked.
            known_pieces: `degeneration.pieces` of every text that the user gave.
            pad_id: Filler token.
            context: Positions that the models have.
            thresholds: What `healthy` tolerates.
            new_tokens: Tokens of a completion, >= 1.
            teacher: The target model, where it is at hand: it rates how likely the completions are, one forward pass a
                look.

        Raises:
            ValueError: If there are no prompts, more than `PROMPTS`, or not as many completions.
        """
        if not 1 <= len(prompts) <= PROMPTS or len(before) != len(prompts):
            raise ValueError(
                f"a guard was given {len(prompts)} prompts and {len(before)} completions; wanted 1 to {PROMPTS}, and as"
                " many of both"
            )
        self._prompts, self._tokenizer, self._template, self._known_pieces = (
            tuple(prompts),
            tokenizer,
            template,
            known_pieces,
        )
        self._pad, self._context, self._new_tokens, self._teacher = pad_id, context, new_tokens, teacher
        self._limits, self._before = health_limits(thresholds), self._figures(before)[0]

    def __call__(self, model: nn.Module) -> GuardReport:
        """Let the model answer, and say whether it is still healthy."""
        completions = answers(
            model, self._prompts, self._tokenizer, self._template, self._pad, self._context, self._new_tokens
        )
        figures, leaked = self._figures(completions)
        reasons = tuple(
            reason for name, relation, limit in self._limits if (reason := self._fault(name, relation, limit, figures))
        )
        metrics = {f"guard/{name}": value for name, value in figures.items()} | {"guard/healthy": float(not reasons)}
        return GuardReport(
            metrics=metrics, healthy=not reasons, reasons=reasons, leaked=leaked, completions=tuple(completions)
        )

    def _figures(self, completions: Sequence[str]) -> tuple[dict[str, float], tuple[str, ...]]:
        leaks = [
            leaked_strings(text, prompt.prompt, self._known_pieces)
            for text, prompt in zip(completions, self._prompts, strict=True)
        ]
        figures = {
            "empty_share": empty_share(completions),
            "distinct_2": distinct_2(completions),
            "repetition": self._most_repetition(completions),
        }
        figures["leaked_strings"] = sum(map(bool, leaks)) / len(leaks)
        if self._teacher is not None:
            rated = rate_completions(
                self._teacher, self._tokenizer, self._prompts, completions, self._pad, self._context
            )
            rated_nats = [nats for nats in rated if not math.isnan(nats)]
            figures |= {"teacher_perplexity": bounded_exp(sum(rated_nats) / len(rated_nats))} if rated_nats else {}
        return figures, tuple(dict.fromkeys(text for strings in leaks for text in strings))

    def _most_repetition(self, completions: Sequence[str]) -> float:
        """Return the repetition of the split that repeats more: what is forgotten loops first, and answers on what is
        kept would hide half of it.
        """
        by_split: dict[str, list[str]] = {}
        for prompt, text in zip(self._prompts, completions, strict=True):
            by_split.setdefault(prompt.split, []).append(text)
        return max(map(repetition, by_split.values()))

    def _fault(self, name: str, relation: str, limit: Callable[[float], float], figures: dict[str, float]) -> str:
        """Return what is wrong with a figure, or an empty text; one that was not measured on both models is
        not judged.
        """
        if name not in figures or name not in self._before:
            return ""
        bound = limit(self._before[name])
        bound = max(bound, self._before[name] + 1 / len(self._prompts)) if name in SHARES else bound
        holds = figures[name] <= bound + 1e-9 if relation == "<=" else figures[name] >= bound - 1e-9
        return (
            ""
            if holds
            else (
                f"guard: {name} of {len(self._prompts)} completions is {figures[name]:.4f}, wanted {relation}"
                f" {bound:.4f}"
            )
        )


def answers(
    model: nn.Module,
    prompts: Sequence[Prompt],
    tokenizer: Any,
    template: Template,
    pad_id: int,
    context: int,
    new_tokens: int,
) -> list[str]:
    """Return greedy completions in evaluation mode; the model's mode is as before afterwards."""
    training = model.training
    model.eval()
    try:
        return complete(model, tokenizer, prompts, template, ProbingConfig(new_tokens=new_tokens), pad_id, context)
    finally:
        model.train(training)


def guard_prompts(
    forget: Sequence[Document],
    retain: Sequence[Document],
    template: Template,
    expression: AnchorExpression | None,
    most: int = PROMPTS,
) -> list[Prompt]:
    """Return at most `most` prompts from the training text, half of them on what is kept where there is any: damage may
    show there only.

    Args:
        forget: Text that is unlearned.
        retain: Text that is kept, or nothing.
        template: How questions are asked.
        expression: Finds anchors, before which the forget text is cut; None: it is cut anywhere.
        most: How many.
    """
    config = ProbingConfig(prompts=most, new_tokens=NEW_TOKENS)
    retain_prompts = _prompts("retain", retain, template, None, config)
    forget_prompts = _prompts("forget", forget, template, expression, config)
    retain_prompts = spaced(retain_prompts, max(most // 2, most - len(forget_prompts)))
    return spaced(forget_prompts, most - len(retain_prompts)) + retain_prompts


def _prompts(
    split: str,
    documents: Sequence[Document],
    template: Template,
    expression: AnchorExpression | None,
    config: ProbingConfig,
) -> list[Prompt]:
    """Return prompts of a split; where all texts are too short for them, such as single sentences, their
    first halves.
    """
    halves = (
        (document.source, first_units(text, half), last_units(text, count - half))
        for document in documents
        if (count := len(spoken_units(text := " ".join(document.text.split())))) > 1 and (half := count // 2)
    )
    return make_prompts(split, documents, template, expression, config) or [
        Prompt(split=split, item=item, kind="cloze", prompt=head, truth=rest, cluster=source)
        for item, (source, head, rest) in enumerate(halves)
    ]


def watched(
    validate: Callable[[nn.Module], Validation], guard: Guard, *, steer: bool = True
) -> Callable[[nn.Module], Validation]:
    """Return a validation that also looks with the guard: `guard/...` is logged with the rest and, if it is to `steer`,
    an unhealthy model refused.
    """

    def look(model: nn.Module) -> Validation:
        validation, report = validate(model), guard(model)
        for reason in report.reasons:
            _log.warning("%s", reason)
        return replace(
            validation,
            acceptable=validation.acceptable and (report.healthy or not steer),
            metrics=validation.metrics | report.metrics,
        )

    return look
