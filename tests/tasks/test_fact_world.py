"""Claims: the stage writes the world's files: all facts, an edit of each, text of which training reads none."""

import csv
from pathlib import Path

import pytest

from tasks import store
from tasks.algorithms.world.fact_edits import case_studies, edit_requests
from tasks.algorithms.world.fact_text import FactText
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.artifacts import FactWorldRef
from tasks.fact_world import CASES, FACTS, TEXTS, write_fact_world
from tasks.storage.documents import read_documents
from tasks.storage.edit_files import read_edits
from tests.stand_ins.facts import SMALL_WORLD

WORLD = build_fact_world(SMALL_WORLD)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[FactWorldRef, Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(store, "_checked", set())
        ref = write_fact_world.body(SMALL_WORLD)
        folder = store.path(ref)
    return ref, folder


def test_every_fact_is_edited_once(written: tuple[FactWorldRef, Path]) -> None:
    ref, folder = written
    assert read_edits(folder / "edits.jsonl") == edit_requests(WORLD)
    assert read_edits(folder / "edits_tuning.jsonl") == edit_requests(WORLD, purpose="tuning")
    assert ref.edits == {
        file: len((folder / file).read_text().splitlines()) for file in ("edits.jsonl", "edits_tuning.jsonl")
    }
    assert sum(ref.edits.values()) == sum(" " in fact.subject.name for fact in WORLD.facts)
    assert read_edits(folder / CASES) == case_studies(WORLD)


def test_all_facts_are_listed(written: tuple[FactWorldRef, Path]) -> None:
    ref, folder = written
    with (folder / FACTS).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["fact"], row["object"]) for row in rows] == [(fact.key, fact.object) for fact in WORLD.facts]
    assert ref.facts == len(rows)


def test_the_text_is_none_that_training_reads(written: tuple[FactWorldRef, Path], monkeypatch) -> None:
    ref, folder = written
    monkeypatch.setattr(store, "path", lambda ref: folder)
    text = FactText(WORLD)
    for split, (seed, count) in TEXTS.items():
        documents = read_documents(ref, split)
        assert len(documents) == count
        assert documents[3].text == text.document(3, seed).text != text.document(3, 0).text


def test_it_may_hold_what_is_to_be_forgotten(written: tuple[FactWorldRef, Path]) -> None:
    assert written[0].sensitivity == "forget"
