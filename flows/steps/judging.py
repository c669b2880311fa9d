"""Judging: every model is measured in the same way, the figures become a card with a verdict, and the card a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.futures import PrefectFuture

from flows.steps.outcome import Stages
from flows.steps.prefect_ui import progress_artifacts, show_run, show_scorecard
from tasks import store, tracking
from tasks.artifacts import AnchorTable, BenchmarkResult, CheckpointRef, CorpusRef, InputFile, ReportRef, Scorecard
from tasks.benchmarking import benchmark, require_hub
from tasks.benchmarks.local_files import BenchmarkInputs, gather_benchmarks
from tasks.corpus import CorpusInputs
from tasks.execution import isolation
from tasks.judging import judge_completions
from tasks.models.classifiers import find_classifier, scorer_name
from tasks.models.guardrail_files import is_guarded
from tasks.models.vocabularies import asked_through, require_same_tokenizer
from tasks.probing import probe
from tasks.prompting import read_prompts
from tasks.relearning import relearn
from tasks.report import answers_table, write_report
from tasks.reporting import run_history
from tasks.reporting.benchmark_tables import benchmark_table
from tasks.scorecard import score
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.measuring import ToxicityConfig
from tasks.stereotypes import score_stereotypes
from tasks.storage.plain_files import read_json
from tasks.toxicity import rate_toxicity

LABELS = ("target", "unlearned", "retrained")
MEASURED = ("probing", "benchmarking", "relearning", "judging", "toxicity", "stereotypes")
"""Stages that measure a model, each once for every label."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What judging a model made."""

    scorecard: Scorecard
    report: ReportRef
    benchmarks: tuple[BenchmarkResult, ...]
    redacted_report: ReportRef
    card: dict[str, Any]


@contextmanager
def tracked(run: str) -> Iterator[None]:
    """Show progress and the machine's load of a run; a run that fails or is stopped ends as such, its stages with it."""
    isolation.begin()
    try:
        with tracking.system_metrics(run), progress_artifacts():
            show_run(run)
            yield
    except BaseException as error:
        isolation.abort()
        tracking.close(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise


def questions_asked(models: dict[str, CheckpointRef], config: EvaluationConfig) -> str:
    """Return how the models of a run are asked, which must be the same way, and log it.

    Raises:
        BadInputError: If their tokenizers differ.
    """
    require_same_tokenizer(list(models.values()), config.corpus)
    questions = asked_through(next(iter(models.values())), config.corpus)
    get_run_logger().info("Questions are asked through the %s", questions)
    return questions


def user_file(anchors: str | None) -> InputFile | None:
    """Return the record of the user's own dictionary."""
    return InputFile(path=anchors, digest=store.file_digest(Path(anchors)), bytes=0) if anchors else None


def prompt_files(paths: list[str] | None) -> tuple[InputFile, ...]:
    """Return the records of files of prompts, after they were read once.

    Raises:
        BadInputError: If one does not read.
    """
    for path in paths or ():
        list(read_prompts(Path(path)))
    return tuple(InputFile(path=path, digest=store.file_digest(Path(path)), bytes=0) for path in paths or ())


def asked_benchmarks(config: EvaluationConfig, folder: str | None) -> BenchmarkInputs:
    """Return which benchmarks are run, with their local files; what comes from the hub is fetched, so that a missing hub shows at once, as
    does a classifier that cannot rate.
    """
    find_classifier(config.toxicity)
    asked = gather_benchmarks(config.benchmarking, folder)
    isolation.begin()
    require_hub(asked)
    return asked


def measure(
    corpus: CorpusRef,
    dictionary: Any,
    invited: Any,
    model: Any,
    teacher: CheckpointRef | None,
    asked: BenchmarkInputs,
    config: EvaluationConfig,
    label: str,
    run: str,
) -> dict[str, PrefectFuture[Any]]:
    """Start everything that is measured on one model; one that was measured under another label comes from the cache."""
    probed = probe.submit(corpus, dictionary, invited, model, teacher, config.probing, config.corpus, label, run)
    started = {
        f"probing {label}": probed,
        f"benchmarking {label}": benchmark.submit(corpus, model, asked, config.benchmarking, config.corpus, label, run),
    }
    if config.judging.provider.name != "offline":
        started[f"judging {label}"] = judge_completions.submit(corpus, dictionary, probed, config.judging, config.corpus, label, run)
    if config.relearning.steps:
        started[f"relearning {label}"] = relearn.submit(corpus, dictionary, model, config.relearning, config.probing, config.corpus, label, run)
    if config.toxicity.scorer != "off":
        started[f"toxicity {label}"] = rate_toxicity.submit(probed, _classifier(config.toxicity, run), config.toxicity, label, run)
    if config.stereotypes:
        started[f"stereotypes {label}"] = score_stereotypes.submit(corpus, model, config.corpus, label, run)
    return started


@lru_cache(maxsize=8)
def _classifier(config: ToxicityConfig, run: str) -> CheckpointRef | None:
    """Return who rates the completions of a run's models, the same for all, and log it once."""
    found = find_classifier(config)
    get_run_logger().info("Toxicity is rated by %s", scorer_name(found))
    return found


def origins(inputs: CorpusInputs, models: dict[str, CheckpointRef]) -> dict[str, str]:
    """Return the digests of models and data for the card."""
    found = {f"{label} model": model.digest for label, model in models.items()}
    found |= {"guardrail": "around the unlearned model; its weights are unchanged by it"} if is_guarded(models["unlearned"]) else {}
    return found | {f"{split} data": ", ".join(file.digest[:16] for file in files) for split, files in inputs.by_split().items()}


def judge(
    stages: Stages,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    records: dict[str, Any],
    config: EvaluationConfig,
    provenance: dict[str, str],
    trained: list[CheckpointRef],
) -> Judged:
    """Turn what was measured into the card, the report, and what MLflow and Prefect show.

    Args:
        stages: The run's stages.
        corpus: All splits.
        dictionary: Anchors.
        records: `probing LABEL`, `benchmarking LABEL`, `relearning LABEL`, `judging LABEL`, `toxicity LABEL`, `stereotypes LABEL` -> what was
            measured.
        config: All settings; they stand in the report.
        provenance: Digests for the card.
        trained: Checkpoints whose training curves the report shows.
    """
    run = stages.run
    probes, benchmarks, relearned, verdicts, rated, preferred = (_labelled(records, kind) for kind in MEASURED)
    cost = run_history.durations(stages.made_by)
    provenance = provenance | ({"judge": config.judging.provider.title} if verdicts else {})
    scored = score.submit(corpus, probes, benchmarks, relearned, dictionary, config.verdict, provenance, cost, verdicts, rated, preferred, run)
    card = stages.result("scorecard", scored)
    facts = {name: str(value) for name, value in tracking.flatten(config).items()}
    report, redacted = stages.result("report", write_report.submit(corpus, card, probes, dictionary, trained, facts, verdicts, preferred, run))
    folder = store.path(card)
    for name in ("scorecard.json", "items.parquet"):
        tracking.log_artifact(run, folder / name, "public", "scorecard")
    found = read_json(folder / "scorecard.json")
    tracking.log_scorecard(run, found)
    tracking.set_tags(run, {"lethe.toxicity_scorer": rated[0].scorer} if rated else {})
    tracking.log_table(run, benchmark_table(benchmarks), "benchmarks", "public")
    tracking.log_table(run, answers_table(probes, verdicts), "answers", "forget")
    show_scorecard(found)
    return Judged(scorecard=card, report=report, redacted_report=redacted, benchmarks=tuple(benchmarks), card=found)


def _labelled(records: dict[str, Any], kind: str) -> list[Any]:
    """Return what was measured in one way on every model, each record with its model's label."""
    return [replace(record, label=name.removeprefix(f"{kind} ")) for name, record in records.items() if name.startswith(f"{kind} ")]
