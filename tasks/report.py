"""Stage `report`: one self-contained HTML file that a person reads instead of the tables."""

from typing import TYPE_CHECKING, Any

from tasks import formats, pages, progress, store, tracking
from tasks.artifacts import AnchorTable, CheckpointRef, ProbeRecords, ReportRef, Scorecard
from tasks.pages import Picture, figure
from tasks.stage import stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"target": "#8a8f98", "unlearned": "#1f6feb", "retrained": "#2da44e"}
HEADLINE = (
    ("forget_test/probability", "Forgotten: answers"),
    ("forget_test/familiarity", "Forgotten: anchors"),
    ("forget_test/familiarity_interior", "Forgotten: inside anchors"),
    ("forget_test/familiarity_completion", "Forgotten: in completions"),
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
MEANINGS = {
    "probability": "geometric mean probability of an answer's tokens",
    "accuracy": "share of answers whose every token is the model's first choice",
    "truth_ratio": "false answers against the true one",
    "familiarity": "probability of whole anchors where the true text has one",
    "familiarity_first": "probability of an anchor's first token there",
    "familiarity_interior": "probability of the rest of an anchor given its first token",
    "familiarity_completion": "share of completions that name an anchor the prompt did not hold",
    "perplexity": "exp of the loss a token; lower is more familiar",
    "text_probability": "geometric mean probability of a token of the text",
    "answer_extraction_strength": "share of an answer that is right from some point on",
    "extraction_strength": "the same for a window of text",
    "answer_exact_memorization": "share of an answer's tokens that are the first choice",
    "exact_memorization": "the same for text",
    "forget_quality_p": "p-value that truth ratios equal the retrained model's",
    "empty_share": "share of completions without a word",
    "distinct_2": "distinct word pairs over all",
    "repetition": "share of words that repeat one of the two before",
    "teacher_perplexity": "how surprised the target model is by the completions",
    "acc": "accuracy",
    "acc_norm": "accuracy with length-normalised choices",
}


@stage("report", isolated=False)
def write_report(
    card: Scorecard,
    probes: list[ProbeRecords],
    dictionary: AnchorTable,
    trained: list[CheckpointRef],
    facts: dict[str, str],
    run: str | None = None,
) -> ReportRef:
    """Write the report; it holds forgotten text, so it is kept and purged as such."""
    with tracking.stage_run(run, "report") as nested:
        progress.report(0, 1)
        scorecard = formats.read_json(store.path(card) / "scorecard.json")
        page = render_report(
            scorecard,
            completions=side_by_side(probes),
            anchors=formats.read_json(store.path(dictionary) / "dictionary.json"),
            curves={checkpoint.label: tracking.curve(checkpoint.origin, "loss_nats") for checkpoint in trained},
            facts=facts,
        )
        digest = store.put("reports", lambda folder: (folder / "report.html").write_text(page, encoding="utf-8") and None, sensitivity="forget")
        record = ReportRef(kind="reports", digest=digest, sensitivity="forget", origin=nested or "")
        tracking.log_artifact(nested, store.path(record) / "report.html", "forget", "report")
        progress.report(1, 1)
        return record


def side_by_side(probes: list[ProbeRecords], most: int = 24) -> list[dict[str, Any]]:
    """Return prompts with the true continuation and what each model says; questions first, since their answers are plain to judge."""
    import pandas

    tables = {probe.label: pandas.read_parquet(store.path(probe) / "completions.parquet") for probe in probes}
    rows = tables["target"].to_dict("records")
    for label, table in tables.items():
        for row, completion in zip(rows, table.completion, strict=True):
            row[label] = completion
    rows.sort(key=lambda row: row["kind"] != "question")
    forgotten = [row for row in rows if row["split"] == "forget_test"]
    kept = [row for row in rows if row["split"] != "forget_test"]
    return _mixed(forgotten, most * 2 // 3) + _mixed(kept, most // 3)


def _mixed(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return up to `most` rows, spread evenly over all of them."""
    return rows if len(rows) <= most else [rows[number * len(rows) // most] for number in range(most)]


def render_report(
    card: dict[str, Any], *, completions: list[dict[str, Any]], anchors: list[dict[str, Any]], curves: dict[str, list[tuple[int, float]]], facts: dict[str, str]
) -> str:
    """Return the page; pictures are inside it."""
    metrics = card["metrics"]
    pictures = (_bars_picture(metrics, HEADLINE, BARS), _bars_picture(metrics, PERPLEXITIES, PERPLEXITY_BARS), _curves_picture(curves))
    return pages.render(
        "report.html.j2",
        card=card,
        groups=metric_groups(metrics),
        completions=completions,
        anchors=anchors[:200],
        anchor_count=len(anchors),
        pictures=[picture for picture in pictures if picture],
        facts=facts,
    )


def metric_groups(metrics: dict[str, dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the metrics by split, each with its meaning."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, row in metrics.items():
        split, _, metric = name.partition("/")
        groups.setdefault(split, []).append({"name": metric, "meaning": MEANINGS.get(metric.rpartition("/")[2], ""), **row})
    return list(groups.items())


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
    axes.legend(frameon=False, fontsize=8)


def _bars_picture(metrics: dict[str, dict[str, Any]], wanted: tuple[tuple[str, str], ...], title: str) -> Picture | None:
    """Draw one group of bars a metric, a bar a model."""
    rows = [(label, metrics[name]) for name, label in wanted if name in metrics]
    if not rows:
        return None
    words = "; ".join(f"{label}: " + ", ".join(f"{model} {figure(row[model])}" for model in COLOURS if row[model] is not None) for label, row in rows)
    return pages.draw(lambda canvas: _bars(canvas.subplots(), rows), title=title, alt=f"{title}. {words}.", size=(8, 0.9 + 0.62 * len(rows)))


def _curves_picture(curves: dict[str, list[tuple[int, float]]]) -> Picture | None:
    drawn = {label: points for label, points in curves.items() if len(points) > 1}

    def plot(canvas: "Figure") -> None:
        axes = canvas.subplots()
        for label, points in drawn.items():
            axes.plot([step for step, _ in points], [value for _, value in points], label=label)
        axes.set(xlabel="optimiser step", ylabel="loss, nats a token")
        axes.legend(frameon=False)

    if not drawn:
        return None
    words = "; ".join(f"{label} from {figure(points[0][1])} to {figure(points[-1][1])} nats in {len(points)} steps" for label, points in drawn.items())
    return pages.draw(plot, title="Training", alt=f"Loss of training: {words}.", size=(8, 3))
