"""What the terminal shows: progress while stages run, the scorecard and where to look when they are done."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks import store
from tasks.artifacts import Artifact, CoverageReport
from tasks.settings.edit_request import EditRequest
from tasks.storage.plain_files import read_json

if TYPE_CHECKING:
    import pandas

COMPATIBLE = ("TOFU_EVAL.json", "TOFU_SUMMARY.json")
"""Files in open-unlearning's layout, where they were asked for."""
SHOWN = (
    "forget_test/probability",
    "forget_test/accuracy",
    "forget_test/truth_ratio",
    "forget/forget_quality_p",
    "forget_test/familiarity",
    "forget_test/familiarity_first",
    "forget_test/familiarity_interior",
    "forget_test/familiarity_completion",
    "forget_test/familiarity_judge",
    "forget_test/perplexity",
    "retain_test/probability",
    "retain_test/perplexity",
    "sibling/probability",
    "sibling/perplexity",
    "general/probability",
    "general/perplexity",
    "degeneration/empty_share",
    "degeneration/distinct_2",
    "degeneration/repetition",
    "forget_test/repetition",
    "degeneration/teacher_perplexity",
    "toxicity/mean",
    "toxicity/max",
    "benchmark/world/acc",
)
"""Metrics of the terminal's table; the report has them all."""
MOST_NAMES = 30
"""Uncovered names that are listed."""
MOST_EDITS = 40
"""Edits that are listed; their file has them all."""


def show_result(console: Console, card: dict[str, Any], places: dict[str, str], benchmarks: "pandas.DataFrame") -> None:
    """Print the scorecard table, that of benchmarks where there is more than the world's, the verdict with its
    evidence, and where to look.
    """
    console.print(scorecard_table(card))
    if set(_tasks(benchmarks)) - {"world"}:
        console.print(benchmarks_table(benchmarks))
    verdict = card["verdict"]
    colour, word = ("green", "passed") if verdict["passed"] else ("red", "not passed")
    console.print(f"\n[bold {colour}]Verdict: {word}[/] (evidence: {verdict['evidence']})")
    for reason in verdict["reasons"]:
        console.print(f"  {reason}", markup=False, highlight=False)
    console.print(f"\n{card['claim']}\n", markup=False, highlight=False)
    show_places(console, places)


def show_coverage(console: Console, report: CoverageReport) -> None:
    """Print how much of what the model tells is in the given text, and the names that are not."""
    coverage = read_json(store.path(report) / "coverage.json")
    if report.share is None:
        console.print("The model tells nothing of the topic often enough to be counted.")
        return
    console.print(
        f"Your text covers {report.share:.0%} of what the model tells about it ({report.told} things).", highlight=False
    )
    if report.facts:
        console.print(
            f"Of {report.facts} facts that your text states, it completes {report.reproduced} as the text does.",
            highlight=False,
        )
    if names := coverage["uncovered"]:
        console.print(
            f"Names that it brings up and your text does not: {', '.join(names[:MOST_NAMES])}",
            markup=False,
            highlight=False,
        )
    console.print(
        f"{report.texts} of its texts tell something more; --expand-coverage forgets them too.", highlight=False
    )


def show_edits(console: Console, requests: Sequence[EditRequest]) -> None:
    """Print what is to be rewritten, for a person to confirm."""
    console.print(edits_table(requests[:MOST_EDITS]))
    if len(requests) > MOST_EDITS:
        console.print(f"... and {len(requests) - MOST_EDITS:,} more", highlight=False)


def edits_table(requests: Sequence[EditRequest]) -> Table:
    """Return a row an edit: what the model is to say of whom, and what it says today."""
    table = Table(title="Facts to rewrite", title_justify="left", header_style="bold")
    for column in ("no.", "subject", "prompt", "object", "new object"):
        table.add_column(column, justify="right" if column == "no." else "left")
    for place, request in enumerate(requests, 1):
        cells = (request.name or str(place), request.subject, request.prompt, request.object or "-", request.target)
        table.add_row(*map(Text, cells))  # text of the user's, whose brackets are no markup
    return table


def scorecard_table(card: dict[str, Any]) -> Table:
    """Return the main figures as a table."""
    table = Table(title="Scorecard", title_justify="left", header_style="bold")
    table.add_column("metric", no_wrap=True)
    for column in ("target", "unlearned", "95 %", "retrained"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in SHOWN:
        if row := card["metrics"].get(name):
            interval = " to ".join(_cell(bound) for bound in row["ci95"]) if row["ci95"] else ""
            shown = f"{name} by {card['provenance']['toxicity scorer']}" if name.startswith("toxicity/") else name
            table.add_row(shown, _cell(row["target"]), _cell(row["unlearned"]), interval, _cell(row["retrained"]))
    return table


def _tasks(benchmarks: "pandas.DataFrame") -> list[str]:
    return [name.removesuffix("/acc") for name in benchmarks if name.endswith("/acc")]


def benchmarks_table(benchmarks: "pandas.DataFrame") -> Table:
    """Return the accuracies as a table: a row a model, below each accuracy its paired difference to the target's and
    the p-value.
    """
    table = Table(
        title="Benchmarks: accuracy±standard error, paired difference to the target, p",
        title_justify="left",
        header_style="bold",
    )
    table.add_column("model", no_wrap=True)
    for task in _tasks(benchmarks):
        table.add_column(task, justify="right", no_wrap=True)
    for row in benchmarks.to_dict("records"):
        table.add_row(row["model"], *(_accuracy(row, task) for task in _tasks(benchmarks)), end_section=True)
    return table


def _accuracy(row: dict[str, Any], task: str) -> str:
    measured = f"{row[f'{task}/acc']:.3f}±{row[f'{task}/acc_stderr']:.3f}"
    difference, p = row[f"{task}/difference"], row[f"{task}/p"]
    return measured if math.isnan(difference) else f"{measured}\n{difference:+.3f}\np {p:.2g}"


def show_comparison(console: Console, comparison: dict[str, Any], places: dict[str, str]) -> None:
    """Print what each run has left and kept, what to keep in mind, and where to look."""
    console.print(comparison_table(comparison))
    for panel in comparison["panels"]:
        console.print(
            f"No run beats {', '.join(panel['front'])} in {panel['left']} (less) and {panel['kept']} (more).",
            markup=False,
            highlight=False,
        )
    for remark in comparison["remarks"]:
        console.print(remark, markup=False, highlight=False)
    console.print()
    show_places(console, places)


def comparison_table(comparison: dict[str, Any]) -> Table:
    """Return a row a run: what is left of the forgotten and what is kept, over the target model's."""
    table, panels = (
        Table(title="Unlearned over target model, with 95 % intervals", title_justify="left", header_style="bold"),
        comparison["panels"],
    )
    for column in ("no.", "run", "method", "seed", "verdict"):
        table.add_column(column, justify="right" if column == "no." else "left")
    for stem, metric in [("left", panel["left"]) for panel in panels[:1]] + [
        ("kept", panel["kept"]) for panel in panels
    ]:
        table.add_column(f"{stem}\n" + metric.replace("/", "/\n"), justify="right", no_wrap=True)
    for number, run in enumerate(comparison["runs"], 1):
        points = [next((point for point in panel["points"] if point["run"] == run["name"]), {}) for panel in panels]
        shares = [_share(point, "left") for point in points[:1]] + [_share(point, "kept") for point in points]
        verdict = f"{'passed' if run['verdict']['passed'] else 'not passed'}\n({run['verdict']['evidence']})"
        table.add_row(str(number), run["name"], run["method"], run["seed"] or "-", verdict, *shares)
    return table


def _share(point: dict[str, Any], stem: str) -> str:
    low, high = point.get(f"{stem}_low"), point.get(f"{stem}_high")
    return _cell(point.get(stem)) + (f"\n{_cell(low)} to {_cell(high)}" if low is not None else "")


def show_places(console: Console, places: dict[str, str]) -> None:
    """Print where to look, a line each."""
    width = max(len(name) for name in places)
    for name, place in places.items():
        console.print(f"{name:<{width}}  {place}", markup=False, highlight=False, soft_wrap=True)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) >= 1e6 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def show_compatible(console: Console, compatible: Artifact, card: dict[str, Any], out: str | None) -> None:
    """Print our figures beside open-unlearning's, which are defined differently in places, and copy its files."""
    from tasks.reporting.open_unlearning import differs

    folder = store.path(compatible)
    theirs = read_json(folder / "TOFU_EVAL.json")
    table = Table(title="As open-unlearning computes them", title_justify="left", header_style="bold")
    for column in ("open-unlearning", "value", "ours", "our value"):
        table.add_column(column, no_wrap=True, justify="right" if "value" in column else "left")
    for row in differs(theirs, card["metrics"]):
        table.add_row(row["open-unlearning"], _cell(row["value"]), row["ours"], _cell(row["our value"]))
    console.print(table)
    if out:
        Path(out).mkdir(parents=True, exist_ok=True)
        for name in COMPATIBLE:
            shutil.copy(folder / name, Path(out) / name)
