"""Stage `comparison`: one table and one plot across runs, and paired tests between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import ComparedRun, Comparison
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting import pages, run_tables
from tasks.reporting.cards import CARD, ITEMS
from tasks.reporting.pages import Picture
from tasks.storage.plain_files import read_json, write_frame, write_json

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a", "#0a7ea4", "#9a6700")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "*")
"""One more than the colours, so that 72 runs look different."""
CORNERS = ((-11, 5), (7, -12), (7, 5), (-11, -12))
"""Where a point's number stands, in points of 1/72 inch: in turn from left to right, so that numbers of neighbours do
not meet."""
TITLES = {"retain_test": "Against text to be kept", "sibling": "Against a near topic"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One trade-off: the metrics of both axes, and a row a run."""

    split: str
    left: str
    kept: str
    points: "pandas.DataFrame"

    def front(self) -> list[str]:
        """Return the names of the runs that no other one beats."""
        return [str(name) for name in self.points[self.points.front].run]


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What is known across the runs."""

    runs: "pandas.DataFrame"
    figures: "pandas.DataFrame"
    pairs: "pandas.DataFrame"
    panels: tuple[Panel, ...]


@stage("comparison", isolated=False)
def compare_cards(runs: list[ComparedRun], run: str | None = None) -> Comparison:
    """Lay the scorecards of finished runs side by side and keep tables, plot and page."""
    with tracking.stage_run(run, "comparison") as nested:
        progress.report(0, 1)
        cards = [read_json(store.path(compared.card) / CARD) for compared in runs]
        tables = _tables(runs, cards)
        digest = store.put("comparisons", lambda folder: _write(folder, runs, cards, tables), sensitivity="public")
        progress.report(1, 1)
        pairs = int(tables.pairs.p_value.notna().sum())
        return Comparison(
            kind="comparisons", digest=digest, sensitivity="public", origin=nested or "", runs=len(runs), pairs=pairs
        )


def _tables(runs: Sequence[ComparedRun], cards: Sequence[dict[str, Any]]) -> Tables:
    figures = run_tables.all_figures(runs, cards)
    left_metric = run_tables.shared_metric(figures, run_tables.LEFT)
    kept_metrics = {split: run_tables.shared_metric(figures, names) for split, names in run_tables.KEPT.items()}
    panels = tuple(
        Panel(split=split, left=left_metric, kept=name, points=run_tables.trade_off(figures, left_metric, name))
        for split, name in kept_metrics.items()
        if left_metric and name
    )
    pairs = run_tables.paired_tests(runs, cards, [_items(run) for run in runs])
    return Tables(
        runs=run_tables.summary(runs, cards, figures),
        figures=figures,
        pairs=pairs,
        panels=tuple(panel for panel in panels if len(panel.points)),
    )


def _items(run: ComparedRun) -> "pandas.DataFrame | None":
    import pandas

    file = store.path(run.card) / ITEMS
    return pandas.read_parquet(file) if file.is_file() else None


def _write(folder: Path, runs: Sequence[ComparedRun], cards: Sequence[dict[str, Any]], tables: Tables) -> None:
    """Write everything that people, programs and MLflow are given."""
    value, names = _as_json(runs, cards, tables), [run.name for run in runs]
    write_json(folder / "comparison.json", value)
    for name, frame in (("comparison", tables.runs), ("figures", tables.figures), ("pairs", tables.pairs)):
        write_frame(folder / f"{name}.csv", frame)
    if tables.panels:
        (folder / "pareto.png").write_bytes(_picture(tables.panels, names).png)
    pictures = [_picture([panel], names) for panel in tables.panels]
    page = pages.render(
        "comparison.html.j2", **value, main=run_tables.COMPARED, matrix=_matrix(tables.figures), pictures=pictures
    )
    (folder / "comparison.html").write_text(page, encoding="utf-8")


def _as_json(runs: Sequence[ComparedRun], cards: Sequence[dict[str, Any]], tables: Tables) -> dict[str, Any]:
    """Return the comparison as machines read it (lethe.comparison.v1)."""
    about = [
        {"name": run.name, "method": run.method, "seed": run.seed or None, "mlflow_run": run.mlflow_run or None}
        | {"verdict": card["verdict"], "seconds": run_tables.seconds_of_making(card), "provenance": card["provenance"]}
        for run, card in zip(runs, cards, strict=True)
    ]
    panels = [
        {
            "split": panel.split,
            "left": panel.left,
            "kept": panel.kept,
            "points": _records(panel.points),
            "front": panel.front(),
        }
        for panel in tables.panels
    ]
    rows = {"figures": _records(tables.figures), "pairs": _records(tables.pairs)}
    return {
        "schema": "lethe.comparison.v1",
        "runs": about,
        "panels": panels,
        **rows,
        "remarks": run_tables.remarks(runs, cards, tables.pairs),
    }


def _records(frame: "pandas.DataFrame") -> list[dict[str, Any]]:
    """Return the rows, with None for what is missing."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _matrix(figures: "pandas.DataFrame") -> list[dict[str, Any]]:
    """Return one row a metric, with a cell a run (None where the run has no such metric)."""
    runs = list(dict.fromkeys(figures.run))
    cells = {(row["metric"], row["run"]): row for row in _records(figures)}
    return [
        {"metric": name, "cells": [cells.get((name, run)) for run in runs]} for name in dict.fromkeys(figures.metric)
    ]


def _picture(panels: Sequence[Panel], names: Sequence[str]) -> Picture:
    """Return the trade-offs side by side; the numbers are those of the table's rows."""

    def plot(canvas: "Figure") -> None:
        for axes, panel in zip(canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _scatter(axes, panel, names)
            _context(axes, panel)
        handles = {
            label: handle
            for axes in canvas.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)

    title = "; ".join(TITLES[panel.split] for panel in panels)
    alt = " ".join(f"{TITLES[panel.split]}: no run beats {', '.join(panel.front())}." for panel in panels)
    return pages.draw(plot, title=title, alt=f"Scatter plot. {alt}", size=(5.0 * len(panels), 4.2 + 0.1 * len(names)))


def _scatter(axes: "Axes", panel: Panel, names: Sequence[str]) -> None:
    """Draw every run with its 95 % intervals and its number."""
    from matplotlib.patheffects import withStroke

    for row, rank in zip(panel.points.itertuples(), panel.points.left.rank(method="first"), strict=True):
        number, offset = names.index(row.run), CORNERS[int(rank) % len(CORNERS)]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        bars = {
            "xerr": _error_bars(row.left, row.left_low, row.left_high),
            "yerr": _error_bars(row.kept, row.kept_low, row.kept_high),
        }
        axes.errorbar(
            row.left,
            row.kept,
            **bars,
            fmt=marker,
            color=colour,
            markersize=7,
            elinewidth=1,
            capsize=2,
            label=f"{number + 1}  {row.run}",
        )
        text = axes.annotate(
            str(number + 1),
            (row.left, row.kept),
            offset,
            textcoords="offset points",
            fontsize=9,
            color=colour,
            fontweight="bold",
        )
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _context(axes: "Axes", panel: Panel) -> None:
    """Draw the front out to the edges, and where the target and the retrained models stand."""
    axes.axhline(1, color="#d0d7de", linewidth=1, zorder=0)
    for place, value in enumerate(sorted(set(panel.points.left_retrained.dropna().round(3)))):
        axes.axvline(
            value,
            color="#1a7f37",
            linestyle=":",
            linewidth=1.2,
            zorder=0,
            label="retrained model" if place == 0 else None,
        )
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
    front = panel.points[panel.points.front].sort_values(["left", "kept"])
    steps = (
        [front.left.iloc[0], *front.left, limits["xlim"][1]],
        [limits["ylim"][0], *front.kept, front.kept.iloc[-1]],
    )
    axes.step(*steps, where="post", color="#8a8f98", linewidth=1.2, zorder=0, label="front: no other run beats these")
    axes.set(
        **limits,
        title=TITLES[panel.split],
        xlabel=f"left: {panel.left} over the target's",
        ylabel=f"kept: {panel.kept} over the target's",
    )


def _error_bars(value: float, low: float, high: float) -> list[list[float]] | None:
    """Return how far an interval reaches below and above, as error bars are given; None where there is no interval."""
    return None if low != low or high != high else [[max(0.0, value - low)], [max(0.0, high - value)]]
