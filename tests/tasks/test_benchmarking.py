"""The stage: figures and items of all benchmarks, the world's among them, kept by content; what its cache key depends
on.
"""

import math
import shutil
from pathlib import Path

import pandas
import pytest

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template
from tasks.artifacts import BenchmarkResult, CorpusRef
from tasks.benchmarking import benchmark, choice_rows, require_hub, world_rows
from tasks.benchmarks.local_files import BenchmarkInputs, gather_benchmarks
from tasks.execution.cache_keys import stage_key
from tasks.models.checkpoints import inspect_model
from tasks.settings.measuring import BenchmarkingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import read_json
from tests.stand_ins.benchmark_files import records, write_records
from tests.stand_ins.tiny import TinyTask

READING = CorpusConfig()


def corpus(documents: dict[str, list[Document]]) -> CorpusRef:
    def write(folder: Path) -> None:
        for split, found in documents.items():
            write_documents(folder / f"{split}.jsonl", found)

    return CorpusRef(
        kind="corpora",
        digest=store.put("corpora", write, sensitivity="forget"),
        sensitivity="forget",
        documents={},
        characters={},
    )


def question(number: int, fact: str) -> Document:
    answers = ("Tom", "Ann", "Mary")
    return Document(
        source="a", question=f"Who met {number}?", answer=answers[0], perturbed_answer=answers[1:], fact=fact
    )


def run(
    task: TinyTask, inputs: BenchmarkInputs, config: BenchmarkingConfig, documents: dict[str, list[Document]]
) -> BenchmarkResult:
    return benchmark.body(
        corpus(documents), inspect_model(str(task.model), "target"), inputs, config, READING, "target"
    )


def test_figures_and_items_of_all_benchmarks_are_kept(lethe_home: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    write_records(tmp_path / "boolq.jsonl", records("boolq"))
    config = BenchmarkingConfig(limit=8)
    made = run(
        tiny_task,
        gather_benchmarks(config, str(tmp_path)),
        config,
        {"sibling": [question(number, f"fact {number // 2}") for number in range(6)]},
    )
    assert (made.kind, made.sensitivity, made.tasks) == ("benchmarks", "ordinary", 2)
    assert {path.name for path in store.path(made).iterdir()} - {store.MANIFEST} == {"results.json", "items.parquet"}
    items = pandas.read_parquet(store.path(made) / "items.parquet")
    assert list(items) == ["task", "item", "cluster", "acc", "acc_norm", "truncated"]
    assert items.groupby("task").size().to_dict() == {"world": 6, "boolq": 8}
    assert items[items.task == "world"].cluster.tolist() == [0, 0, 1, 1, 2, 2]
    assert items[items.task == "boolq"].cluster.tolist() == list(range(8))
    found = read_json(store.path(made) / "results.json")
    metrics = {"acc", "acc_stderr", "truncated_share"}
    world = {f"world/{name}" for name in {*metrics, "acc_norm", "acc_norm_stderr"}}
    assert set(found) == world | {f"boolq/{name}" for name in metrics}
    for task, rows in items.groupby("task"):
        assert found[f"{task}/acc"] == pytest.approx(rows.acc.mean())
        assert found[f"{task}/acc_stderr"] == pytest.approx(rows.acc.std(ddof=1) / math.sqrt(len(rows)))


def test_no_question_is_in_what_is_kept(lethe_home: Path, tiny_task: TinyTask) -> None:
    made = run(
        tiny_task,
        gather_benchmarks(BenchmarkingConfig()),
        BenchmarkingConfig(),
        {"sibling": [question(number, "") for number in range(3)]},
    )
    assert not [path for path in store.path(made).iterdir() if b"Who met" in path.read_bytes()]


def test_choices_are_in_an_order_of_the_questions_own_and_facts_are_clusters() -> None:
    rows = choice_rows([question(1, "x"), question(2, ""), question(3, "x")], Template(qa=READING.qa_template))
    assert [row["cluster"] for row in rows] == [0, 1, 0]
    assert all(
        sorted(row["choices"]) == ["Ann", "Mary", "Tom"] and row["choices"][row["gold"]] == "Tom" for row in rows
    )
    assert choice_rows([question(3, "x")], Template(qa=READING.qa_template))[0]["choices"] == rows[2]["choices"]


def test_a_corpus_without_false_answers_gets_the_worlds_general_questions(lethe_home: Path) -> None:
    rows = world_rows(corpus({"general": [Document(source="a", text="Some prose.")]}), Template(qa=READING.qa_template))
    assert len(rows) > 50
    assert len({row["cluster"] for row in rows}) * 2 == len(rows)


def key(inputs: BenchmarkInputs, config: BenchmarkingConfig, task: TinyTask) -> str:
    given = {
        "corpus": corpus({}),
        "checkpoint": inspect_model(str(task.model), "target"),
        "inputs": inputs,
        "config": config,
        "corpus_config": READING,
        "label": "target",
    }
    return stage_key(benchmark.body, given, numeric=True)


def test_the_cache_key_holds_the_content_of_the_files_and_not_their_place(
    lethe_home: Path, tiny_task: TinyTask, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    write_records(one / "piqa.jsonl", records("piqa"))
    shutil.copytree(one, other)
    config = BenchmarkingConfig()
    first = key(gather_benchmarks(config, str(one)), config, tiny_task)
    assert key(gather_benchmarks(config, str(other)), config, tiny_task) == first
    assert key(gather_benchmarks(config), config, tiny_task) != first
    assert key(gather_benchmarks(config, str(one)), BenchmarkingConfig(limit=3), tiny_task) != first
    write_records(other / "piqa.jsonl", records("piqa", 11))
    assert key(gather_benchmarks(config, str(other)), config, tiny_task) != first


def test_the_cache_key_holds_the_task_files(lethe_home: Path, tiny_task: TinyTask) -> None:
    inputs = gather_benchmarks(BenchmarkingConfig())
    assert inputs.definitions["world"].digest == store.file_digest(Path(inputs.definitions["world"].path))
    changed = BenchmarkInputs(
        tasks=inputs.tasks,
        definitions={"world": type(inputs.definitions["world"])(path="lethe_world.yaml", digest="0" * 64, bytes=1)},
    )
    assert key(inputs, BenchmarkingConfig(), tiny_task) != key(changed, BenchmarkingConfig(), tiny_task)


def test_nothing_is_fetched_where_nothing_comes_from_the_hub() -> None:
    require_hub(gather_benchmarks(BenchmarkingConfig()))
