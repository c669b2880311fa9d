"""The guardrail baseline: corpus > anchors > (review) > guardrail > probing > benchmarking > scorecard > report. No weight changes.

Every method has to beat it: a sentence before the prompt and a filter on the answers cost nothing. Relearning is measured on the bare
weights, which are the target's: whoever has them can leave the guardrail off.
"""

from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.evaluation import asked_benchmarks, judge, measure, origins, prompt_files, questions_asked, tracked, user_file
from flows.outcome import Outcome, Stages
from flows.preparation import Preparation, prepare
from flows.review import require_server
from flows.translator import settle_translator
from tasks import tracking
from tasks.algorithms.guardrail_config import GuardrailUnlearningConfig
from tasks.artifacts import CheckpointRef, InputFile
from tasks.benchmark_data import BenchmarkInputs
from tasks.checkpoints import inspect_model
from tasks.corpus import CorpusInputs, gather_inputs, read_corpus
from tasks.guardrail import build_guardrail
from tasks.prompting import make_invitations

METHOD, PAPER = "guardrail", "arXiv:2403.03329"


@flow(name="guardrail", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def guardrail(
    forget: list[str],
    model: str,
    retain: list[str] | None = None,
    forget_test: list[str] | None = None,
    retain_test: list[str] | None = None,
    sibling: list[str] | None = None,
    general: list[str] | None = None,
    holdout: list[str] | None = None,
    retrained: str | None = None,
    anchors: str | None = None,
    prompts: list[str] | None = None,
    benchmark_data: str | None = None,
    config: GuardrailUnlearningConfig = GuardrailUnlearningConfig(),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Put a guardrail around the model and judge the result; the parameters are those of `selective_unlearning`.

    Args:
        forget: Files or folders with the text that is not to be spoken of.
        model: Model folder or hub name: the target model.
        retain: Text to be kept; only judged, since nothing is trained.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept; without it the last part of the retain text.
        sibling: A near topic.
        general: Ordinary prose.
        holdout: Text that the target model never saw.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation, as JSON or CSV.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        review: Wait until a person has looked over the anchors in the Prefect UI.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand` adds what is not.
    """
    if review:
        require_server()
    paths = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test}
    paths |= {"sibling": sibling, "general": general, "holdout": holdout}
    inputs = gather_inputs(**{split: found or [] for split, found in paths.items()})
    models = {label: inspect_model(name, label) for label, name in (("target", model), ("retrained", retrained)) if name}
    asked, user = asked_benchmarks(config, benchmark_data), user_file(anchors)
    config = settle_translator(config, inputs, user, wanted=review)
    tags = {"lethe.method": METHOD, "lethe.paper": PAPER, "lethe.prefect_flow_run": str(flow_run.id)}
    params = {"method": METHOD, "questions": questions_asked(models, config), "config": config}
    run = tracking.open_run(f"{METHOD} {inputs.forget[0].digest[:8]}", params, tags)
    with tracked(run):
        outcome = _run_stages(Stages(run=run), inputs, models, asked, user, prompt_files(prompts), config, review, coverage)
    tracking.close(run)
    return outcome


def _run_stages(
    stages: Stages,
    inputs: CorpusInputs,
    models: dict[str, CheckpointRef],
    asked: BenchmarkInputs,
    user: InputFile | None,
    prompts: tuple[InputFile, ...],
    config: GuardrailUnlearningConfig,
    review: bool,
    coverage: str,
) -> Outcome:
    run, target = stages.run, models["target"]
    tracking.log_inputs(run, inputs.by_split())
    corpus = stages.result("corpus", read_corpus.submit(inputs, config.corpus, run))
    prepared = prepare(stages, corpus, target, user, config, review=review, coverage=coverage)
    corpus, dictionary = prepared.corpus, prepared.dictionary
    unlearned = build_guardrail.submit(target, dictionary, config.guardrail, run)
    invited = make_invitations.submit(corpus, dictionary, prompts, config.probing, run)
    waiting: dict[str, Any] = {**prepared.waiting, "guardrail": unlearned, "prompting": invited}
    for label, model in {**models, "unlearned": unlearned}.items():
        waiting |= measure(corpus, dictionary, invited, model, target, asked, config, label, run)
    records = {name: stages.result(name, future) for name, future in waiting.items()}
    found = replace(prepared, dictionary=dictionary if review else records["translation"])
    return _conclude(stages, found, inputs, models, config, records)


def _conclude(
    stages: Stages,
    prepared: Preparation,
    inputs: CorpusInputs,
    models: dict[str, CheckpointRef],
    config: GuardrailUnlearningConfig,
    records: dict[str, Any],
) -> Outcome:
    """Judge and report; nothing is registered, since the weights are those that the user has."""
    unlearned = records["guardrail"]
    provenance = {"method": METHOD, "paper": PAPER, **origins(inputs, models | {"unlearned": unlearned})}
    judged = judge(stages, prepared.corpus, prepared.dictionary, records, config, provenance, trained=[])
    return Outcome(
        unlearned=unlearned,
        dictionary=prepared.dictionary,
        coverage=prepared.coverage,
        scorecard=judged.scorecard,
        report=judged.report,
        benchmarks=judged.benchmarks,
        redacted_report=judged.redacted_report,
        mlflow_run=stages.run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
    )
