"""The table of benchmarks: a row a model, the target model first, each accuracy with its error and its paired
difference to the target's.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.algorithms.verdicts.paired_tests import paired_difference
from tasks.artifacts import BenchmarkResult
from tasks.settings.measuring import BENCHMARK_NAMES
from tasks.storage.plain_files import read_json

if TYPE_CHECKING:
    import pandas

BASELINE = "target"
ORDER = (BASELINE, "unlearned", "retrained")


def benchmark_table(results: Sequence[BenchmarkResult]) -> "pandas.DataFrame":
    """Return the table.

    Args:
        results: Benchmarks of the models; without the target model's nothing is compared.

    Returns:
        A row a model with `model` and, for every benchmark: `<task>/acc`, `<task>/acc_stderr`, and, not a number for
        the target model, `<task>/difference` (accuracy minus the target model's on the same items),
        `<task>/difference_stderr`, `<task>/p` (exact McNemar test; sign flips of whole clusters where several items ask
        for one fact).
    """
    import pandas

    ordered = sorted(results, key=lambda result: ORDER.index(result.label) if result.label in ORDER else len(ORDER))
    items = {result.label: pandas.read_parquet(store.path(result) / "items.parquet") for result in ordered}
    return pandas.DataFrame([_row(result, items[result.label], items.get(BASELINE)) for result in ordered])


def _row(result: BenchmarkResult, items: "pandas.DataFrame", baseline: "pandas.DataFrame | None") -> dict[str, Any]:
    metrics: dict[str, float] = read_json(store.path(result) / "results.json")
    row: dict[str, Any] = {"model": result.label}
    for task in (name for name in BENCHMARK_NAMES if f"{name}/acc" in metrics):
        row |= {
            f"{task}/acc": metrics[f"{task}/acc"],
            f"{task}/acc_stderr": metrics.get(f"{task}/acc_stderr", math.nan),
        }
        row |= (
            dict.fromkeys(_columns(task), math.nan)
            if baseline is None or result.label == BASELINE
            else _difference(task, items, baseline)
        )
    return row


def _difference(task: str, items: "pandas.DataFrame", baseline: "pandas.DataFrame") -> dict[str, float]:
    pairs = items[items.task == task].merge(
        baseline[baseline.task == task], on="item", validate="one_to_one", suffixes=("", "_baseline")
    )
    clusters = None if pairs.cluster.is_unique else list(pairs.cluster)
    test = paired_difference(pairs.acc.to_numpy(), pairs.acc_baseline.to_numpy(), clusters)
    return dict(zip(_columns(task), (test.difference, test.standard_error, test.p_value), strict=True))


def _columns(task: str) -> tuple[str, ...]:
    return f"{task}/difference", f"{task}/difference_stderr", f"{task}/p"


def benchmark_rows(results: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Return accuracy rows with a normal interval from lm-eval's standard error; 1.96 is the customary rounding."""
    from tasks.reporting.comparative_figures import row

    rows = {}
    for name, value in results.get("unlearned", {}).items():
        if f"{name}_stderr" in results["unlearned"]:
            half = 1.96 * results["unlearned"][f"{name}_stderr"]
            rows[f"benchmark/{name}"] = row(
                {label: metrics[name] for label, metrics in results.items() if name in metrics},
                [value - half, value + half],
            )
    return rows
