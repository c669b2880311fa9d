"""WHP: corpus > anchors > translation > reinforcement > labels > finetune > probing > benchmarking > scorecard > report."""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.outcome import Outcome, Stages
from flows.presentation import progress_artifacts, show_run, show_scorecard
from tasks import formats, isolation, store, tracking
from tasks.algorithms.config import SelectiveUnlearningConfig
from tasks.anchors import extract_anchors
from tasks.artifacts import CheckpointRef, InputFile
from tasks.benchmarking import benchmark
from tasks.checkpoints import inspect_model
from tasks.corpus import CorpusInputs, gather_inputs, read_corpus
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.probing import probe
from tasks.registration import register
from tasks.reinforcement import reinforce
from tasks.report import write_report
from tasks.scorecard import score
from tasks.teacher_cache import cache_teacher
from tasks.translation import translate_anchors

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
    config: SelectiveUnlearningConfig = SelectiveUnlearningConfig(),
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
        config: All settings.
    """
    paths = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test}
    paths |= {"sibling": sibling, "general": general, "holdout": holdout}
    inputs = gather_inputs(**{split: found or [] for split, found in paths.items()})
    models = [inspect_model(model, "target")] + ([inspect_model(retrained, "retrained")] if retrained else [])
    user = InputFile(path=anchors, digest=store.file_digest(Path(anchors)), bytes=0) if anchors else None
    run = tracking.open_run(
        f"{METHOD} {inputs.forget[0].digest[:8]}",
        {"method": METHOD, "config": config},
        {"lethe.method": METHOD, "lethe.paper": PAPER, "lethe.prefect_flow_run": str(flow_run.id)},
    )
    isolation.begin()
    try:
        with tracking.system_metrics(run), progress_artifacts():
            outcome = _run_stages(Stages(run=run), inputs, models, user, config)
    except BaseException as error:
        isolation.abort()
        tracking.close(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracking.close(run)
    return outcome


def _run_stages(stages: Stages, inputs: CorpusInputs, models: list[CheckpointRef], user: InputFile | None, config: SelectiveUnlearningConfig) -> Outcome:
    """Wire the stages: what does not depend on each other runs side by side, in the order in which it is submitted here."""
    run, reading, target = stages.run, config.corpus, models[0]
    tracking.log_inputs(run, inputs.by_split())
    show_run(run)
    corpus = stages.result("corpus", read_corpus.submit(inputs, reading, run))
    reinforced = reinforce.submit(corpus, target, config.reinforcement, reading, run)
    table = extract_anchors.submit(corpus, config.anchors, reading, user, run)
    dictionary = translate_anchors.submit(table, corpus, config.translation, reading, user, run)
    teaching = config.finetune.retain_weight > 0 and "retain" in corpus.documents
    teacher = cache_teacher.submit(corpus, target, config.labels.block_size, reading, run) if teaching else None
    probes = [probe.submit(corpus, dictionary, model, target, config.probing, reading, run) for model in models]
    benchmarks = [benchmark.submit(corpus, model, reading, run) for model in models]
    labels = make_labels.submit(corpus, dictionary, target, reinforced, config.labels, reading, run)
    unlearned = finetune.submit(target, reinforced, labels, teacher, config.labels, config.finetune, run)
    probes.append(probe.submit(corpus, dictionary, unlearned, target, config.probing, reading, run))
    benchmarks.append(benchmark.submit(corpus, unlearned, reading, run))
    names = [model.label for model in models] + ["unlearned"]
    waiting = {"anchors": table, "translation": dictionary, "reinforcement": reinforced, "labels": labels, "finetune": unlearned}
    waiting |= {"teacher cache": teacher} if teacher else {}
    waiting |= {f"probing {name}": future for name, future in zip(names, probes, strict=True)}
    waiting |= {f"benchmarking {name}": future for name, future in zip(names, benchmarks, strict=True)}
    records = {name: stages.result(name, future) for name, future in waiting.items()}
    return _conclude(stages, inputs, models, config, records, names)


def _conclude(
    stages: Stages, inputs: CorpusInputs, models: list[CheckpointRef], config: SelectiveUnlearningConfig, records: dict[str, object], names: list[str]
) -> Outcome:
    """Judge, report, register and publish."""
    run, unlearned, dictionary = stages.run, records["finetune"], records["translation"]
    probes, benchmarks = ([records[f"{stage} {name}"] for name in names] for stage in ("probing", "benchmarking"))
    provenance = {"method": METHOD, "paper": PAPER, **{f"{model.label} model": model.digest for model in [*models, unlearned]}}
    provenance |= {f"{split} data": ", ".join(file.digest[:16] for file in found) for split, found in inputs.by_split().items()}
    card = stages.result("scorecard", score.submit(probes, benchmarks, dictionary, config.verdict, provenance, run))
    facts = {name: str(value) for name, value in tracking.flatten(config).items()}
    report = stages.result("report", write_report.submit(card, probes, dictionary, [records["reinforcement"], unlearned], facts, run))
    name = f"lethe-{METHOD}-{models[0].digest[:8]}"
    version = stages.result("registration", register.submit(unlearned, name, tracking.tracking_uri(), run))
    figures = formats.read_json(store.path(card) / "scorecard.json")
    tracking.log_scorecard(run, figures)
    if version and card.passed:
        tracking.set_alias(version.name, "unlearned", version.version)
    show_scorecard(figures)
    return Outcome(
        unlearned=unlearned,
        dictionary=dictionary,
        scorecard=card,
        report=report,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
        model_version=f"{version.name} version {version.version}" if version else "",
    )
