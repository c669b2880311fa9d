"""What `--method auto` chooses among: methods with their settings, and which of them a request allows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from flows.methods import METHODS, Method, method
from flows.steps.editing import check_editable
from flows.steps.settings import apply_settings
from flows.steps.trials import trained_sections
from tasks.artifacts import AnchorTable, BadInputError, FactTable
from tasks.settings.automatic import AutomaticConfig
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One method with its settings."""

    words: str
    """As the user would write it."""
    name: str
    """Of its method, in `METHODS`."""
    config: Any
    """All settings; those of the evaluation are the same for all candidates."""

    @property
    def method(self) -> Method:
        """How it unlearns."""
        return METHODS[self.name]

    @property
    def trains(self) -> bool:
        """Whether it can be trained in part."""
        return bool(trained_sections(self.config))

    def shortened(self, share: float) -> "Candidate":
        """Return it with a share of its training, above 0 to 1, and without attempts to bring back what was forgotten,
        which are left for whole trainings; what its last training stands on is made whole, once for all shares.
        """
        section, training = list(trained_sections(self.config).items())[-1]
        steps = {
            "epochs": max(1, round(share * training.epochs)),
            "least_steps": round(share * training.least_steps),
        }
        config = replace(
            self.config,
            **{section: replace(training, **steps)},
            relearning=replace(self.config.relearning, steps=()),
            rounding=replace(self.config.rounding, bits=()),
        )
        return replace(self, config=config)


def read_candidates(config: AutomaticConfig) -> list[Candidate]:
    """Return all candidates, whether the request allows them or not.

    Raises:
        ValueError: If a method is unknown.
        BadInputError: If one of its settings is, or does not fit.
    """
    shared = {field.name: getattr(config, field.name) for field in fields(MethodConfig)}
    read = []
    for name, changes in config.named():
        configured = replace(method(name).preset("default", config.seed), **shared)
        read.append(Candidate(words=" ".join([name, *changes]), name=name, config=apply_settings(configured, changes)))
    return read


def sort_out(
    candidates: Sequence[Candidate],
    request: UnlearningRequest,
    config: AutomaticConfig,
    dictionary: AnchorTable,
    facts: FactTable,
) -> tuple[list[Candidate], dict[str, str]]:
    """Return the candidates that the request allows, in order, and why each of the others is left out.

    Raises:
        BadInputError: If none is left.
    """
    reasons = {one.words: _reason(one, request, config, dictionary, facts) for one in candidates}
    left_out = {words: reason for words, reason in reasons.items() if reason}
    allowed = [one for one in candidates if one.words not in left_out]
    if not allowed:
        told = "; ".join(f"{words}: {reason}" for words, reason in left_out.items())
        raise BadInputError(f"--method auto: no candidate is left ({told}); wanted one that the request allows")
    # a guardrail is what is left where all that forgets has failed
    return sorted(allowed, key=lambda one: not one.method.changes_weights), left_out


def whole_first(candidates: Sequence[Candidate]) -> int:
    """Return how many candidates are made whole before any is halved: all up to the first that trains, which often
    passes at once.
    """
    return 1 + next((place for place, one in enumerate(candidates) if one.trains), len(candidates))


def _reason(
    one: Candidate, request: UnlearningRequest, config: AutomaticConfig, dictionary: AnchorTable, facts: FactTable
) -> str:
    """Return why a candidate is left out; empty where it is not."""
    if not one.method.changes_weights and not config.guardrail:
        return "it changes no weights; --set guardrail=true allows it"
    if one.config.needs_anchors and not dictionary.anchors:
        return "the text has no anchors"
    if one.name == "rome" and facts.recommended != "editing":
        return f"for few facts alone: {facts.reason}"
    try:
        one.method.require_text()(request, one.config)
        if one.name == "rome":
            check_editable(request.model)
    except BadInputError as error:
        return str(error)
    return ""
