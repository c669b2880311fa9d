"""Stage `edit report`: one self-contained HTML file about a run of edits, in full and redacted."""

from tasks import store, tracking
from tasks.artifacts import EditRun, EditScores, ReportRef, Scorecard, TraceRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.reporting import pages, wording
from tasks.reporting.pages import Picture
from tasks.storage.edit_records import read_answers
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json
from tasks.storage.trace_files import PICTURES

TEMPLATE = "edits.html.j2"
AVERAGE = "average.png"


@stage("edit report", isolated=False)
def write_edit_report(
    card: Scorecard,
    edited: EditRun,
    scores: EditScores,
    traced: TraceRecords | None,
    facts: dict[str, str],
    run: str | None = None,
) -> list[ReportRef]:
    """Write the report twice and return both: in full, kept and purged as what was edited is, and redacted, for anyone
    to read.

    Args:
        card: Figures and verdict.
        edited: What became of each edit.
        scores: With what the model answered before and after.
        traced: Where facts were found, unless the layer was set.
        facts: Settings by name.
        run: Tracking run.
    """
    with tracking.stage_run(run, "edit report") as nested:
        progress.report(0, 1)
        value = read_json(store.path(card) / "scorecard.json")
        table = read_table(edited)
        about = {"card": value, "checks": wording.check_rows(value["verdict"]), "facts": facts, "edited": edited}
        about |= {"groups": wording.metric_groups(value["metrics"]), "traced": traced}
        average, maps = trace_pictures(traced)
        full = pages.render(
            TEMPLATE, **about, table=table, answers=read_answers(scores), pictures=average + maps, left_out=""
        )
        left_out = (
            f"Left out here, since they hold what was edited: {len(table)} edits, answers before and after, and"
            f" {len(maps)} heat maps. The full report is kept under LETHE_HOME until it is purged."
        )
        redacted = pages.render(TEMPLATE, **about, table=None, answers=None, pictures=average, left_out=left_out)
        progress.report(1, 1)
        return [
            pages.keep_page(full, "report.html", "forget", nested),
            pages.keep_page(redacted, "report-redacted.html", "public", nested),
        ]


def trace_pictures(traced: TraceRecords | None) -> tuple[list[Picture], list[Picture]]:
    """Return the picture of average effects, and the heat maps of single facts, as the trace has drawn them."""
    if traced is None:
        return [], []
    folder = store.path(traced)
    captions = read_json(folder / PICTURES)
    drawn = [
        Picture(title=caption["title"], alt=caption["alt"], png=(folder / caption["file"]).read_bytes())
        for caption in captions
    ]
    names: list[str] = [caption["file"] for caption in captions]
    average = [picture for picture, name in zip(drawn, names, strict=True) if name == AVERAGE]
    return average, [picture for picture, name in zip(drawn, names, strict=True) if name != AVERAGE]
