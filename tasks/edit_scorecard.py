"""Stage `edit scorecard`: the scores of edits and the benchmarks as a card with a verdict, as every method's."""

from collections.abc import Sequence

from tasks import store, tracking
from tasks.algorithms.verdicts.edits import CLAIM, judge_edits, limits
from tasks.artifacts import BenchmarkResult, EditRun, EditScores, Scorecard
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting.benchmark_tables import benchmark_rows
from tasks.reporting.cards import versions
from tasks.settings.edit_verdict import EditVerdictConfig
from tasks.storage.edit_records import SCORES
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json, write_json


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
    from tasks.reporting.comparative_figures import row

    with tracking.stage_run(run, "edit scorecard", config) as nested:
        progress.report(0, 1)
        metrics = dict(read_json(store.path(scores) / SCORES)["metrics"])
        metrics |= benchmark_rows(
            {result.label: read_json(store.path(result) / "results.json") for result in benchmarks}
        )
        seconds = [each["seconds"] for each in read_table(edited) if "seconds" in each]
        if seconds:
            mean = sum(seconds) / len(seconds)
            metrics["edit/seconds"] = row({"unlearned": mean}, n=len(seconds))
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
                "versions": versions(),
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
