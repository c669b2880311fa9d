"""Stage `benchmarking`: multiple-choice accuracy of one model through lm-eval, from a local task file.

The questions are those of the corpus that are to be kept and have false answers; a corpus without any gets the embedded world's
questions about planets and ordinary people, which say whether a model's general ability has moved.
"""

import contextlib
import io
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from tasks import checkpoints, formats, progress, store, tracking, vocabularies
from tasks.algorithms.chat import Template
from tasks.algorithms.corpus import CorpusConfig, Document
from tasks.algorithms.world.generator import WorldConfig, build_world
from tasks.artifacts import BenchmarkResult, CheckpointRef, CorpusRef
from tasks.stage import stage

TASK = "lethe_world"
TASK_FILE = Path(__file__).parent / "benchmarks" / f"{TASK}.yaml"
KEPT = ("retain_test", "sibling", "general")


@stage("benchmarking", threads_share=2)
def benchmark(corpus: CorpusRef, checkpoint: CheckpointRef, reading: CorpusConfig, label: str, run: str | None = None) -> BenchmarkResult:
    """Run the benchmark on one model."""
    with tracking.stage_run(run, f"benchmarking {label}") as nested:
        questions = [item for split in KEPT for item in formats.read_documents(corpus, split) if item.is_question and item.perturbed_answer]
        template = vocabularies.question_template(checkpoints.load_tokenizer(checkpoint), reading)
        rows = choice_rows(questions or _general_questions(), template)
        progress.report(0, 1)
        found = _evaluate(checkpoint, rows, template)
        digest = store.put("benchmarks", lambda folder: formats.write_json(folder / "results.json", found), sensitivity="ordinary")
        tracking.log_metrics(nested, {f"benchmark/{name}": value for name, value in found.items()})
        progress.report(1, 1)
        return BenchmarkResult(kind="benchmarks", digest=digest, sensitivity="ordinary", origin=nested or "", tasks=1)


def _general_questions() -> list[Document]:
    world = build_world(WorldConfig())
    asked = [question for topic in (world.ordinary, world.planets) for question in topic.exam]
    return [
        Document(source="world", question=item.question, answer=item.answer, perturbed_answer=tuple(item.perturbed_answer), fact=item.fact) for item in asked
    ]


def choice_rows(questions: list[Document], template: Template) -> list[dict[str, Any]]:
    """Return lm-eval records: the true answer among the false ones, in an order that depends on the question alone."""
    rows = []
    for item in questions:
        choices = [item.answer, *item.perturbed_answer]
        random.Random(item.question).shuffle(choices)
        rows.append({"prompt": template.prompt(item), "choices": choices, "gold": choices.index(item.answer)})
    return rows


def _evaluate(checkpoint: CheckpointRef, rows: list[dict[str, Any]], template: Template) -> dict[str, float]:
    """Return task/metric -> value, and task/metric_stderr -> its standard error."""
    delimiter = "" if template.gap is None else f"target_delimiter: {json.dumps(template.gap)}\n"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder  # the questions must not outlive the stage
        data, task_file = Path(folder) / "test.jsonl", Path(folder) / "tasks" / f"{TASK}.yaml"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        task_file.parent.mkdir()
        task_file.write_text(f"include: {TASK_FILE}\ntask: {TASK}\n{delimiter}dataset_kwargs:\n  cache_dir: {folder}/cache\n  data_files:\n    test: {data}\n")
        return _run_task(checkpoint, task_file.parent, template)


def _run_task(checkpoint: CheckpointRef, task_folder: Path, template: Template) -> dict[str, float]:
    """Let lm-eval run the task; its `simple_evaluate` would also list every installed package, which takes longer than the task."""
    import datasets
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager, get_task_dict

    datasets.disable_progress_bars()
    loaded, tokenizer = checkpoints.load_model(checkpoint), checkpoints.load_tokenizer(checkpoint)
    model = HFLM(pretrained=loaded, tokenizer=tokenizer, batch_size=64, add_bos_token=False if template.chat else None)  # a chat template writes its own
    manager = TaskManager(include_path=str(task_folder), include_defaults=False)
    with contextlib.redirect_stderr(io.StringIO()):  # its bars would break ours
        results = evaluate(model, get_task_dict([TASK], manager))
    found = {name.split(",")[0]: value for name, value in results["results"][TASK].items() if isinstance(value, float)}
    return {f"world/{name}": float(value) for name, value in found.items()}
