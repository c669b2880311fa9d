"""Claims: a record says in its first line what it is not, and holds what was done, to which models and by which
thresholds, as its schema has it; neither it nor its page holds forgotten text, names or digests of its files, places of
this machine or passwords; the page shows what the record says, as texts.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tasks import store
from tasks.reporting.evidence_records import KeptEvidence, about, evidence_page, evidence_record, keep_evidence
from tasks.reporting.judged_runs import JudgedRun, judged_run
from tasks.storage.evidence_files import PAGE, RECORD, read_evidence
from tasks.storage.signing_keys import fingerprint, own_public_key
from tests.stand_ins.cards import card
from tests.stand_ins.command import ROOT
from tests.stand_ins.databases import give_runs
from tests.stand_ins.judged import GIVEN, GOLD, MODELS, log_judged
from tests.stand_ins.leaks import Searcher

SCHEMA = json.loads((ROOT / "tests" / "schemas" / "evidence.v1.json").read_text())
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def judged(lethe_home: Path, tmp_path: Path) -> JudgedRun:
    give_runs(lethe_home)
    return judged_run(log_judged(tmp_path / "logged"))


@pytest.fixture
def kept(judged: JudgedRun) -> KeptEvidence:
    return keep_evidence(judged)


def test_a_record_begins_with_what_it_is_not(kept: KeptEvidence) -> None:
    assert about("gold") == "Evidence at its tier (gold), not a proof of exact removal."
    first = f'{{\n "record": {{\n  "about": "{about("gold")}",\n'
    assert (kept.folder / RECORD).read_text().startswith(first)
    body = (kept.folder / PAGE).read_text().partition("<body>")[2]
    assert body.strip().startswith(f'<p class="about">{about("gold")}</p>')


def test_a_record_says_what_was_done_and_how_it_was_judged(kept: KeptEvidence, judged: JudgedRun) -> None:
    record = kept.record
    assert record["scorecard"] == GOLD
    assert record["method"] == "whp"
    assert record["digests"]["models"] == {name.removesuffix(" model"): digest for name, digest in MODELS.items()}
    wanted = {split: [store.keyed(file.digest)[:32] for file in files] for split, files in GIVEN.items()}
    assert record["digests"]["data"] == wanted
    assert record["thresholds"] == {"forgotten_gap": "0.08", "required": "['forgotten', 'healthy']"}
    assert record["config"] == {
        "finetune.seed": "3",
        "judging.model": "judge",
        "judging.base_url": "http://127.0.0.1:8000/v1",
    }
    assert record["versions"] == GOLD["provenance"]["versions"]
    run = record["run"]
    assert (run["id"], run["status"], run["prefect_flow_run"]) == (judged.record.info.run_id, "FINISHED", "0" * 8)
    assert run["request"] == "R-0007"
    assert (len(run["git_commit"]), type(run["git_dirty"])) == (40, bool)
    assert [(one["stage"], one["status"]) for one in record["stages"]] == [
        ("corpus", "FINISHED"),
        ("probing unlearned", "FINISHED"),
    ]
    times = [record["made"]["at"], run["started"], run["ended"], *(one["ended"] for one in record["stages"])]
    assert all(MOMENT.fullmatch(time) for time in times)
    assert run["started"] <= run["ended"] <= record["made"]["at"]


def test_a_record_is_of_its_schema(kept: KeptEvidence) -> None:
    jsonschema.validate(json.loads((kept.folder / RECORD).read_text()), SCHEMA)


def test_both_files_are_kept_as_a_public_artifact_and_verified_by_the_stores_key(kept: KeptEvidence) -> None:
    manifest = store.read_manifest(kept.folder)
    assert (manifest["sensitivity"], set(manifest["files"])) == ("public", {RECORD, PAGE})
    store.purge()
    for name in (RECORD, PAGE):
        assert read_evidence(kept.folder / name, own_public_key()) == kept.record
    assert kept.record["key"] == fingerprint(own_public_key())


def test_neither_file_holds_what_is_to_be_forgotten_or_where_things_lie(kept: KeptEvidence, lethe_home: Path) -> None:
    digests = [file.digest[:16] for files in GIVEN.values() for file in files]
    words = ["Velmora", "secret@", "/home/", "/texts", "kept.txt", str(lethe_home), *digests]
    assert Searcher(words).folder(kept.folder) == []
    (kept.folder / "planted").write_text("by Velmora")
    assert Searcher(words).folder(kept.folder) != []  # it is not blind


def shown(record: dict[str, Any]) -> str:
    return re.sub(r"\s+", " ", evidence_page(record))


@pytest.mark.parametrize(("passed", "words"), [(True, "Verdict: passed"), (False, "Verdict: not passed")])
def test_the_page_shows_what_the_record_says(judged: JudgedRun, passed: bool, words: str) -> None:
    figures = {"forget_test/probability": (0.8, 0.123, 0.05), "toxicity/mean": (None, 0.2, None)}
    found = card(figures, passed=passed, **MODELS, **{"toxicity scorer": "lexicon:better_profanity"})
    record = evidence_record(replace(judged, card=found))
    page = shown(record)
    digests = [*MODELS.values(), *record["digests"]["data"]["forget"], record["digests"]["scorecard"]]
    times = [record["made"]["at"], record["run"]["started"], record["stages"][0]["id"]]
    for word in (words, "0.123", "forgotten_gap", "finetune.seed", "2.13.0", "So it is.", *digests, *times):
        assert word in page
    assert page.index(record["digests"]["data"]["forget"][2]) < page.index(record["digests"]["data"]["forget"][10])
    assert not re.search(r"(src|href)=", page)  # nothing is loaded from elsewhere


def test_texts_stay_texts_on_the_page(judged: JudgedRun) -> None:
    found = {**GOLD, "claim": "<script>alert(1)</script>", "limits": ["<b>none</b>"]}
    page = shown(evidence_record(replace(judged, stages=[], card=found)))
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;none" in page


def test_a_record_of_a_run_of_which_little_is_known_is_whole(judged: JudgedRun) -> None:
    bare = {**GOLD, "provenance": {"versions": {}}}
    run = judged.record
    run.data.tags.clear()
    run.data.params.clear()
    run.inputs.dataset_inputs.clear()
    run.info._end_time = None
    record = evidence_record(
        JudgedRun(record=run, stages=[], card=bare, files={"scorecard.json": "a" * 64}, settings={})
    )
    assert (record["run"]["ended"], record["run"]["git_dirty"], record["digests"]["items"]) == (None, None, None)
    whole = {
        "record": {**record, "schema": "lethe.evidence.v1", "page": "b" * 64, "key": "c" * 64},
        "signature": "d" * 128,
    }
    jsonschema.validate(whole, SCHEMA)
    assert "Evidence record" in shown(record)
