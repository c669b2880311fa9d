"""Stage `scorecard`: every figure of CONTRACTS' scorecard.v1 from the stored records of the models, and the verdict."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.assistants.judge import is_enough, unjudged_limits
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.verdicts.evidence import CLAIMS, limits
from tasks.algorithms.verdicts.scorecard import judge
from tasks.artifacts import (
    AnchorTable,
    BenchmarkResult,
    CorpusRef,
    JudgeRecords,
    ProbeRecords,
    RelearnRecords,
    RoundedRecords,
    Scorecard,
    StereotypeScores,
    ToxicityRecords,
)
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting.benchmark_tables import benchmark_rows
from tasks.reporting.cards import versions
from tasks.settings.verdict import VerdictConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import read_pieces
from tasks.storage.plain_files import read_json, write_json
from tasks.storage.probe_records import Records, read_ratings, read_records, read_verdicts

if TYPE_CHECKING:
    import pandas

    from tasks.reporting.figures import Values

MetricValues = dict[str, dict[str, "Values"]]


@stage("scorecard", isolated=False)
def score(
    corpus: CorpusRef,
    probes: list[ProbeRecords],
    benchmarks: list[BenchmarkResult],
    relearned: list[RelearnRecords],
    dictionary: AnchorTable,
    config: VerdictConfig,
    provenance: dict[str, str],
    cost: dict[str, float],
    verdicts: Sequence[JudgeRecords] = (),
    toxicity: Sequence[ToxicityRecords] = (),
    stereotypes: Sequence[StereotypeScores] = (),
    rounded: Sequence[RoundedRecords] = (),
    vocabulary: int = 0,
    run: str | None = None,
) -> Scorecard:
    """Compute all metrics of all models, judge them, and keep the card with one number an item behind every figure.

    Args:
        corpus: All splits.
        probes: Of each model.
        benchmarks: Of each model.
        relearned: Of each model.
        dictionary: Anchors.
        config: Thresholds.
        provenance: Method and digests.
        cost: Stage -> seconds that it took where it was computed.
        verdicts: A judge's, on each model.
        toxicity: Of each model, where completions were rated.
        stereotypes: Of each model, where aligned pairs were scored.
        rounded: Of each model, where its weights were rounded.
        vocabulary: Tokens among which the models choose; 0: not known.
        run: Tracking run.
    """
    from tasks.reporting.comparative_figures import (
        chance_rows,
        forget_quality_row,
        privacy_rows,
        toxicity_rows,
        utility_row,
    )
    from tasks.reporting.figures import figures, judged_figures, recovered_figures, toxicity_figures

    with tracking.stage_run(run, "scorecard", config) as nested:
        progress.report(0, 1)
        records = {probe.label: read_records(probe) for probe in probes}
        expression, user_pieces = anchor_expression(read_dictionary(dictionary)), read_pieces(corpus)
        values_by_model = {label: figures(tables, expression, user_pieces) for label, tables in records.items()}
        for after in relearned:
            for steps in after.steps:
                found = recovered_figures(read_records(after, str(steps)), f"relearned_{after.text}_{steps}")
                values_by_model[after.label] |= found
        for each in rounded:
            for bits in each.bits:
                found = recovered_figures(read_records(each, str(bits)), f"rounded_{bits}")
                values_by_model[each.label] |= found
        for judged in verdicts:
            enough = is_enough(judged.judged, judged.requested)
            values_by_model[judged.label] |= (
                judged_figures(records[judged.label], read_verdicts(judged)) if enough else {}
            )
        ratings = {rated.label: read_ratings(rated) for rated in toxicity}
        for label, table in ratings.items():
            values_by_model[label] |= toxicity_figures(table)
        metrics = (
            _rows(values_by_model)
            | chance_rows(values_by_model, vocabulary)
            | toxicity_rows(ratings)
            | forget_quality_row(records)
            | utility_row(values_by_model)
            | privacy_rows(records)
        )
        metrics |= benchmark_rows(
            {result.label: read_json(store.path(result) / "results.json") for result in benchmarks}
        )
        metrics |= _stereotype_rows(
            {scores.label: read_json(store.path(scores) / "stereotypes.json") for scores in stereotypes}
        )
        verdict = judge(metrics, config)
        card = {
            "schema": "scorecard.v1",
            "metrics": dict(sorted(metrics.items())),
            "verdict": verdict,
            "claim": CLAIMS[verdict["evidence"]],
            "limits": [
                *limits(verdict, metrics, guarded="guardrail" in provenance),
                *unjudged_limits({judged.label: (judged.judged, judged.requested) for judged in verdicts}),
            ],
            "truncated_share": {label: _truncated(tables) for label, tables in records.items()},
            "passes": {probe.label: probe.passes for probe in probes},
            "cost": cost,
            "provenance": {**provenance, **_scorer(toxicity), "versions": versions()},
        }
        digest = store.put(
            "scorecards", lambda folder: _write(folder, card, _items(values_by_model)), sensitivity="public"
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


def _scorer(toxicity: list[ToxicityRecords] | None) -> dict[str, str]:
    """Who rated the completions is part of what their figures mean."""
    return {"toxicity scorer": toxicity[0].scorer} if toxicity else {}


def _truncated(records: Records) -> float:
    """Return the share of scored sequences that were cut to fit the context."""
    return round(float(records.sequences.truncated.mean()), 6) if len(records.sequences) else 0.0


def _rows(values_by_metric: MetricValues) -> dict[str, dict[str, Any]]:
    from tasks.reporting.comparative_figures import row

    ours = values_by_metric["unlearned"]
    return {
        name: row(
            {label: values[name].figure() for label, values in values_by_metric.items() if name in values},
            ours[name].interval(),
            len(ours[name].items),
        )
        for name in ours
    }


def _stereotype_rows(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the preference for the forget side of pairs, as a share and in nats, with intervals that draw
    occupations.
    """
    from tasks.reporting.comparative_figures import row

    ours = results.get("unlearned")
    names = (
        {"preference": ("share", "share_ci95"), "difference_nats": ("difference_nats", "difference_ci95")}
        if ours
        else {}
    )
    return {
        f"stereotype/{name}": row(
            {label: scores[value] for label, scores in results.items()}, ours[interval], ours["pairs"]
        )
        for name, (value, interval) in names.items()
    }


def _items(values_by_metric: MetricValues) -> "pandas.DataFrame":
    """Return one row a number; clusters are hashed, since a fact's name may speak of what was forgotten."""
    import pandas

    frames = [
        pandas.DataFrame(
            {
                "metric": name,
                "model": label,
                "cluster": [_opaque(cluster) for cluster in values.clusters],
                "item": range(len(values.items)),
            }
        ).assign(value=values.items, weight=values.weights, statistic=values.statistic)
        for label, metrics in values_by_metric.items()
        for name, values in metrics.items()
    ]
    return pandas.concat(frames, ignore_index=True)


def _opaque(cluster: str) -> str:
    return hashlib.sha256(cluster.encode()).hexdigest()[:12]


def _write(folder: Path, card: dict[str, Any], items: "pandas.DataFrame") -> None:
    write_json(folder / "scorecard.json", card)
    items.to_parquet(folder / "items.parquet", index=False)
