"""What `lethe edit` and `lethe trace` are given, print and hand over."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.steps.prefect_ui import prefect_place
from flows.terminal import checks
from flows.terminal.results import put_folder, remove_others
from flows.terminal.tables import show_places
from tasks import store, tracking
from tasks.models.patched_models import read_list
from tasks.settings.edit_proposals import ERASED
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tasks.storage.edit_files import FILE
from tasks.storage.edit_records import SCORES, read_answers
from tasks.storage.edit_sets import put_edits
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json

if TYPE_CHECKING:
    from flows.rank_one_editing import EditingOutcome
    from flows.single_editing import SingleEdits

SHOWN = (
    "edit/es",
    "edit/ps",
    "edit/ns",
    "edit/ns_name_sharers",
    "edit/s",
    "edit/rewrite_new_share",
    "edit/rewrite_old_share",
    "edit/paraphrase_new_share",
    "edit/alteration",
    "edit/zsre_rewrite",
    "edit/zsre_paraphrase",
    "edit/zsre_unrelated",
    "edit/portability",
    "edit/perplexity_ratio",
    "edit/ge",
    "edit/seconds",
)
"""Metrics of the terminal's table; the report has them all."""
MOST_ROWS = 20
"""Edits that are listed one by one."""


def editing_request(
    one: tuple[str, str, str], erase: bool, files: dict[str, list[str] | None], **more: Any
) -> EditingRequest:
    """Return options as a request; files by their absolute paths.

    Args:
        one: Subject, prompt and target of a single edit; empty texts where there is none.
        erase: Whether what is edited gets an object that says nothing.
        files: `edit_files`, `facts`, `text`, `patches`, as given.
        more: Further fields.

    Raises:
        ValueError: If a single edit lacks a part, or its subject is not in its prompt.
    """
    from tasks.inputs.edit_requests import as_request

    names = ("--subject", "--prompt", "--target")
    wanted = names[:2] if erase else names
    given = [name for name, value in zip(names, one, strict=True) if value]
    missing = [name for name in wanted if name not in given]
    if given and missing:
        raise ValueError(f"{' and '.join(missing)} missing; wanted {', '.join(wanted)} together")
    if erase and one[2]:
        raise ValueError(f"--erase and --target {one[2]} contradict each other; wanted one of them")
    typed = (in_a_file(as_request(one[0], one[1], one[2] or ERASED[0])),) if given else ()
    paths = {
        name: tuple(checks.absolute(path) if Path(path).expanduser().exists() else path for path in given_files or ())
        for name, given_files in files.items()
    }
    return EditingRequest(**{**paths, "edit_files": (*typed, *paths["edit_files"])}, erase=erase, **more)


def require_whole_run(each: bool, options: dict[str, Any]) -> None:
    """Refuse options that want a model or a verdict, where every edit is judged alone."""
    if given := [name for name, value in options.items() if each and value]:
        raise ValueError(f"--each makes every edit alone and hands no model over; wanted no {' and no '.join(given)}")


def in_a_file(request: EditRequest) -> str:
    """Return a file of the store with what was typed: Prefect keeps a flow's parameters for good, so these are to hold
    no more of an edit than where it stands.
    """
    return str(store.path(put_edits([request])) / FILE)


def planned_edits(request: EditingRequest, config: RankOneEditingConfig) -> Sequence[EditRequest]:
    """Return the edits that a run would make, for a person to confirm; those that a text's facts propose are found
    now.
    """
    from flows.steps.edit_proposals import edit_proposals, erasing
    from flows.steps.editing import check_editing
    from flows.steps.providers import settle_translation

    checked = check_editing(request, config)
    if not checked.text.forget:
        return checked.edits
    settled = settle_translation(config)
    return edit_proposals(checked.text, erasing(settled) if request.erase else settled)


def show_edit_result(console: Console, outcome: "EditingOutcome", seconds: float, out: str | None) -> dict[str, Any]:
    """Print what became of each edit, the scores, the verdict and where to look, copy what was asked for, and return
    all of it as machines read it.
    """
    card, rows = read_json(store.path(outcome.scorecard) / "scorecard.json"), read_table(outcome.run)
    files = edit_files(outcome, out)
    console.print(outcome_table(rows))
    if len(rows) > MOST_ROWS:
        console.print(f"... and {len(rows) - MOST_ROWS} more in the report", highlight=False)
    answers = read_answers(outcome.scores)
    if answers:
        console.print(answers_table(answers))
    console.print(scores_table(card["metrics"]))
    verdict = card["verdict"]
    colour, word = ("green", "passed") if verdict["passed"] else ("red", "not passed")
    console.print(f"\n[bold {colour}]Verdict: {word}[/] (evidence: {verdict['evidence']})")
    for reason in [*verdict["reasons"], *card["limits"]]:
        console.print(f"  {reason}", markup=False, highlight=False)
    address, how = tracking.run_address(outcome.mlflow_run)
    cached = sum(state == "Cached" for state in outcome.stages.values())
    patch = outcome.run.patch
    places = {
        "Report": str(files["report.html"]),
        "Redacted": str(files["report-redacted.html"]),
        "Patch": f"{files['patch']} (lethe patch show {patch.digest[:16]})",
        "Model": str(files["model"]),
        "Registered": outcome.model_version,
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(outcome.flow_run, outcome.flow_run_name),
        "Stages": f"{cached} of {len(outcome.stages)} from cache; {seconds:.0f} s in all",
    }
    console.print()
    show_places(console, places)
    return {
        "schema": "lethe.edit.v1",
        "seconds": round(seconds, 1),
        "verdict": verdict,
        "scorecard": card,
        "edits": rows,
        "answers": answers,
        "layer": outcome.run.layer,
        "patch": str(files["patch"]),
        "patch_digest": patch.digest,
        "model": str(files["model"]),
        "report": places["Report"],
        "redacted_report": places["Redacted"],
        "registered": outcome.model_version,
        "mlflow_run": outcome.mlflow_run,
        "prefect_flow_run": outcome.flow_run,
        "stages": {str(key): state for key, state in outcome.stages.items()},
    }


def show_single_edits(console: Console, outcome: "SingleEdits", seconds: float) -> dict[str, Any]:
    """Print the scores of edits that each stand alone, and where to look; return them as machines read them."""
    metrics = read_json(store.path(outcome.scores) / SCORES)["metrics"]
    console.print(scores_table(metrics))
    address, how = tracking.run_address(outcome.mlflow_run)
    places = {
        "Scores": str(store.path(outcome.scores) / SCORES),
        "MLflow": f"{address} ({how})",
        "Prefect": prefect_place(outcome.flow_run, outcome.flow_run_name),
    }
    console.print()
    show_places(console, places)
    return {
        "schema": "lethe.single_edits.v1",
        "seconds": round(seconds, 1),
        "edits": outcome.scores.edits,
        "layer": outcome.traced.layer if outcome.traced else None,
        "metrics": metrics,
        "mlflow_run": outcome.mlflow_run,
        "prefect_flow_run": outcome.flow_run,
    }


def edit_files(outcome: "EditingOutcome", out: str | None) -> dict[str, Path]:
    """Return where the files of a result are, by name, after copying them where it was asked for; folders are `model`
    and `patch`.
    """
    folders = {"model": outcome.edited, "patch": outcome.run.patch}
    kept = {
        "report.html": outcome.report,
        "report-redacted.html": outcome.redacted_report,
        "scorecard.json": outcome.scorecard,
        "edits.json": outcome.run,
    }
    files = {name: store.path(artifact) / name for name, artifact in kept.items()}
    if not out:
        return {**{name: store.path(artifact) for name, artifact in folders.items()}, **files}
    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    for name, artifact in folders.items():
        put_folder(store.path(artifact), place / name)
    read_list(place / "model")  # it holds what was made, and not the model before
    remove_others(place, files)
    copied = {name: Path(shutil.copy(file, place / name)) for name, file in files.items()}
    return {**{name: place / name for name in folders}, **copied}


def outcome_table(rows: list[dict[str, Any]]) -> Table:
    """Return a row an edit: what the model said, what it is to say, and whether it was made."""
    table = Table(title="Edits", title_justify="left", header_style="bold")
    for column in ("edit", "prompt", "said before", "new object", "made"):
        table.add_column(column)
    for name in ("loss\nnats", "|dW|\nof |W|", "seconds"):
        table.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        made = "yes" if row["made"] else f"no: {row['status']}"
        texts = (row["name"], row["prompt"].replace("{}", row["subject"]), row["said"], row["target"], made)
        numbers = ("-" if row.get(name) is None else f"{row[name]:.3g}" for name in ("nats", "update_share", "seconds"))
        table.add_row(*map(Text, texts), *numbers)
        for reason in row["reasons"]:
            table.add_row("", Text(reason, style="dim"))
    return table


def answers_table(rows: list[dict[str, str]]) -> Table:
    """Return what the model answered before and after, a row a query."""
    table = Table(title="Before and after", title_justify="left", header_style="bold")
    for column in ("edit", "", "query", "before", "after"):
        table.add_column(column)
    for row in rows:
        change = row["change"] if row["kind"] == "prompt" else ""
        table.add_row(*map(Text, (change, row["kind"], row["query"], row["before"], row["after"])))
    return table


def scores_table(metrics: dict[str, dict[str, Any]]) -> Table:
    """Return the main scores before and after."""
    table = Table(title="Scores", title_justify="left", header_style="bold")
    table.add_column("metric", no_wrap=True)
    for column in ("before", "after", "95 %", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in [*SHOWN, *(name for name in metrics if name.startswith("benchmark/"))]:
        if row := metrics.get(name):
            interval = " to ".join(_cell(bound) for bound in row["ci95"]) if row["ci95"] else ""
            table.add_row(name, _cell(row["target"]), _cell(row["unlearned"]), interval, str(row["n"] or "-"))
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
