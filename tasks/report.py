"""Stage `report`: one self-contained HTML file that a person reads instead of the tables, in full and redacted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.measuring.degeneration import leaked_strings
from tasks.artifacts import (
    AnchorTable,
    CheckpointRef,
    CorpusRef,
    JudgeRecords,
    ProbeRecords,
    ReportRef,
    Scorecard,
    StereotypeScores,
)
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting import pages, run_history, wording
from tasks.reporting.pages import Picture, figure
from tasks.reporting.relearning_figures import COLOURS, relearning_picture
from tasks.storage.documents import read_pieces
from tasks.storage.plain_files import read_json
from tasks.storage.probe_records import read_completions, read_verdicts

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADLINE = (
    ("forget_test/probability", "Forgotten: answers"),
    ("forget_test/familiarity", "Forgotten: anchors"),
    ("forget_test/familiarity_interior", "Forgotten: inside anchors"),
    ("forget_test/familiarity_completion", "Forgotten: in completions"),
    ("forget_test/familiarity_judge", "Forgotten: as a judge sees it"),
    ("retain_test/probability", "Kept: answers"),
    ("sibling/probability", "Sibling: answers"),
    ("benchmark/world/acc", "Benchmark accuracy"),
)
PERPLEXITIES = (
    ("forget_test/perplexity", "Forgotten"),
    ("retain_test/perplexity", "Kept"),
    ("sibling/perplexity", "Sibling"),
    ("general/perplexity", "General"),
)
BARS = "What was forgotten, what was kept (probabilities and shares, 0 to 1)"
PERPLEXITY_BARS = "Perplexity of prose (higher: less familiar)"
MOST_ANCHORS = 200
"""Anchors that the page shows, the most frequent ones."""
MOST_LEAKS = 50
"""Completions with leaked strings that the page shows."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What both forms of the report hold: figures, and settings."""

    card: dict[str, Any]
    curves: dict[str, list[tuple[int, float]]]
    """Label of a trained model -> (step, loss in nats a token)."""
    facts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Details:
    """What only the full report holds, since it is, or speaks of, what was to be forgotten."""

    completions: list[dict[str, Any]]
    anchors: list[dict[str, Any]]
    leaks: list[dict[str, str]] = field(default_factory=list)
    """`model`, `prompt` and `leaked`: names, addresses and numbers that no text of the run holds."""
    preferences: list[dict[str, Any]] = field(default_factory=list)
    """`group`, such as an occupation, `pairs`, and model -> share of the pairs whose forget side it finds likelier."""


@stage("report", isolated=False)
def write_report(
    corpus: CorpusRef,
    card: Scorecard,
    probes: list[ProbeRecords],
    dictionary: AnchorTable,
    trained: list[CheckpointRef],
    facts: dict[str, str],
    verdicts: Sequence[JudgeRecords] = (),
    stereotypes: Sequence[StereotypeScores] = (),
    run: str | None = None,
) -> list[ReportRef]:
    """Write the report twice and return both: in full, kept and purged as forgotten text is, and redacted, for anyone
    to read.
    """
    with tracking.stage_run(run, "report") as nested:
        progress.report(0, 1)
        anchors = read_json(store.path(dictionary) / "dictionary.json")
        leaked, preferences = leaks(probes, read_pieces(corpus)), preferences_by_group(stereotypes)
        details = Details(
            completions=side_by_side(probes, verdicts), anchors=anchors, leaks=leaked, preferences=preferences
        )
        curves = {checkpoint.label: run_history.curve(checkpoint.origin, "loss_nats") for checkpoint in trained}
        page = Page(card=read_json(store.path(card) / "scorecard.json"), curves=curves, facts=facts)
        full = pages.keep_page(render_report(page, details), "report.html", "forget", nested)
        redacted = pages.keep_page(
            render_report(page, left_out=_omissions(details, full)), "report-redacted.html", "public", nested
        )
        progress.report(1, 1)
        return [full, redacted]


def _omissions(details: Details, full: ReportRef) -> str:
    """Say what the redacted report lacks, and where the full one is."""
    return (
        f"Left out here, since they hold the forgotten text: {len(details.completions)} prompts with what the models"
        f" say, and {len(details.anchors)} anchors with their translations. The full report is kept under LETHE_HOME as"
        f" forget/reports/{full.digest[:12]}, until it is purged."
    )


def side_by_side(
    probes: list[ProbeRecords], verdicts: Sequence[JudgeRecords] = (), most: int | None = 24
) -> list[dict[str, Any]]:
    """Return prompts with the true continuation, what each model says, and a judge's score of it where there is one;
    questions first, since their answers are plain to judge.
    """
    tables, scores = (
        {probe.label: read_completions(probe) for probe in probes},
        {judged.label: read_verdicts(judged) for judged in verdicts},
    )
    completions_by_model = {label: list(tables[label].completion) for label in COLOURS if label in tables}
    rows = next(iter(tables.values())).to_dict("records")
    for place, row in enumerate(rows):
        row["says"] = {label: completions[place] for label, completions in completions_by_model.items()}
        row["scores"] = {label: scores[label].get(place) for label in completions_by_model if label in scores}
    rows.sort(key=lambda row: row["kind"] != "question")
    forgotten = [row for row in rows if row["split"] == "forget_test"]
    others = [row for row in rows if row["split"] != "forget_test"]
    return _mixed(forgotten, most * 2 // 3) + _mixed(others, most // 3) if most else forgotten + others


def leaks(probes: list[ProbeRecords], known_pieces: frozenset[str]) -> list[dict[str, str]]:
    """Return what `degeneration/leaked_strings` counts, a row for each completion that leaks, the unlearned model's
    first.
    """
    return [
        {"model": probe.label, "prompt": row.prompt, "leaked": ", ".join(strings)}
        for probe in sorted(probes, key=lambda probe: probe.label != "unlearned")
        for row in read_completions(probe).itertuples()
        if (strings := leaked_strings(row.completion, row.prompt, known_pieces))
    ]


def preferences_by_group(stereotypes: Sequence[StereotypeScores]) -> list[dict[str, Any]]:
    """Return a row for each group of aligned pairs, with every model's preference, as the first model's table orders
    them.
    """
    tables = {
        scores.label: {row["group"]: row for row in read_json(store.path(scores) / "stereotypes.json")["groups"]}
        for scores in stereotypes
    }
    first = next(iter(tables.values()), {})
    return [
        {"group": group, "pairs": row["pairs"]} | {label: table[group]["share"] for label, table in tables.items()}
        for group, row in first.items()
    ]


def answers_table(probes: list[ProbeRecords], verdicts: Sequence[JudgeRecords] = ()) -> "pandas.DataFrame":
    """Return every prompt with what each model says, a column a model, and a judge's scores, a column a model."""
    import pandas

    rows = side_by_side(probes, verdicts, most=None)
    scored = [{f"{label} score": score for label, score in row["scores"].items()} for row in rows]
    texts = [{name: row[name] for name in ("split", "kind", "prompt", "truth")} | row["says"] for row in rows]
    return pandas.DataFrame([answers | scores for answers, scores in zip(texts, scored, strict=True)])


def _mixed(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return up to `most` rows, spread evenly over all of them."""
    return rows if len(rows) <= most else [rows[number * len(rows) // most] for number in range(most)]


def render_report(page: Page, details: Details | None = None, left_out: str = "") -> str:
    """Return the page; pictures are inside it.

    Args:
        page: What both forms hold.
        details: What the full one holds beside it; without it the template is not even given what was to be forgotten.
        left_out: What the redacted one says instead.
    """
    metrics = page.card["metrics"]
    pictures = (
        _bars_picture(metrics, HEADLINE, BARS),
        _bars_picture(metrics, PERPLEXITIES, PERPLEXITY_BARS),
        relearning_picture(metrics),
        _curves_picture(page.curves),
    )
    return pages.render(
        "report.html.j2",
        card=page.card,
        checks=wording.check_rows(page.card["verdict"]),
        groups=wording.metric_groups(metrics, page.card["provenance"].get("toxicity scorer", "")),
        pictures=[picture for picture in pictures if picture],
        facts=page.facts,
        details=details,
        most_anchors=MOST_ANCHORS,
        most_leaks=MOST_LEAKS,
        left_out=left_out,
    )


def _bars(axes: "Axes", rows: list[tuple[str, dict[str, Any]]]) -> None:
    models = [label for label in COLOURS if any(row[label] is not None for _, row in rows)]
    height = 0.8 / len(models)
    for index, label in enumerate(models):
        at = [place + index * height for place in range(len(rows))]
        bars = axes.barh(at, [row[label] or 0 for _, row in rows], height * 0.9, color=COLOURS[label], label=label)
        axes.bar_label(bars, [figure(row[label]) for _, row in rows], padding=3, fontsize=8)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(rows))], [name for name, _ in rows])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend(frameon=False, fontsize=8, ncols=len(models), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)


def _bars_picture(
    metrics: dict[str, dict[str, Any]], wanted: tuple[tuple[str, str], ...], title: str
) -> Picture | None:
    """Draw one group of bars a metric, a bar a model."""
    rows = [(label, metrics[name]) for name, label in wanted if name in metrics]
    if not rows:
        return None
    words = "; ".join(
        f"{label}: " + ", ".join(f"{model} {figure(row[model])}" for model in COLOURS if row[model] is not None)
        for label, row in rows
    )
    return pages.draw(
        lambda canvas: _bars(canvas.subplots(), rows),
        title=title,
        alt=f"{title}. {words}.",
        size=(6.8, 0.9 + 0.6 * len(rows)),
    )


def _curves_picture(curves: dict[str, list[tuple[int, float]]]) -> Picture | None:
    plotted = {label: points for label, points in curves.items() if len(points) > 1}

    def plot(canvas: "Figure") -> None:
        axes = canvas.subplots()
        for label, points in plotted.items():
            axes.plot([step for step, _ in points], [value for _, value in points], label=label)
        axes.set(xlabel="optimiser step", ylabel="loss, nats a token")
        axes.legend(frameon=False)

    if not plotted:
        return None
    words = "; ".join(
        f"{label} from {figure(points[0][1])} to {figure(points[-1][1])} nats in {len(points)} steps"
        for label, points in plotted.items()
    )
    return pages.draw(plot, title="Training", alt=f"Loss of training: {words}.", size=(6.8, 2.8))
