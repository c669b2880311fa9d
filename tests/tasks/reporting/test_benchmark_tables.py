"""The table of benchmarks, by hand: order of the models, errors, paired differences with their p-values."""

import math
from pathlib import Path

import pandas
import pytest
from rich.console import Console

from flows.terminal.tables import benchmarks_table
from tasks import store
from tasks.artifacts import BenchmarkResult
from tasks.reporting.benchmark_tables import benchmark_table
from tasks.storage.plain_files import write_json

ANSWERS = {
    "target": {"world": [1, 1, 0, 1], "piqa": [0, 1, 0, 0, 0, 1, 0, 1]},
    "unlearned": {"world": [0, 0, 0, 1], "piqa": [1, 1, 1, 0, 1, 0, 0, 1]},
    "retrained": {"world": [1, 1, 0, 1], "piqa": [0, 1, 0, 0, 0, 1, 0, 0]},
}
FACTS = [0, 0, 1, 2]


def result(label: str, reverse: bool = False) -> BenchmarkResult:
    rows = [
        {
            "task": task,
            "item": item,
            "cluster": FACTS[item] if task == "world" else item,
            "acc": float(acc),
            "acc_norm": math.nan,
            "truncated": False,
        }
        for task, found in ANSWERS[label].items()
        for item, acc in enumerate(found)
    ]
    figures = {f"{task}/acc": sum(found) / len(found) for task, found in ANSWERS[label].items()}
    figures |= {f"{task}/acc_stderr": 0.125 for task in figures} | {
        "world/acc_stderr": 0.25,
        "piqa/acc_stderr": 0.125,
        "world/truncated_share": 0.0,
    }

    def write(folder: Path) -> None:
        write_json(folder / "results.json", figures)
        pandas.DataFrame(rows[::-1] if reverse else rows).to_parquet(folder / "items.parquet", index=False)

    return BenchmarkResult(
        kind="benchmarks", digest=store.put("benchmarks", write), sensitivity="ordinary", label=label, tasks=2
    )


def test_a_row_a_model_the_target_first_with_paired_differences(lethe_home: Path) -> None:
    table = benchmark_table([result("retrained"), result("unlearned", reverse=True), result("target")])
    columns = ("acc", "acc_stderr", "difference", "difference_stderr", "p")
    assert list(table) == ["model", *(f"{task}/{column}" for task in ("world", "piqa") for column in columns)]
    target, unlearned, retrained = table.to_dict("records")
    assert [row["model"] for row in (target, unlearned, retrained)] == ["target", "unlearned", "retrained"]
    assert (target["piqa/acc"], target["piqa/acc_stderr"], unlearned["world/acc"]) == (0.375, 0.125, 0.25)
    assert [math.isnan(target[f"piqa/{column}"]) for column in columns] == [False, False, True, True, True]
    # piqa: three wins, one loss: 2 * (1 + 4) / 16; differences 1 0 1 0 1 -1 0 0 have an error of 1/4
    assert (unlearned["piqa/difference"], unlearned["piqa/difference_stderr"], unlearned["piqa/p"]) == (
        0.25,
        0.25,
        0.625,
    )
    # world: both losses ask for one fact, so that one sum, -2, is flipped: it is always as large
    assert (unlearned["world/difference"], unlearned["world/p"]) == (-0.5, 1.0)
    assert (retrained["piqa/difference"], retrained["piqa/p"], retrained["world/difference"]) == (-0.125, 1.0, 0.0)


def test_without_the_target_model_nothing_is_compared(lethe_home: Path) -> None:
    (row,) = benchmark_table([result("unlearned")]).to_dict("records")
    assert (row["model"], row["piqa/acc"]) == ("unlearned", 0.625)
    assert math.isnan(row["piqa/difference"])
    assert benchmark_table([]).empty


def test_an_item_that_occurs_twice_is_refused(lethe_home: Path) -> None:
    twice = result("target")
    items = pandas.read_parquet(store.path(twice) / "items.parquet")

    def write(folder: Path) -> None:
        write_json(folder / "results.json", {"piqa/acc": 0.5})
        pandas.concat([items, items]).to_parquet(folder / "items.parquet", index=False)

    doubled = BenchmarkResult(
        kind="benchmarks", digest=store.put("benchmarks", write), sensitivity="ordinary", label="unlearned", tasks=1
    )
    with pytest.raises(pandas.errors.MergeError, match="not unique"):
        benchmark_table([twice, doubled])


def test_the_table_fits_a_terminal_and_says_all(lethe_home: Path) -> None:
    console = Console(width=60, record=True)
    console.print(benchmarks_table(benchmark_table([result("target"), result("unlearned")])))
    shown = [
        line.strip("│ ").replace("│", " ").split()
        for line in console.export_text().splitlines()
        if line.startswith("│")
    ]
    assert shown == [
        ["target", "0.750±0.250", "0.375±0.125"],
        ["unlearned", "0.250±0.250", "0.625±0.125"],
        ["-0.500", "+0.250"],
        ["p", "1", "p", "0.62"],
    ]
