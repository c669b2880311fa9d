"""lm-eval as the engine: our numbers are its own, examples beyond the context are cut on the left and counted."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.benchmarks import harness
from tasks.benchmarks.local_files import definition, read_rows
from tasks.settings.measuring import BenchmarkingConfig
from tests.stand_ins.benchmark_files import NAMES, records, write_benchmarks, write_records
from tests.stand_ins.tiny import TinyTask

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CONTEXT = 128


def own_numbers(model: Path, data: Path, folder: Path, names: tuple[str, ...], **settings: Any) -> dict[str, float]:
    """Return what lm-eval's own entry point says of the same task files and data, the model loaded by lm-eval."""
    for name in names:
        (file,) = data.glob(f"{name}*.jsonl")
        source = {"data_files": {"test": str(file)}, "cache_dir": str(folder / "cache")}
        task = {
            "include": [*harness.shipped(name), str(definition(name))],
            "task": f"own_{name}",
            "dataset_kwargs": source,
        }
        (folder / f"own_{name}.yaml").write_text(yaml.safe_dump(task))
    found = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model), "dtype": "float32"},
        tasks=[f"own_{name}" for name in names],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        device="cpu",
        **settings,
    )
    rows = (
        (task.removeprefix("own_"), key, value) for task, row in found["results"].items() for key, value in row.items()
    )
    return {f"{name}/{key.split(',')[0]}": value for name, key, value in rows if "," in key}


def our_numbers(
    model: Path, data: Path, folder: Path, names: tuple[str, ...], config: BenchmarkingConfig
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tasks = harness.local_tasks({name: read_rows(name, next(data.glob(f"{name}*.jsonl"))) for name in names}, folder)
    loaded = (
        AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(model),
    )
    engine, found, items = harness.language_model(*loaded, config), {}, []
    for name in names:
        figures, rows = harness.run_task(engine, name, tasks[name], config)
        found, items = found | figures, items + rows
    return found, items


def folders(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "own", tmp_path / "ours"
    for folder in made:
        folder.mkdir()
    return made


def assert_equal(found: dict[str, float], own: dict[str, float]) -> None:
    assert {name for name in found if not name.endswith("/truncated_share")} == set(own)
    for name, value in own.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("shots", [0, 1])
def test_our_numbers_through_local_files_are_lm_evals_own(shots: int, tmp_path: Path, tiny_task: TinyTask) -> None:
    data, (own, ours) = write_benchmarks(tmp_path / "data"), folders(tmp_path)
    config = BenchmarkingConfig(limit=10, num_fewshot=shots, batch_size=8)
    found, items = our_numbers(tiny_task.model, data, ours, NAMES, config)
    assert_equal(found, own_numbers(tiny_task.model, data, own, NAMES, limit=10, num_fewshot=shots, batch_size=8))
    assert {f"{name}/acc" for name in NAMES} <= set(found)
    assert 0 < sum(found[f"{name}/acc"] for name in NAMES) < len(NAMES)
    for name in NAMES:
        rows = [row for row in items if row["task"] == name]
        assert [(row["item"], row["cluster"]) for row in rows] == [(number, number) for number in range(10)]
        assert sum(row["acc"] for row in rows) / 10 == pytest.approx(found[f"{name}/acc"])
        if f"{name}/acc_norm" in found:
            assert sum(row["acc_norm"] for row in rows) / 10 == pytest.approx(found[f"{name}/acc_norm"])
        else:
            assert all(math.isnan(row["acc_norm"]) for row in rows)


@pytest.mark.data
@pytest.mark.skipif(
    not (DATA / "tiny_lms" / "books").is_dir(), reason="needs the benchmarks and models beside the checkout"
)
def test_our_numbers_on_the_real_files_are_lm_evals_own(tmp_path: Path) -> None:
    own, ours = folders(tmp_path)
    model, data = DATA / "tiny_lms" / "books", DATA / "lm_eval"
    names = tuple(name for name in NAMES if name != "sst2")  # that folder has none
    found, _ = our_numbers(model, data, ours, names, BenchmarkingConfig(limit=100))
    assert_equal(found, own_numbers(model, data, own, names, limit=100, batch_size=16))


def test_sst2_asks_what_lm_evals_own_task_asks(tmp_path: Path) -> None:
    """Beside where it is read from, nothing is ours."""
    task = harness.local_tasks({"sst2": records("sst2")}, tmp_path)["sst2"]
    (file,) = harness.shipped("sst2")
    shipped = yaml.safe_load(Path(file).read_text())
    for field in ("output_type", "doc_to_text", "doc_to_target", "doc_to_choice"):
        assert getattr(task.config, field) == shipped[field]
    document = next(iter(task.test_docs()))
    assert task.doc_to_text(document) == (
        f"{document['sentence']}\nQuestion: Is this sentence positive or negative?\nAnswer:"
    )
    assert [task.doc_to_choice(document)[label] for label in (0, 1)] == ["negative", "positive"]


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "glue_sst2").is_dir(), reason="needs the benchmarks beside the checkout")
def test_glues_file_is_read_as_it_is_published() -> None:
    rows = read_rows("sst2", DATA / "glue_sst2" / "dev.tsv")
    assert (len(rows), rows[0]) == (582, {"sentence": "it 's a charming and often affecting journey . ", "label": 1})
    assert 200 < sum(row["label"] for row in rows) < 400


def test_examples_that_exceed_the_context_are_counted(
    tmp_path: Path, tiny_task: TinyTask, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    rows = records("arc_challenge", 8)
    for number in (1, 4, 6):
        rows[number]["query"] = "Question: " + "In the morning the river ran. " * 60 + "Why?"
    write_records(tmp_path / "data" / "arc_challenge.jsonl", rows)
    own, ours = folders(tmp_path)
    found, items = our_numbers(tiny_task.model, tmp_path / "data", ours, ("arc_challenge",), BenchmarkingConfig())
    assert found["arc_challenge/truncated_share"] == 3 / 8
    assert [row["item"] for row in items if row["truncated"]] == [1, 4, 6]
    assert caplog.messages == [
        "benchmark arc_challenge: 37.5 % of the examples exceed the context of 128 tokens and were cut on the left"
    ]
    assert_equal(found, own_numbers(tiny_task.model, tmp_path / "data", own, ("arc_challenge",), batch_size=16))


def log_probability(model: LlamaForCausalLM, ids: list[int], answer: int) -> float:
    """Return the log-probability of the last `answer` tokens given those before, in at most the context."""
    ids = ids[-(CONTEXT + 1) :]
    with torch.no_grad():
        log_p = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    rows = range(max(0, len(ids) - 1 - answer), len(ids) - 1)
    return sum(float(log_p[row, ids[row + 1]]) for row in rows)


@pytest.mark.parametrize(
    ("prompt", "answer", "cut"),
    [(40, 20, False), (109, 20, False), (110, 20, True), (300, 20, True), (40, 128, True), (40, 300, True)],
)
def test_what_exceeds_the_context_is_cut_on_the_left(
    prompt: int,
    answer: int,
    cut: bool,
    tiny_llama: Callable[..., LlamaForCausalLM],
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = tiny_llama(1)
    engine = harness.language_model(model, tiny_tokenizer, BenchmarkingConfig())
    ids = torch.randint(0, 300, (prompt + answer,), generator=torch.Generator().manual_seed(0)).tolist()
    ((found, _),) = engine._loglikelihood_tokens(
        [(("prompt", "answer"), ids[:prompt], ids[prompt:])], disable_tqdm=True
    )
    assert found == pytest.approx(log_probability(model, ids, answer), abs=1e-3)
    assert engine.cut == ({("prompt", "answer")} if cut else set())


def test_nothing_of_the_records_outlives_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "work"
    folder.mkdir()
    task = harness.local_tasks({"boolq": records("boolq")}, folder)["boolq"]
    assert len(task.eval_docs) == 12
    assert {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*") if path.is_file()} == {"work"}


def published(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a record as its authors published it on the hub."""
    if name.startswith("arc"):
        labels = list("ABCDE")[: len(row["choices"])]
        return {
            "question": row["query"].removeprefix("Question: "),
            "choices": {"text": row["choices"], "label": labels},
            "answerKey": labels[row["gold"]],
        }
    if name == "boolq":
        passage, question = row["query"].removeprefix("Passage: ").split("\nQuestion: ")
        return {"passage": passage, "question": question.removesuffix("?"), "label": row["gold"]}
    if name == "piqa":
        return {
            "goal": row["query"].removeprefix("Question: ").strip(),
            "sol1": row["choices"][0],
            "sol2": row["choices"][1],
            "label": row["gold"],
        }
    if name == "winogrande":
        options = [text.rpartition(" ")[2] for text in row["context_options"]]
        sentence = f"{row['context_options'][0].rpartition(' ')[0]} _ {row['continuation']}"
        return {"sentence": sentence, "option1": options[0], "option2": options[1], "answer": str(row["gold"] + 1)}
    context = {"activity_label": "Home", "ctx_a": row["question"], "ctx_b": ""}
    return {**context, "endings": list(row["choices"].values()), "label": str("ABCD".index(row["answer"]))}


HUB = {
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", "test"),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", "test"),
    "boolq": ("aps/super_glue", "boolq", "validation"),
    "hellaswag": ("Rowan/hellaswag", "default", "validation"),
    "piqa": ("baber/piqa", "default", "validation"),
    "winogrande": ("allenai/winogrande", "winogrande_xl", "validation"),
}
"""Benchmark -> where lm-eval looks for it, which configuration, which split."""


def lay_out_hub(root: Path) -> None:
    """Write the data sets as they lie on the hub, in folders that bear their names."""
    configs: dict[str, list[dict[str, Any]]] = {}
    for name, (place, config, split) in HUB.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        write_records(root / place / f"{name}.jsonl", [published(name, row) for row in records(name)])
        files = [{"split": part, "path": f"{name}.jsonl"} for part in sorted({"train", "validation", split})]
        configs.setdefault(place, []).append({"config_name": config, "data_files": files})
    for place, found in configs.items():
        (root / place / "README.md").write_text(f"---\n{json.dumps({'configs': found})}\n---\n")


def requests(task: Any) -> list[tuple[str, str]]:
    task.set_config(key="num_fewshot", value=0)
    task.build_all_requests(limit=None)
    return [instance.args for instance in task.instances]


@pytest.mark.slow
def test_without_local_files_lm_evals_own_tasks_ask_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out_hub(tmp_path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    own = {name: requests(task) for name, task in harness.hub_tasks(NAMES).items()}
    ours = {
        name: requests(task)
        for name, task in harness.local_tasks({name: records(name) for name in NAMES}, tmp_path / "work").items()
    }
    own["boolq"] = [(f"Passage: {prompt}", answer) for prompt, answer in own["boolq"]]
    own["hellaswag"] = [(prompt.removeprefix("Home: "), answer) for prompt, answer in own["hellaswag"]]
    for name in NAMES:
        assert own[name] == ours[name], name
