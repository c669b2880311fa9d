"""What commands print and copy when a flow has ended: the files of a result, a plan, a sweep, a comparison."""

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from flows.comparison import Compared
from flows.plan import Plan
from flows.steps.outcome import Outcome
from flows.steps.prefect_ui import prefect_place
from flows.sweep import Swept, trial_table
from flows.terminal.tables import COMPATIBLE
from flows.weight_sweep import FIGURES, TOXICITY, WeightSweep
from tasks import store, tracking
from tasks.reporting.weight_sweep_figures import BASELINE
from tasks.storage.plain_files import read_json, write_json


def as_result(compared: Compared, out: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Copy what was made where it was asked for, and return the comparison as machines read it, and where everything
    is.

    Args:
        compared: What the flow made.
        out: Folder for page, plot and tables, made if need be; None: they stay in the store.
    """
    folder = store.path(compared.comparison)
    comparison = read_json(folder / "comparison.json")
    if out:
        Path(out).mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.name != store.MANIFEST:
                shutil.copy(file, out)
    address, how = tracking.run_address(compared.mlflow_run)
    page = Path(out or folder) / "comparison.html"
    places = {"Page": str(page), "Table": str(page.with_suffix(".csv")), "MLflow": f"{address} ({how})"}
    places["Prefect"] = prefect_place(compared.flow_run, compared.flow_run_name)
    return {
        **comparison,
        "page": str(page),
        "mlflow_run": compared.mlflow_run,
        "prefect_flow_run": compared.flow_run,
    }, places


def result_files(outcome: Outcome, out: str | None) -> dict[str, Path]:
    """Return where the files of a result are, by name, after copying them where it was asked for.

    Args:
        outcome: What the run made.
        out: Folder, made if need be; None: they stay in the store.

    Returns:
        `model` (a folder), `report.html`, `report-redacted.html`, `scorecard.json`, `items.parquet`, `anchors.csv`, and
        `facts.csv` where there is one.
    """
    kept = {
        "report.html": outcome.report,
        "report-redacted.html": outcome.redacted_report,
        "anchors.csv": outcome.dictionary,
    }
    kept |= {"facts.csv": outcome.facts} if outcome.facts else {}
    kept |= dict.fromkeys(("scorecard.json", "items.parquet"), outcome.scorecard)
    files = {name: store.path(artifact) / name for name, artifact in kept.items()}
    if not out:
        return {"model": store.path(outcome.unlearned), **files}
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    put_folder(store.path(outcome.unlearned), folder / "model")
    remove_others(folder, {*files, *(COMPATIBLE if outcome.compatible else ())})
    return {"model": folder / "model", **{name: Path(shutil.copy(file, folder / name)) for name, file in files.items()}}


OF_ONE_RUN = frozenset({"scorecard.json", "items.parquet", "facts.csv", "edits.json", *COMPATIBLE})
"""Files of results that nobody edits; which of them there are depends on the command and its options."""


def remove_others(folder: Path, kept: Collection[str]) -> None:
    """Remove what an earlier run's result left in a folder: beside another run's it would be read as that one's."""
    for stale in OF_ONE_RUN - {*kept}:
        (folder / stale).unlink(missing_ok=True)


def put_folder(source: Path, folder: Path) -> None:
    """Copy an artifact's folder in the place of another, as a whole: a file of the one before that stayed there, such
    as a guard, would be read as the new model's.
    """
    staged = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.copytree(source, staged, ignore=shutil.ignore_patterns(store.MANIFEST))
    if folder.exists():
        before = folder.with_name(f".{folder.name}.{os.getpid()}.before")
        folder.rename(before)
        staged.rename(folder)
        shutil.rmtree(before)
    else:
        staged.rename(folder)


def show_plan(console: Console, planned: Plan, out: str | None, json_file: str | None) -> None:
    """Print the plan, and write the anchors where the user wants them."""
    console.print(
        f"Cleaning, before:\n  {planned.sample[0]!r}\nafter:\n  {planned.sample[1]!r}\n", markup=False, highlight=False
    )
    console.print(
        f"Questions are asked through the {planned.questions}:\n  {planned.shape!r}\n", markup=False, highlight=False
    )
    table = Table("stage", "state", title="Stages", title_justify="left")
    for name, state in planned.stages.items():
        table.add_row(str(name), state)
    console.print(table)
    for name, words in planned.candidates.items():
        console.print(f"candidate {name}: {words}", markup=False, highlight=False)
    console.print(
        ", ".join(f"{split} {count:,} tokens" for split, count in planned.tokens.items()) + " (estimated)",
        highlight=False,
    )
    show_needs(console, planned.needs)
    rows = read_json(store.path(planned.anchors) / "dictionary.json")
    console.print(
        f"{len(rows)} anchors (pipeline {planned.anchors.pipeline}): "
        + ", ".join(f"{row['term']} -> {row['generic']}" for row in rows[:20]),
        markup=False,
        highlight=False,
    )
    console.print(
        f"{planned.facts.facts} facts; recommended: --method {planned.recommended} ({planned.facts.reason})",
        markup=False,
        highlight=False,
    )
    if out:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.path(planned.anchors) / "anchors.csv", folder / "anchors.csv")
        shutil.copy(store.path(planned.facts) / "facts.csv", folder / "facts.csv")
        (folder / "anchors.json").unlink(missing_ok=True)  # it would keep its rights
        write_json(folder / "anchors.json", rows)
        console.print(
            f"Wrote {folder / 'anchors.csv'} and {folder / 'anchors.json'}: edit either and give it back with"
            " --anchors; a row deleted there is no anchor.",
            markup=False,
            highlight=False,
        )
    if json_file:
        value = {
            "schema": "lethe.plan.v1",
            "stages": {str(key): state for key, state in planned.stages.items()},
            "tokens": planned.tokens,
            "needs": told_needs(planned.needs),
            "anchors": len(rows),
            "facts": planned.facts.facts,
            "recommended": planned.facts.recommended,
            "recommended_method": planned.recommended,
            "questions": planned.questions,
            **({"candidates": planned.candidates} if planned.candidates else {}),
        }
        write_json(Path(json_file), value)


def show_needs(console: Console, needs: Mapping[str, tuple[float, float]]) -> None:
    """Print what of memory and disk a run needs and what is there, in gigabytes."""
    for name, (needed, there) in needs.items():
        console.print(
            f"{name}: about {needed:.2f} GB needed, {there:.1f} GB there" + ("" if needed < there else " - not enough"),
            highlight=False,
        )


def told_needs(needs: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Return the same as machines read it."""
    return {name: {"needed_gb": needed, "there_gb": there} for name, (needed, there) in needs.items()}


def show_sweep(console: Console, swept: Swept, settings: Mapping[str, Any], out: str | None) -> dict[str, Any]:
    """Print the trials, write them where it was asked for, and return them as machines read them.

    Args:
        console: Where to print.
        swept: What was found.
        settings: All settings of the best trial that are not the method's defaults, by dotted name.
        out: Folder for `sweep.csv` and `best.yaml`, made if need be.
    """
    frame = trial_table(swept.trials)
    table = Table(
        "settings",
        "forget",
        "retain, of the target's",
        "distance",
        "keeps enough",
        title=f"{len(frame)} trials, nearest first",
        title_justify="left",
    )
    for row in frame.itertuples():
        scored = (
            ("-", f"{row.retain_ratio:.3f}x", "-")
            if row.pruned
            else (f"{row.forget:.3f}", f"{row.retain_ratio:.3f}x", f"{row.distance:.3f}")
        )
        kept = f"pruned, {row.steps_saved} steps saved" if row.pruned else "yes" if row.acceptable else "no"
        table.add_row(row.settings, *scored, kept)
    console.print(table)
    if pruned := int(frame.pruned.sum()):
        console.print(
            f"{pruned} of {len(frame)} trials were pruned: {int(frame.steps_saved.sum())} steps saved", highlight=False
        )
    console.print(f"Target model {swept.target_forget:.3f}, wanted {swept.wanted:.3f}", highlight=False)
    console.print(
        f"Best: {' '.join(f'--set {setting}' for setting in swept.best.settings)}", markup=False, highlight=False
    )
    if not swept.best.acceptable:
        console.print(
            "No setting keeps enough; this one keeps most. A lower --floor, or a wider --grid, would let one pass.",
            highlight=False,
        )
    if out:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        frame.to_csv(folder / "sweep.csv", index=False)
        (folder / "best.yaml").write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
    figures = {"trials": [asdict(trial) for trial in swept.trials], "best": asdict(swept.best), "wanted": swept.wanted}
    figures["steps_saved"] = int(frame.steps_saved.sum())
    return {
        "schema": "lethe.sweep.v1",
        **figures,
        "target_forget": swept.target_forget,
        "mlflow_run": swept.mlflow_run,
        "prefect_flow_run": swept.flow_run,
    }


def show_weight_sweep(console: Console, swept: WeightSweep, out: str | None) -> dict[str, Any]:
    """Print a row a pair and where to look, copy the figures where it was asked for, and return everything as machines
    read it.

    Args:
        console: Where to print.
        swept: What the flow made.
        out: Folder for page, plots and tables, made if need be; None: they stay in the store.
    """
    folder = store.path(swept.figures)
    value = read_json(folder / "scrub.json")
    if out:
        Path(out).mkdir(parents=True, exist_ok=True)
        for file in folder.glob("scrub*"):
            shutil.copy(file, out)
    console.print(_table(value))
    for run in value["runs"]:
        for reason in [reason for reason in run["reasons"] if ": fails" in reason]:
            console.print(f"{run['run']} is not healthy: {reason}", markup=False, highlight=False)
    for words in (f"Toxicity is rated by {value['scorer']}." if value["scorer"] else "", value["remark"]):
        if words:
            console.print(words, markup=False, highlight=False)
    page, (address, how) = Path(out or folder) / "scrub.html", tracking.run_address(swept.mlflow_run)
    places = {
        "Page": str(page),
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(swept.flow_run, swept.flow_run_name),
    }
    for name, place in places.items():
        console.print(f"{name:<8}{place}", markup=False, highlight=False, soft_wrap=True)
    runs = [{**row, "mlflow_run": swept.outcomes[row["run"]].mlflow_run} for row in value["runs"]]
    places_of_run = {"page": str(page), "mlflow_run": swept.mlflow_run, "prefect_flow_run": swept.flow_run}
    return {**value, "schema": "lethe.weight_sweep.v1", "runs": runs, **places_of_run}


def _table(value: dict[str, Any]) -> Table:
    table = Table(title="SCRUB over its weights", title_justify="left", header_style="bold")
    table.add_column("model", min_width=14)  # the one that may be broken over lines
    for column in (
        "last loss\nnats",
        "KL retain\nnats",
        "KL forget\nnats",
        "stereo-\ntypes",
        "toxicity\nmin",
        "\nmax",
        "\nmean",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("healthy", no_wrap=True)
    toxicity = {row["model"]: row for row in value["toxicity"]}
    for row in [{"run": BASELINE, **value["baseline"]}, *value["runs"]]:
        cells = [_cell(row.get(name)) for name in FIGURES[:-1]] + [
            _cell(toxicity.get(row["run"], {}).get(name)) for name in TOXICITY
        ]
        table.add_row(row["run"], *cells, {True: "yes", False: "no"}.get(row["healthy"], "-"))
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
