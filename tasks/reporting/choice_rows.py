"""What a table of candidates says of one: what is left, what comes back, and what is kept, over the target model's."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.reporting.run_tables import KEPT, LEFT
from tasks.reporting.wording import RELEARNED

Metrics = Mapping[str, Mapping[str, Any]]


def standing(metrics: Metrics) -> dict[str, float | None]:
    """Return `left`, `back` and `kept` of a scorecard, as shares of the target model's figure; None where it has none.

    `back` is the highest point after relearning over what the target knows without it.
    """
    left = next((name for name in LEFT if _known(metrics, name)), "")
    kept = next((name for name in KEPT["retain_test"] if _known(metrics, name)), "")
    points = [
        row["unlearned"]
        for name, row in metrics.items()
        if (found := RELEARNED.fullmatch(name.removeprefix("forget_test/")))
        and left.endswith(f"/{found['metric']}")
        and row["unlearned"] is not None
    ]
    back = max(points) / metrics[left]["target"] if points else None
    return {"left": _ratio(metrics, left), "back": back, "kept": _ratio(metrics, kept)}


def _known(metrics: Metrics, name: str) -> bool:
    return name in metrics and bool(metrics[name]["target"]) and metrics[name]["unlearned"] is not None


def _ratio(metrics: Metrics, name: str) -> float | None:
    return metrics[name]["unlearned"] / metrics[name]["target"] if name else None


def in_words(lacking: Sequence[str], most: int = 0) -> str:
    """Return what is lacking as one line, `most` of it and how much more there is; nothing lacking is said too.

    Args:
        lacking: What is, in words, the worst first.
        most: How much is said; 0: all.
    """
    said = list(lacking[: most or None])
    more = [f"{len(lacking) - len(said)} more"] if len(said) < len(lacking) else []
    return "; ".join([*said, *more]) or "nothing"


def in_part(candidate: str, share: float) -> str:
    """Return what to call a candidate that had a share of its training."""
    return candidate if share == 1.0 else f"{candidate}, {share:g} of its steps"


def how_chosen(lacking: Sequence[str], *, candidates: int, trials: int) -> str:
    """Return in words, for the card, how a candidate came to be chosen.

    Args:
        lacking: What it lacked on the half that it was chosen by; nothing where it passed.
        candidates: How many the request allowed.
        trials: How many trials were made of them.
    """
    among = f"among {candidates} candidates, in {trials} trial{'s' * (trials > 1)}, by one half of what is asked about"
    nearest = f"on which none passed; it came nearest, lacking {in_words(lacking)}" if lacking else "on which it passed"
    return f"{among}, {nearest}; judged on the other half, which no trial saw"


def how_judged(lacking_before: Sequence[str], lacking: Sequence[str]) -> str:
    """Return in words what the half says that no trial saw.

    Args:
        lacking_before: What was lacking on the half to choose by.
        lacking: What is lacking on this one.
    """
    if not lacking:
        return "On the untouched half it passes."
    surprise = "" if lacking_before else "although it passed on the half it was chosen by, "
    return (
        f"On the untouched half it does not pass: {surprise}it lacks {in_words(lacking)}. Nothing was tried again on"
        " that half: it would say no more."
    )
