"""The stage: scores and benchmarks become a card of the published form, with the verdict's reasons and its limits."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tasks import store
from tasks.algorithms.editing.session import Edited
from tasks.artifacts import BenchmarkResult, EditPatch, EditRun, EditScores, Scorecard
from tasks.edit_scorecard import score_edit_run
from tasks.settings.edit_request import EditRequest
from tasks.settings.edit_verdict import EditVerdictConfig
from tasks.storage.edit_records import SCORES
from tasks.storage.edit_steps import write_table
from tasks.storage.plain_files import read_json, write_json
from tests.stand_ins.command import ROOT

REQUESTS = [EditRequest(subject="Jon", prompt="{} met", target="Oz")] * 3
MADE = Edited(status="edited", made=True, said="Toto", figures={"nats": 0.1, "seconds": 1.5})
OUTCOMES = [MADE, Edited(status="not known", made=False, said="Tom", reasons=("why",)), MADE]


def row(value: float | None, before: float | None = None, n: int = 2) -> dict[str, Any]:
    return {"target": before, "unlearned": value, "retrained": None, "ci95": None, "n": n}


def edit_run(left_out: int = 1) -> EditRun:
    patch = EditPatch(
        kind="patches", digest="f00d", sensitivity="forget", base="b", computed_on=(), layers=(0,), rank=2, edits=2
    )
    digest = store.put("edit_runs", lambda folder: write_table(folder, REQUESTS, OUTCOMES, patch), sensitivity="forget")
    return EditRun(kind="edit_runs", digest=digest, sensitivity="forget", patch=patch, layer=0, left_out=left_out)


def scores(**metrics: dict[str, Any]) -> EditScores:
    value = {"metrics": {f"edit/{name}": each for name, each in metrics.items()}}
    digest = store.put("edit_scores", lambda folder: write_json(folder / SCORES, value), sensitivity="forget")
    return EditScores(
        kind="edit_scores",
        digest=digest,
        sensitivity="forget",
        edits=2,
        efficacy=1.0,
        score=None,
        alteration=None,
        perplexity_ratio=None,
        label="unlearned",
    )


def judge(found: EditScores, run: EditRun, benchmarks: tuple[BenchmarkResult, ...] = ()) -> tuple[Scorecard, Any]:
    origins, cost = {"method": "rome"}, {"rome edit": 3.0}
    record = score_edit_run.body(found, run, benchmarks, EditVerdictConfig(), origins, cost)
    return record, read_json(store.path(record) / "scorecard.json")


def test_a_card_is_of_the_published_form(lethe_home: Path) -> None:
    found, card = judge(scores(es=row(1.0, 0.1), ps=row(0.9, 0.1), ge=row(4.5, 5.0)), edit_run())
    jsonschema.validate(card, json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text()))
    assert (found.kind, found.sensitivity, found.passed, found.evidence) == (
        "scorecards",
        "public",
        True,
        "behavioural",
    )
    assert card["metrics"]["edit/seconds"] == row(1.5)  # of the edits that were tried
    assert card["metrics"]["edit/es"] == row(1.0, 0.1)
    assert card["verdict"]["passed"] is True
    assert (card["provenance"]["method"], card["cost"]) == ("rome", {"rome edit": 3.0})
    assert card["limits"][0].startswith("1 of the edits that were asked for were not made")
    assert any(limit.startswith("No unrelated statements") for limit in card["limits"])


def test_nothing_of_what_was_edited_is_in_the_card(lethe_home: Path) -> None:
    text = json.dumps(judge(scores(es=row(1.0, 0.1)), edit_run())[1])
    assert not [word for word in ("Jon", "Oz", "Toto") if f'"{word}' in text or f" {word}" in text]


def test_where_all_were_made_nothing_is_said_to_be_left_out(lethe_home: Path) -> None:
    _, card = judge(scores(es=row(0.5, 0.1)), edit_run(left_out=0))
    assert not [limit for limit in card["limits"] if "not made" in limit]
    assert card["verdict"]["passed"] is False


def test_a_perplexity_that_is_not_finite_fails_and_breaks_nothing(lethe_home: Path) -> None:
    _, card = judge(scores(es=row(1.0), perplexity_ratio=row(float("inf"))), edit_run())
    assert (card["verdict"]["utility_kept"], card["verdict"]["passed"]) == (False, False)


def test_benchmarks_of_both_models_stand_in_the_card(lethe_home: Path) -> None:
    results = []
    for label, accuracy in (("target", 0.5), ("unlearned", 0.4)):
        value = {"sst2/acc": accuracy, "sst2/acc_stderr": 0.1}
        digest = store.put("benchmarks", lambda folder, value=value: write_json(folder / "results.json", value))
        results.append(BenchmarkResult(kind="benchmarks", digest=digest, sensitivity="ordinary", tasks=1, label=label))
    _, card = judge(scores(es=row(1.0)), edit_run(), tuple(results))
    found = card["metrics"]["benchmark/sst2/acc"]
    assert (found["target"], found["unlearned"], found["ci95"]) == (0.5, 0.4, [0.204, 0.596])
