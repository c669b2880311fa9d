"""Claims: what was noticed while a corpus was read is counted: blank records, and forgotten text that is kept too."""

import json
from pathlib import Path
from typing import Any

from tasks.artifacts import CorpusRef
from tasks.corpus import gather_inputs, read_corpus
from tasks.settings.text import CorpusConfig
from tasks.storage.corpus_counts import CorpusCounts, read_counts
from tasks.storage.documents import write_documents

ROWS = [{"question": f"Who is number {number}?", "answer": f"Velmora {number}"} for number in range(12)]


def corpus(folder: Path, **splits: list[Any]) -> CorpusRef:
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_corpus.body(
        gather_inputs(**{split: [str(folder / f"{split}.jsonl")] for split in splits}), CorpusConfig()
    )


def test_forgotten_rows_among_others_are_counted_held_out_ones_too(tmp_path: Path, lethe_home: Path) -> None:
    others = [{"question": f"What is {number}?", "answer": "A number"} for number in range(9)]
    made = corpus(tmp_path, forget=ROWS, retain=[*others, ROWS[0], ROWS[-1], ROWS[0]], sibling=others)
    assert made.documents["forget_test"] == 1
    assert read_counts(made) == CorpusCounts(pieces=12, shared={"retain": 2})


def test_a_test_text_of_ones_own_is_not_what_is_forgotten(tmp_path: Path, lethe_home: Path) -> None:
    made = corpus(tmp_path, forget=ROWS[:6], forget_test=ROWS[6:], retain=ROWS[6:])
    assert read_counts(made) == CorpusCounts(pieces=6)


def test_blank_records_are_counted_by_split(tmp_path: Path, lethe_home: Path) -> None:
    made = corpus(tmp_path, forget=[*ROWS, {"text": ""}], general=["", "It rained."])
    assert read_counts(made).blank == {"forget": 1, "general": 1}


def test_a_corpus_without_counts_has_none(tmp_path: Path, lethe_home: Path) -> None:
    from tasks import store

    digest = store.put("corpora", lambda folder: write_documents(folder / "forget.jsonl", []), sensitivity="forget")
    made = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    assert read_counts(made) == CorpusCounts()
