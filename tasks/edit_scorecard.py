"""Stage `edit scorecard`: the scores of edits and the benchmarks as a card with a verdict, as every method's."""

import importlib.metadata
from collections.abc import Sequence

from tasks import store, tracking
from tasks.algorithms.verdicts.edits import CLAIM, judge_edits, limits
from tasks.artifacts import BenchmarkResult, EditRun, EditScores, Scorecard
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting.benchmark_tables import benchmark_rows
from tasks.settings.edit_verdict import EditVerdictConfig
from tasks.storage.edit_records import SCORES
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json, write_json

LIBRARIES = ("lethe", "torch", "transformers", "prefect", "mlflow", "lm-eval")


@stage("edit scorecard", isolated=False)
def score_edit_run(
    scores: EditScores,
    edited: EditRun,
    benchmarks: Sequence[BenchmarkResult],
    config: EditVerdictConfig,
    provenance: dict[str, str],
    cost: dict[str, float],
    run: str | None = None,
) -> Scorecard:
    """Judge edits by their scores.

    Args:
        scores: Of the models before and after.
        edited: What became of each edit.
        benchmarks: Of both models, where some were run.
        config: Thresholds.
        provenance: Method and digests.
        cost: Stage -> seconds that it took where it was computed.
        run: Tracking run.
    """
    with tracking.stage_run(run, "edit scorecard", config) as nested:
        progress.report(0, 1)
        metrics = dict(read_json(store.path(scores) / SCORES)["metrics"])
        metrics |= benchmark_rows(
            {result.label: read_json(store.path(result) / "results.json") for result in benchmarks}
        )
        seconds = [row["seconds"] for row in read_table(edited) if "seconds" in row]
        if seconds:
            mean = sum(seconds) / len(seconds)
            metrics["edit/seconds"] = {
                "target": None,
                "unlearned": float(f"{mean:.6g}"),
                "retrained": None,
                "ci95": None,
                "n": len(seconds),
            }
        verdict = judge_edits(metrics, config)
        left_out = (
            [f"{edited.left_out} of the edits that were asked for were not made; the figures are of those that were."]
            if edited.left_out
            else []
        )
        card = {
            "schema": "scorecard.v1",
            "metrics": dict(sorted(metrics.items())),
            "verdict": verdict,
            "claim": CLAIM,
            "limits": [*left_out, *limits(metrics)],
            "truncated_share": {},
            "passes": {},
            "cost": cost,
            "provenance": {
                **provenance,
                "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
            },
        }
        digest = store.put(
            "scorecards", lambda folder: write_json(folder / "scorecard.json", card), sensitivity="public"
        )
        progress.report(1, 1)
        return Scorecard(
            kind="scorecards",
            digest=digest,
            sensitivity="public",
            origin=nested or "",
            passed=verdict["passed"],
            evidence=verdict["evidence"],
        )
