"""WHP: corpus > anchors > translation > (review) > reinforcement > labels > finetune > probing > benchmarking > scorecard > report."""

from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.evaluation import asked_benchmarks, judge, measure, origins, prompt_files, questions_asked, tracked, user_file
from flows.outcome import Outcome, Stages, adapter_origin
from flows.preparation import Preparation, prepare
from flows.review import require_server
from flows.translator import settle_translator
from tasks import tracking
from tasks.algorithms.config import SelectiveUnlearningConfig
from tasks.artifacts import CheckpointRef, InputFile
from tasks.benchmark_data import BenchmarkInputs
from tasks.checkpoints import gather_models
from tasks.corpus import CorpusInputs, gather_inputs, read_corpus
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.prompting import make_invitations
from tasks.registration import register
from tasks.reinforcement import reinforce
from tasks.teacher_cache import cache_teacher

METHOD, PAPER = "whp", "arXiv:2310.02238"
SIDE_BY_SIDE = 2
"""Stages that run at one time; those that can run beside others take that share of the cores."""


@flow(name="selective-unlearning", task_runner=ThreadPoolTaskRunner(max_workers=SIDE_BY_SIDE), log_prints=False, validate_parameters=True)
def selective_unlearning(
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
    config: SelectiveUnlearningConfig = SelectiveUnlearningConfig(),
    review: bool = False,
    coverage: Literal["off", "measure", "expand"] = "off",
) -> Outcome:
    """Unlearn the forget text from the model and judge the result.

    Args:
        forget: Files or folders with the text to be forgotten.
        model: Model folder or hub name: the target model.
        retain: Text to be kept, used in training.
        forget_test: The same topic, used in no stage; without it the last part of the forget text.
        retain_test: To be kept, used in no stage; without it the last part of the retain text.
        sibling: A near topic, used in no stage.
        general: Ordinary prose, used in no stage.
        holdout: Text that the target model never saw.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation, as JSON or CSV.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        review: Wait until a person has looked over the anchors and their translations in the Prefect UI.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand` adds what is not.
    """
    if review:
        require_server()
    paths = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test}
    paths |= {"sibling": sibling, "general": general, "holdout": holdout}
    inputs = gather_inputs(**{split: found or [] for split, found in paths.items()})
    models = gather_models({"target": model, "retrained": retrained})
    asked, user = asked_benchmarks(config, benchmark_data), user_file(anchors)
    config = settle_translator(config, inputs, user)
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
    config: SelectiveUnlearningConfig,
    review: bool,
    coverage: str,
) -> Outcome:
    """Wire the stages: what does not depend on each other runs side by side, in the order in which it is submitted here."""
    run, reading, target = stages.run, config.corpus, models["target"]
    tracking.log_inputs(run, inputs.by_split())
    corpus = stages.result("corpus", read_corpus.submit(inputs, reading, run))
    boosting = (target, config.reinforcement, reading, replace(config.lora, output="adapter"), run)  # no one but the labels uses it
    early = None if coverage == "expand" else reinforce.submit(corpus, *boosting)  # goes on during a review
    prepared = prepare(stages, corpus, target, user, config, review=review, coverage=coverage)
    corpus, dictionary = prepared.corpus, prepared.dictionary
    reinforced = early or reinforce.submit(corpus, *boosting)
    teaching = config.finetune.retain_weight > 0 and "retain" in corpus.documents
    teacher = cache_teacher.submit(corpus, target, config.labels.block_size, reading, run) if teaching else None
    invited = make_invitations.submit(corpus, dictionary, prompts, config.probing, run)
    measured: dict[str, Any] = {"prompting": invited}
    for label, model in models.items():
        measured |= measure(corpus, dictionary, invited, model, target, asked, config, label, run)
    labels = make_labels.submit(corpus, dictionary, target, reinforced, config.labels, reading, run)
    unlearned = finetune.submit(target, reinforced, labels, teacher, config.labels, config.finetune, config.lora, run)
    waiting = prepared.waiting | {"reinforcement": reinforced, "labels": labels, "finetune": unlearned}
    waiting |= {"teacher cache": teacher} if teacher else {}
    waiting |= measured | measure(corpus, dictionary, invited, unlearned, target, asked, config, "unlearned", run)
    records = {name: stages.result(name, future) for name, future in waiting.items()}
    found = replace(prepared, dictionary=dictionary if review else records["translation"])
    return _conclude(stages, found, inputs, models, config, records)


def _conclude(
    stages: Stages,
    prepared: Preparation,
    inputs: CorpusInputs,
    models: dict[str, CheckpointRef],
    config: SelectiveUnlearningConfig,
    records: dict[str, Any],
) -> Outcome:
    """Judge, report, register and publish."""
    run, unlearned = stages.run, records["finetune"]
    provenance = {"method": METHOD, "paper": PAPER, **origins(inputs, models | {"unlearned": unlearned})}
    provenance |= adapter_origin(unlearned)
    judged = judge(stages, prepared.corpus, prepared.dictionary, records, config, provenance, trained=[records["reinforcement"], unlearned])
    name = f"lethe-{METHOD}-{models['target'].digest[:8]}"
    version = stages.result("registration", register.submit(unlearned, name, tracking.tracking_uri(), run))
    if version and judged.scorecard.passed:
        tracking.set_alias(version.name, "unlearned", version.version)
    return Outcome(
        unlearned=unlearned,
        dictionary=prepared.dictionary,
        coverage=prepared.coverage,
        scorecard=judged.scorecard,
        report=judged.report,
        benchmarks=judged.benchmarks,
        redacted_report=judged.redacted_report,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
        model_version=f"{version.name} version {version.version}" if version else "",
    )
