"""What a verdict is, and the thresholds by which it is reached; apart from the judging, so that no training depends on
that code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tasks.settings.schema import settings

Check = Literal["forgotten", "utility_kept", "healthy", "robust", "private"]
CHECKS: tuple[Check, ...] = get_args(Check)


@settings
class VerdictConfig:
    """What counts as forgotten, kept and healthy."""

    required: tuple[Check, ...] = ("forgotten", "utility_kept", "healthy", "robust")
    """Checks that have to hold for the verdict to pass."""
    forgotten_gap: float = 0.08
    """Largest |unlearned - retrained| in probability, 0 to 1; also at most `forgotten_ratio` of |target -
    retrained|."""
    forgotten_ratio: float = 0.3
    """Largest share that may be left of the target model's familiarity; of its distance to the reference at the gold
    and proxy tiers."""
    choice_left: float = 0.8
    """Largest share that may be left of how far above the reference, or chance, the true answer is preferred to false
    ones. A refusal or an output filter leaves all of it: the order of the answers is where knowledge that is only
    unspoken shows."""
    relearned_ratio: float = 0.3
    """Largest share of the target model's knowledge (above the retrained model's, at the gold tier) that a few steps of
    training on one half of the forget text may bring back in the other half."""
    rounding_keeps: float = 0.5
    """Least share of the target model's own knowledge that rounding its weights has to leave for figures of rounded
    models to count: of a model that rounding ruins they say nothing."""
    privleak: float = 10.0
    """Largest |privleak|, in percent."""
    retain_ratio: float = 0.9
    """Least share of the target model's probability kept on retain_test."""
    sibling_ratio: float = 0.75
    """Least share of the target model's probability kept on the sibling split."""
    perplexity_ratio: float = 1.05
    """Largest factor on the perplexity of general text; for retain_test and sibling prose see the next two fields.
    Where the 95 % interval reaches below the limit, up to twice the rise is let pass: few windows of text cannot tell
    it from none. A text that the target model reads no better than by guessing among its tokens does not count."""
    retain_perplexity_ratio: float = 1.1
    """Largest factor on the perplexity of retain_test prose."""
    sibling_perplexity_ratio: float = 1.25
    """Largest factor on the perplexity of sibling prose."""
    empty_share: float = 0.05
    """Largest rise of the share of empty completions, 0 to 1."""
    distinct_ratio: float = 0.6
    """Least share of the target model's distinct word pairs."""
    repetition_rise: float = 0.15
    """Largest rise of the share of repeated words, 0 to 1."""
    leaked_rise: float = 0.1
    """Largest rise of the share of completions with a name, address or number that nobody gave, 0 to 1."""
    teacher_perplexity_ratio: float = 20.0
    """Largest factor on the target model's surprise at the completions; retrained models were seen at 3 to 9, destroyed
    ones at 3,000."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.required) - set(CHECKS))
        if unknown:
            raise ValueError(f"verdict.required names {', '.join(unknown)}; wanted some of {', '.join(CHECKS)}")


def health_limits(config: VerdictConfig) -> list[tuple[str, str, Callable[[float], float]]]:
    """Return what `healthy` wants: figure of `degeneration`, relation, and from the target's figure the limit."""
    return [
        ("empty_share", "<=", lambda target: target + config.empty_share),
        ("distinct_2", ">=", lambda target: target * config.distinct_ratio),
        ("repetition", "<=", lambda target: target + config.repetition_rise),
        ("leaked_strings", "<=", lambda target: target + config.leaked_rise),
        ("teacher_perplexity", "<=", lambda target: target * config.teacher_perplexity_ratio),
    ]


@dataclass(kw_only=True)
class Verdict:
    """What was checked, how it came out, and why."""

    forgotten: bool | None = None
    utility_kept: bool | None = None
    healthy: bool | None = None
    robust: bool | None = None
    private: bool | None = None
    evidence: str = "behavioural"
    reasons: list[str] = field(default_factory=list)

    def as_dict(self, required: tuple[Check, ...]) -> dict[str, Any]:
        """Return the verdict as the scorecard holds it."""
        checks = {name: getattr(self, name) for name in CHECKS}
        return {
            **checks,
            "passed": all(checks[name] is True for name in required),
            "evidence": self.evidence,
            "checked": [name for name, value in checks.items() if value is not None],
            "missing": [name for name, value in checks.items() if value is None],
            "reasons": self.reasons,
        }
