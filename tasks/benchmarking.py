"""Stage `benchmarking`: multiple-choice accuracy of one model through lm-eval, in all and item by item.

The embedded world's benchmark asks the questions of the corpus that are to be kept and have false answers; a corpus
without any gets the world's questions about planets and ordinary people, which say whether a model's general ability
has moved. The other benchmarks are read from local files, or by lm-eval from the hub.
"""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.world.generator import WorldConfig, build_world
from tasks.artifacts import BenchmarkResult, CheckpointRef, CorpusRef
from tasks.benchmarks.local_files import WORLD, BenchmarkInputs, read_rows
from tasks.execution import isolation, progress
from tasks.execution.stage import stage
from tasks.models import guardrail_files, vocabularies
from tasks.models.loading import load_tokenizer
from tasks.settings.measuring import BenchmarkingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import write_json

if TYPE_CHECKING:
    from tasks.algorithms.tokens.templates import Template

KEPT = ("retain_test", "sibling", "general")
HUB_TIMEOUT_S = 3600.0
Item = dict[str, Any]


@stage("benchmarking", threads_share=2)
def benchmark(
    corpus: CorpusRef,
    checkpoint: CheckpointRef,
    inputs: BenchmarkInputs,
    config: BenchmarkingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> BenchmarkResult:
    """Run the benchmarks on one model."""
    with tracking.stage_run(run, f"benchmarking {label}", config) as nested:
        rows = {name: read_rows(name, Path(file.path)) for name, file in inputs.files.items()}
        template = vocabularies.question_template(load_tokenizer(checkpoint), corpus_config)
        rows |= {WORLD: world_rows(corpus, template)} if WORLD in inputs.tasks else {}
        metrics, items = _evaluate(checkpoint, inputs, rows, template, config)
        digest = store.put("benchmarks", lambda folder: _write(folder, metrics, items), sensitivity="ordinary")
        tracking.log_metrics(nested, {f"benchmark/{name}": value for name, value in metrics.items()})
        return BenchmarkResult(
            kind="benchmarks", digest=digest, sensitivity="ordinary", origin=nested or "", tasks=len(inputs.tasks)
        )


def world_rows(corpus: CorpusRef, template: "Template") -> list[dict[str, Any]]:
    """Return the records of the embedded world's benchmark."""
    questions = [
        item for split in KEPT for item in read_documents(corpus, split) if item.is_question and item.perturbed_answer
    ]
    return choice_rows(questions or _general_questions(), template)


def _general_questions() -> list[Document]:
    world = build_world(WorldConfig())
    questions = [question for topic in (world.ordinary, world.planets) for question in topic.exam]
    return [
        Document(
            source="world",
            question=item.question,
            answer=item.answer,
            perturbed_answer=tuple(item.perturbed_answer),
            fact=item.fact,
        )
        for item in questions
    ]


def choice_rows(questions: list[Document], template: "Template") -> list[dict[str, Any]]:
    """Return lm-eval records: the true answer among the false ones, in an order that depends on the question alone;
    questions that ask for one fact are a cluster.
    """
    rows, clusters = [], {}
    for item in questions:
        choices = [item.answer, *item.perturbed_answer]
        random.Random(item.question).shuffle(choices)
        cluster = clusters.setdefault(item.fact or item.question, len(clusters))
        rows.append(
            {
                "prompt": template.prompt(item),
                "choices": choices,
                "gold": choices.index(item.answer),
                "cluster": cluster,
            }
        )
    return rows


def _evaluate(
    checkpoint: CheckpointRef,
    inputs: BenchmarkInputs,
    rows: dict[str, Any],
    template: "Template",
    config: BenchmarkingConfig,
) -> tuple[dict[str, float], list[Item]]:
    """Return the metrics of all benchmarks, and all items; only the world's are asked through the model's
    own template.
    """
    from tasks.benchmarks import harness

    metrics, items = {}, []
    progress.report(0, len(inputs.tasks))
    with store.scratch() as folder:  # the world's questions are about what is to be forgotten
        tasks = harness.local_tasks(rows, folder, {WORLD: template.gap}) | harness.hub_tasks(inputs.from_hub)
        loaded, tokenizer = guardrail_files.load_behind_guardrail(checkpoint), load_tokenizer(checkpoint)
        for done, name in enumerate(inputs.tasks, 1):
            model = harness.language_model(loaded, tokenizer, config, begins=name == WORLD and template.chat)
            figures, answered = harness.run_task(model, name, tasks[name], config)
            metrics, items = metrics | figures, items + answered
            progress.report(done, len(inputs.tasks))
    return metrics, items


def _write(folder: Path, figures: dict[str, float], items: list[Item]) -> None:
    import pandas

    write_json(folder / "results.json", figures)
    pandas.DataFrame(items).to_parquet(folder / "items.parquet", index=False)


def require_hub(inputs: BenchmarkInputs) -> None:
    """Fetch what comes from the hub, in a process of its own, so that a run without a hub fails before it trains
    anything.

    Raises:
        BadInputError: If the hub does not give the data of a benchmark.
    """
    if inputs.from_hub:
        arguments = {"names": inputs.from_hub}
        isolation.run_isolated(
            fetch_from_hub, arguments, stage="benchmark data", key=None, threads=1, timeout_s=HUB_TIMEOUT_S
        )


def fetch_from_hub(names: tuple[str, ...]) -> None:
    """Load lm-eval's own tasks, which keeps their data in the hub's local cache."""
    from tasks.benchmarks import harness

    progress.report(0, 1)
    harness.hub_tasks(names)
    progress.report(1, 1)
