"""Stage `scorecard`: every figure of CONTRACTS' scorecard.v1 from the stored records of the models, and the verdict."""

import importlib.metadata
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import formats, progress, store, tracking
from tasks.algorithms import degeneration
from tasks.algorithms.anchors import anchor_expression
from tasks.algorithms.familiarity import names_anchor
from tasks.algorithms.metrics import cluster_bootstrap, extraction_strength, truth_ratio, truth_ratio_score
from tasks.algorithms.scorecard import CLAIMS, VerdictConfig, judge
from tasks.artifacts import AnchorTable, BenchmarkResult, ProbeRecords, Scorecard
from tasks.stage import stage

if TYPE_CHECKING:
    import pandas

MODELS = ("target", "unlearned", "retrained")


@stage("scorecard", isolated=False)
def score(
    probes: list[ProbeRecords],
    benchmarks: list[BenchmarkResult],
    dictionary: AnchorTable,
    config: VerdictConfig,
    provenance: dict[str, str],
    run: str | None = None,
) -> Scorecard:
    """Compute all metrics of all models, judge them, and keep the card."""
    with tracking.stage_run(run, "scorecard", config) as nested:
        progress.report(0, 1)
        tables = {found.label: _read(found) for found in probes}
        metrics = _all_metrics(tables, {found.label: formats.read_json(store.path(found) / "results.json") for found in benchmarks}, dictionary)
        verdict = judge(metrics, config)
        card = {
            "schema": "scorecard.v1",
            "metrics": metrics,
            "verdict": verdict,
            "claim": CLAIMS[verdict["evidence"]],
            "truncated_share": {label: round(float(found["tokens"].truncated.mean()), 6) if len(found["tokens"]) else 0.0 for label, found in tables.items()},
            "provenance": {**provenance, "versions": _versions()},
        }
        digest = store.put("scorecards", lambda folder: _write(folder, card), sensitivity="public")
        progress.report(1, 1)
        return Scorecard(kind="scorecards", digest=digest, sensitivity="public", origin=nested or "", passed=verdict["passed"], evidence=verdict["evidence"])


def _read(probe: ProbeRecords) -> "dict[str, pandas.DataFrame]":
    import pandas

    folder = store.path(probe)
    return {name: pandas.read_parquet(folder / f"{name}.parquet") for name in ("tokens", "anchors", "completions")}


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("lethe", "torch", "transformers", "prefect", "mlflow", "lm-eval")}


def _all_metrics(
    tables: "dict[str, dict[str, pandas.DataFrame]]", benchmarks: dict[str, dict[str, float]], dictionary: AnchorTable
) -> dict[str, dict[str, Any]]:
    expression = anchor_expression(formats.read_dictionary(dictionary))
    values: dict[str, dict[str, _Values]] = {}
    for label, found in tables.items():
        for name, value in {**_token_metrics(found["tokens"]), **_familiarity(found["anchors"]), **_completions(found["completions"], expression)}.items():
            values.setdefault(name, {})[label] = value
    rows = {name: _row(found) for name, found in sorted(values.items()) if "unlearned" in found and "target" in found}
    rows |= _forget_quality(tables)
    for name in sorted(benchmarks.get("unlearned", {})):
        if not name.endswith("_stderr"):
            rows[f"benchmark/{name}"] = _benchmark_row(name, benchmarks)
    return rows


class _Values:
    """One number an item, and how their mean becomes the figure."""

    def __init__(self, items: Any, clusters: Any, statistic: Callable[[float], float] = float) -> None:
        import numpy

        self.items, self.clusters, self.statistic = numpy.asarray(items, dtype=float), [str(cluster) for cluster in clusters], statistic

    def figure(self) -> float:
        return self.statistic(float(self.items.mean()))

    def interval(self) -> list[float]:
        return [round(bound, 6) for bound in sorted(cluster_bootstrap(self.items, self.clusters, statistic=self.statistic))]


def _row(found: Mapping[str, _Values]) -> dict[str, Any]:
    row: dict[str, Any] = {label: round(found[label].figure(), 6) if label in found else None for label in MODELS}
    return row | {"ci95": found["unlearned"].interval(), "n": len(found["unlearned"].items)}


def _token_metrics(tokens: "pandas.DataFrame") -> dict[str, _Values]:
    found: dict[str, _Values] = {}
    for split, part in tokens.groupby("split", observed=True):
        questions, prose = part[part.variant != "text"], part[part.variant == "text"]
        if len(questions):
            found |= _question_metrics(str(split), questions)
        if len(prose):
            found |= _prose_metrics(str(split), prose)
    return found


def _by_sequence(part: "pandas.DataFrame") -> "pandas.DataFrame":
    """Return per sequence its item, cluster, mean log-probability, share of hits and extraction strength."""
    groups = part.groupby("sequence", observed=True)
    frame = groups.agg(
        item=("item", "first"), variant=("variant", "first"), cluster=("cluster", "first"), log_p=("log_p", "mean"), hit=("hit", "mean"), tokens=("hit", "size")
    )
    return frame.assign(strength=groups.hit.apply(lambda hits: extraction_strength(hits.to_numpy())))


def _question_metrics(split: str, part: "pandas.DataFrame") -> dict[str, _Values]:
    import numpy

    frame = _by_sequence(part)
    answers = frame[frame.variant == "answer"]
    found = {
        f"{split}/probability": _Values(numpy.exp(answers.log_p), answers.cluster),
        f"{split}/accuracy": _Values(answers.hit == 1.0, answers.cluster),
        f"{split}/answer_extraction_strength": _Values(answers.strength, answers.cluster),
        f"{split}/answer_exact_memorization": _Values(answers.hit, answers.cluster),
    }
    ratios = _truth_ratios(frame)
    if len(ratios):
        scores = [truth_ratio_score(ratio, forget=split.startswith("forget")) for ratio in ratios.ratio]
        found[f"{split}/truth_ratio"] = _Values(scores, ratios.cluster)
    return found


def _truth_ratios(frame: "pandas.DataFrame") -> "pandas.DataFrame":
    """Return per question its raw truth ratio; the answer stands in where there is no paraphrase."""
    import pandas

    rows = []
    for item, group in frame.groupby("item"):
        by_variant = dict(zip(group.variant.astype(str), group.log_p, strict=True))
        false = [value for variant, value in by_variant.items() if variant.startswith("perturbed")]
        true = by_variant.get("paraphrase", by_variant.get("answer"))
        if false and true is not None:
            rows.append((item, group.cluster.iloc[0], truth_ratio(float(true), [float(value) for value in false])))
    return pandas.DataFrame(rows, columns=["item", "cluster", "ratio"])


def _prose_metrics(split: str, part: "pandas.DataFrame") -> dict[str, _Values]:
    frame = _by_sequence(part)
    return {
        f"{split}/text_probability": _Values(part.log_p, part.cluster, math.exp),
        f"{split}/perplexity": _Values(part.log_p, part.cluster, lambda mean: math.exp(-mean)),
        f"{split}/extraction_strength": _Values(frame.strength, frame.cluster),
        f"{split}/exact_memorization": _Values(part.hit, part.cluster),
    }


def _familiarity(anchors: "pandas.DataFrame") -> dict[str, _Values]:
    found = {}
    names = {"familiarity": "joint", "familiarity_first": "first", "familiarity_interior": "interior"}
    for split, part in anchors.groupby("split"):
        if not str(split).startswith("forget"):
            continue
        for name, column in names.items():
            kept = part[part[column].notna()]
            if len(kept):
                found[f"{split}/{name}"] = _Values(kept[column], kept.cluster)
    return found


def _completions(table: "pandas.DataFrame", expression: Any) -> dict[str, _Values]:
    found = {}
    for split, part in table.groupby("split"):
        if split == "forget_test":
            named = [names_anchor(row.completion, row.prompt, expression) for row in part.itertuples()]
            found["forget_test/familiarity_completion"] = _Values(named, part.item)
    if len(table):
        texts, ids = list(table.completion), [f"{row.split}/{row.item}" for row in table.itertuples()]
        found["degeneration/empty_share"] = _Values([degeneration.empty_share([text]) for text in texts], ids)
        found["degeneration/repetition"] = _Values([degeneration.repetition([text]) for text in texts], ids)
        found["degeneration/distinct_2"] = _Values([degeneration.distinct_2(texts)], ["all"])
        rated = table[table.teacher_nats.notna()]
        if len(rated):
            found["degeneration/teacher_perplexity"] = _Values(rated.teacher_nats, rated.item, math.exp)
    return found


def _forget_quality(tables: "dict[str, dict[str, pandas.DataFrame]]") -> dict[str, dict[str, Any]]:
    """Return the p-value of the two-sample KS test between raw truth ratios of the unlearned and the retrained model."""
    from scipy.stats import ks_2samp

    if not {"unlearned", "retrained"} <= set(tables):
        return {}
    ratios = {}
    for label in MODELS:
        tokens = tables[label]["tokens"]
        part = tokens[(tokens.split == "forget_test") & (tokens.variant != "text")]
        ratios[label] = _truth_ratios(_by_sequence(part)).ratio if len(part) else []
    if not len(ratios["retrained"]):
        return {}
    p = {label: round(float(ks_2samp(ratios[label], ratios["retrained"]).pvalue), 6) for label in ("target", "unlearned")}
    return {"forget/forget_quality_p": {**p, "retrained": None, "ci95": None, "n": len(ratios["retrained"])}}


def _benchmark_row(name: str, benchmarks: dict[str, dict[str, float]]) -> dict[str, Any]:
    value, error = benchmarks["unlearned"][name], benchmarks["unlearned"].get(f"{name}_stderr", 0.0)
    row: dict[str, Any] = {label: round(found[name], 6) if (found := benchmarks.get(label)) else None for label in MODELS}
    return row | {"ci95": [round(value - 1.96 * error, 6), round(value + 1.96 * error, 6)], "n": None}


def _write(folder: Path, card: dict[str, Any]) -> None:
    formats.write_json(folder / "scorecard.json", card)
