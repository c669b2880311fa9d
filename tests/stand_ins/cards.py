"""Scorecards made by hand, with their items, as folders and records."""

from pathlib import Path
from typing import Any

import pandas

from tasks import store
from tasks.artifacts import ComparedRun, Scorecard
from tasks.storage.plain_files import write_json

Figure = tuple[float | None, float, float | None]
"""Of the target, the unlearned and the retrained model."""


def card(
    figures: dict[str, Figure], *, passed: bool = True, evidence: str = "gold", **provenance: str
) -> dict[str, Any]:
    """Return a scorecard; the unlearned model's interval reaches 0.02 to either side."""
    return {
        "schema": "scorecard.v1",
        "metrics": {
            name: {"target": target, "unlearned": mine, "retrained": gold, "ci95": [mine - 0.02, mine + 0.02], "n": 4}
            for name, (target, mine, gold) in figures.items()
        },
        "verdict": (
            {
                **dict.fromkeys(("forgotten", "utility_kept", "healthy"), passed),
                "robust": None,
                "private": None,
                "passed": passed,
            }
            | {
                "evidence": evidence,
                "checked": ["forgotten", "utility_kept", "healthy"],
                "missing": ["robust", "private"],
                "reasons": ["forgotten: so"],
            }
        ),
        "claim": "So it is.",
        "truncated_share": {},
        "cost": {"corpus": 1.0, "finetune": 60.5, "labels": 20.0, "probing unlearned": 9.0},
        "provenance": {"method": "whp", **provenance, "versions": {"torch": "2.13.0"}},
    }


def items(
    metric: str, values: list[float], *, clusters: str = "abcdefgh", model: str = "unlearned", statistic: str = "mean"
) -> pandas.DataFrame:
    """Return one metric's items, one a cluster."""
    names = list(clusters[: len(values)])
    return pandas.DataFrame(
        {
            "metric": metric,
            "model": model,
            "cluster": names,
            "item": range(len(values)),
            "value": values,
            "statistic": statistic,
        }
    )


def write_card(folder: Path, found: dict[str, Any], held: pandas.DataFrame | None = None) -> Path:
    """Write a folder as `--out` does."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "scorecard.json", found)
    if held is not None:
        held.to_parquet(folder / "items.parquet", index=False)
    return folder


def compared(name: str, found: dict[str, Any], held: pandas.DataFrame | None = None, **changes: Any) -> ComparedRun:
    """Return a run with this scorecard, kept in the store."""
    digest = store.put("scorecards", lambda folder: write_card(folder, found, held) and None, sensitivity="public")
    verdict = found["verdict"]
    kept = Scorecard(
        kind="scorecards", digest=digest, sensitivity="public", passed=verdict["passed"], evidence=verdict["evidence"]
    )
    return ComparedRun(**{"name": name, "method": "whp", "seed": "0", "card": kept, **changes})
