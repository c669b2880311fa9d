"""The stage: a page in full, and one for anyone to read that holds nothing of what was edited, pictures included."""

import base64
import re
from pathlib import Path

import pytest

from tasks import store
from tasks.algorithms.editing.causal_tracing import Trace
from tasks.algorithms.editing.effects import average_effects
from tasks.algorithms.editing.session import Edited
from tasks.artifacts import EditPatch, EditRun, EditScores, ReportRef, TraceRecords
from tasks.edit_report import write_edit_report
from tasks.edit_scorecard import score_edit_run
from tasks.reporting.trace_figures import average_picture, heat_map, write_pictures
from tasks.settings.edit_request import EditRequest
from tasks.settings.edit_verdict import EditVerdictConfig
from tasks.storage.edit_records import ANSWERS, SCORES
from tasks.storage.edit_steps import write_table
from tasks.storage.plain_files import write_json
from tasks.storage.trace_files import TracedFact

SECRET = ("Velmora", "Brindlewick", "Ostrin", "Thessaly", "Quorn")
"""Subject, old object, new object, what was said, and a word of the prompt; parts of no word of the page."""
REQUEST = EditRequest(subject="Velmora", prompt="{} of Quorn lies in", target="Ostrin", object="Brindlewick")


@pytest.fixture
def pages(lethe_home: Path) -> tuple[ReportRef, ReportRef]:
    patch = EditPatch(
        kind="patches", digest="f00d", sensitivity="forget", base="b", computed_on=(), layers=(1,), rank=1, edits=1
    )
    made = Edited(
        status="edited", made=True, said="Thessaly", figures={"nats": 0.1, "seconds": 1.5, "perplexity_ratio": 1.0029}
    )
    left_out = Edited(status="disabling", made=False, said="Thessaly", reasons=("far too large",))
    digest = store.put(
        "edit_runs",
        lambda folder: write_table(folder, [REQUEST, REQUEST], [made, left_out], patch),
        sensitivity="forget",
    )
    run = EditRun(kind="edit_runs", digest=digest, sensitivity="forget", patch=patch, layer=1, left_out=1)
    scores = put_scores()
    card = score_edit_run.body(scores, run, (), EditVerdictConfig(), {"method": "rome"}, {})
    full, redacted = write_edit_report.body(card, run, scores, put_traces(), {"edit.steps": "20"})
    return full, redacted


def put_scores() -> EditScores:
    row = {"target": 0.1, "unlearned": 1.0, "retrained": None, "ci95": [0.9, 1.0], "n": 1}
    answer = {"edit": "1", "change": "Brindlewick -> Ostrin", "kind": "prompt", "query": "Velmora of Quorn lies in"}
    answer |= {"before": "Brindlewick.", "after": "Ostrin."}

    def write(folder: Path) -> None:
        write_json(folder / SCORES, {"metrics": {"edit/es": row}})
        write_json(folder / ANSWERS, [answer])

    digest = store.put("edit_scores", write, sensitivity="forget")
    numbers = dict.fromkeys(("efficacy", "score", "alteration", "perplexity_ratio"))
    return EditScores(kind="edit_scores", digest=digest, sensitivity="forget", edits=1, label="unlearned", **numbers)


def put_traces() -> TraceRecords:
    import torch

    grid = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.8, 0.3]])
    trace = Trace(clean=0.9, corrupted=0.1, restored={"mlp": grid}, subject=(0, 2))
    fact = TracedFact(
        subject="Velmora",
        prompt=REQUEST.prompt,
        object="Brindlewick",
        tokens=("Vel", "Velmora", " Quorn"),
        span=(0, 2),
        clean=0.9,
        corrupted=0.1,
    )
    pictures = {"average.png": average_picture(average_effects([trace]), 1), "fact-000.png": heat_map(fact, trace)}
    digest = store.put("traces", lambda folder: write_pictures(folder, pictures), sensitivity="forget")
    return TraceRecords(kind="traces", digest=digest, sensitivity="forget", facts=1, unknown=0, layer=1)


def read(report: ReportRef) -> str:
    (file,) = store.path(report).glob("*.html")
    return file.read_text(encoding="utf-8")


def pictures_of(page: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


def test_the_full_report_has_every_edit_answer_and_picture(pages: tuple[ReportRef, ReportRef]) -> None:
    full, _ = pages
    page = read(full)
    assert full.sensitivity == "forget"
    assert all(word in page for word in SECRET)
    assert "far too large" in page and "Brindlewick." in page
    assert len(pictures_of(page)) == 2
    assert "Verdict: passed" in page


def test_how_far_the_perplexity_went_is_seen_to_a_thousandth(pages: tuple[ReportRef, ReportRef]) -> None:
    assert "1.003&times;" in (store.path(pages[0]) / "report.html").read_text()


def test_the_redacted_report_holds_nothing_of_what_was_edited(pages: tuple[ReportRef, ReportRef]) -> None:
    """Not in texts, titles, what pictures show in words, or the pictures: the average alone is there."""
    full, redacted = pages
    page = read(redacted)
    assert redacted.sensitivity == "public"
    assert not [word for word in (*SECRET, "Vel", "far too large") if word in page]
    (picture,) = pictures_of(page)
    assert picture in pictures_of(read(full))
    assert "Average indirect effect over 1 facts" in page
    assert "2 edits, answers before and after, and 1 heat maps" in page
    assert "edit.steps" in page and "Verdict: passed" in page
    assert [file.name for file in store.path(redacted).glob("*.html")] == ["report-redacted.html"]


def test_where_nothing_was_traced_there_is_no_picture(lethe_home: Path, pages: tuple[ReportRef, ReportRef]) -> None:
    from tasks.edit_report import trace_pictures

    assert trace_pictures(None) == ([], [])
