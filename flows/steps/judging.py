"""Judging: every model is measured in the same way, the figures become a card with a verdict, and the card a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import Pause

from flows.steps import forms
from flows.steps.dead_flow_runs import end_dead
from flows.steps.outcome import StageOf, Stages
from flows.steps.prefect_ui import progress_artifacts, show_report, show_run, show_scorecard
from flows.steps.registering import report_places, tell_verdict
from flows.steps.request import CheckedRequest
from flows.steps.wiring import DICTIONARY, Call
from tasks import store, tracking
from tasks.artifacts import AnchorTable, BenchmarkResult, CheckpointRef, CorpusRef, ReportRef, Scorecard
from tasks.benchmarking import benchmark
from tasks.corpus import CorpusInputs
from tasks.execution import isolation
from tasks.judging import judge_completions
from tasks.models.classifiers import find_classifier, scorer_name
from tasks.models.guardrail_files import has_guardrail
from tasks.models.vocabularies import question_form, require_same_tokenizer
from tasks.probing import probe
from tasks.relearning import relearn, relearn_retained
from tasks.report import answers_table, write_report
from tasks.reporting import run_history
from tasks.reporting.benchmark_tables import benchmark_table
from tasks.reporting.run_tables import LEFT
from tasks.rounding import score_rounded
from tasks.scorecard import score
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.measuring import ToxicityConfig
from tasks.stereotypes import score_stereotypes
from tasks.storage.plain_files import read_json
from tasks.toxicity import rate_toxicity

LABELS = ("target", "unlearned", "retrained")
MEASURED = (
    "probing",
    "benchmarking",
    "relearning",
    "relearning on retain text",
    "judging",
    "toxicity",
    "stereotypes",
    "rounding",
)
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
    """Show progress and the machine's load of a run; a run that fails or is stopped ends as such, its stages
    with it. One that is suspended waits, and the stages that it has begun go on to their end.
    """
    isolation.begin()
    try:
        forms.clear_ended()
        end_dead()
        with tracking.system_metrics(run), progress_artifacts():
            show_run(run)
            yield
    except Pause:
        tracking.suspend(run)
        raise
    except BaseException as error:
        isolation.abort()
        tracking.close_after(error, run)
        raise


def log_questions(models: dict[str, CheckpointRef], config: EvaluationConfig) -> str:
    """Return how the models of a run are asked, which must be the same way, and log it.

    Raises:
        BadInputError: If their tokenizers differ.
    """
    require_same_tokenizer(list(models.values()), config.corpus)
    questions = question_form(next(iter(models.values())), config.corpus)
    get_run_logger().info("Questions are asked through the %s", questions)
    return questions


def measure(
    corpus: CorpusRef,
    invited: Call,
    model: CheckpointRef | Call,
    request: CheckedRequest,
    label: str,
    run: str,
    *,
    benchmarked: bool = True,
) -> list[Call]:
    """Declare everything that is measured on one model; one that was measured under another label comes from the cache.

    Args:
        corpus: All splits.
        invited: Makes the prompts.
        model: The model, or the call that makes it.
        request: Settings, benchmarks, and the target model, which rates completions.
        label: What to call the model.
        run: The tracked run.
        benchmarked: Whether benchmarks are run too, which no verdict looks at.
    """
    config, target = request.config, request.models.get("target")
    corpus_config = config.corpus
    probed = Call(probe, corpus, DICTIONARY, invited, model, target, config.probing, corpus_config, model=label)
    calls = [probed]
    if benchmarked:
        calls.append(
            Call(benchmark, corpus, model, request.benchmarks, config.benchmarking, corpus_config, model=label)
        )
    if config.judging.provider.name != "offline":
        calls.append(Call(judge_completions, corpus, DICTIONARY, probed, config.judging, corpus_config, model=label))
    for text in config.relearning.texts if config.relearning.steps else ():
        if text in corpus.documents:
            again = {"forget": relearn, "retain": relearn_retained}[text]
            taught = (corpus, DICTIONARY, model, config.relearning, config.probing, corpus_config)
            calls.append(Call(again, *taught, model=label))
    if config.rounding.bits and _largest(request) >= config.rounding.least_parameters:
        calls.append(
            Call(score_rounded, corpus, DICTIONARY, model, config.rounding, config.probing, corpus_config, model=label)
        )
    if config.toxicity.scorer != "off":
        calls.append(Call(rate_toxicity, probed, _classifier(config.toxicity, run), config.toxicity, model=label))
    if config.stereotypes:
        calls.append(Call(score_stereotypes, corpus, model, corpus_config, model=label))
    return calls


def _largest(request: CheckedRequest) -> int:
    """Return the parameters of the models that were given: all of a run are of one size."""
    return max(model.parameters for model in request.models.values())


@lru_cache(maxsize=8)
def _classifier(config: ToxicityConfig, run: str) -> CheckpointRef | None:
    """Return who rates the completions of a run's models, the same for all, and log it once."""
    classifier = find_classifier(config)
    get_run_logger().info("Toxicity is rated by %s", scorer_name(classifier))
    return classifier


def origins(inputs: CorpusInputs, models: dict[str, CheckpointRef]) -> dict[str, str]:
    """Return the digests of models and data for the card."""
    digests = {f"{label} model": model.digest for label, model in models.items()}
    digests |= (
        {"guardrail": "around the unlearned model; its weights are unchanged by it"}
        if has_guardrail(models["unlearned"])
        else {}
    )
    return digests | {
        f"{split} data": ", ".join(store.keyed(file.digest)[:16] for file in files)
        for split, files in inputs.by_split().items()
    }


def judge(
    stages: Stages,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    records: dict[StageOf, Any],
    config: EvaluationConfig,
    provenance: dict[str, str],
    trained: list[CheckpointRef],
    vocabulary: int,
) -> Judged:
    """Turn what was measured into the card, the report, and what MLflow and Prefect show.

    Args:
        stages: The run's stages.
        corpus: All splits.
        dictionary: Anchors.
        records: What stages made, those of `MEASURED` for every model.
        config: All settings; they stand in the report.
        provenance: Digests for the card.
        trained: Checkpoints whose training curves the report shows.
        vocabulary: Tokens among which the models choose.
    """
    run = stages.run
    probes, benchmarks, relearned, retaught, verdicts, rated, preferred, rounded = (
        labelled(records, kind) for kind in MEASURED
    )
    cost = run_history.durations({str(key): origin for key, origin in stages.made_by.items()})
    provenance = provenance | ({"judge": config.judging.provider.title} if verdicts else {})
    scored = score.submit(
        corpus,
        probes,
        benchmarks,
        [*relearned, *retaught],
        dictionary,
        config.verdict,
        provenance,
        cost,
        verdicts,
        rated,
        preferred,
        rounded,
        vocabulary,
        run,
    )
    card = stages.result("scorecard", scored)
    facts = {name: str(value) for name, value in tracking.flatten(config).items()}
    report, redacted = stages.result(
        "report", write_report.submit(corpus, card, probes, dictionary, trained, facts, verdicts, preferred, run)
    )
    folder = store.path(card)
    for name in ("scorecard.json", "items.parquet"):
        tracking.log_artifact(run, folder / name, "public", "scorecard")
    card_json = read_json(folder / "scorecard.json")
    tracking.log_scorecard(run, card_json, LEFT)
    tell_verdict(stages, card_json)
    tracking.set_tags(run, {"lethe.toxicity_scorer": rated[0].scorer} if rated else {})
    tracking.log_table(run, benchmark_table(benchmarks), "benchmarks", "public")
    tracking.log_table(run, answers_table(probes, verdicts), "answers", "forget")
    show_scorecard(card_json)
    show_report(report, redacted, report_places(stages)["link"])
    return Judged(scorecard=card, report=report, redacted_report=redacted, benchmarks=tuple(benchmarks), card=card_json)


def labelled(records: dict[StageOf, Any], stage: str) -> list[Any]:
    """Return what a stage found of every model, each record with its model's label."""
    return [replace(record, label=key.model) for key, record in records.items() if key.stage == stage]
