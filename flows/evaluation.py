"""The flow `evaluate`: any checkpoint, ours or not, judged by the steps in which every method's flow ends."""

from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.facts import state_facts
from flows.steps.judging import asked_benchmarks, judge, measure, origins, prompt_files, questions_asked, tracked, user_file
from flows.steps.outcome import Outcome, Stages
from flows.steps.providers import Asked, settle_providers
from tasks import tracking
from tasks.algorithms.text.facts import HELD_OUT
from tasks.anchors import extract_anchors
from tasks.artifacts import CheckpointRef, InputFile
from tasks.benchmarks.local_files import BenchmarkInputs
from tasks.compatibility import write_open_unlearning
from tasks.corpus import CorpusInputs, gather_inputs, read_corpus
from tasks.models.checkpoints import gather_models
from tasks.prompting import make_invitations
from tasks.settings.evaluation import EvaluationConfig
from tasks.translation import translate_anchors

METHOD = "evaluation"


@flow(name="evaluate", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=True)
def evaluate(
    model: str,
    forget: list[str],
    retain: list[str] | None = None,
    forget_test: list[str] | None = None,
    retain_test: list[str] | None = None,
    sibling: list[str] | None = None,
    general: list[str] | None = None,
    holdout: list[str] | None = None,
    reference: str | None = None,
    retrained: str | None = None,
    anchors: str | None = None,
    prompts: list[str] | None = None,
    benchmark_data: str | None = None,
    config: EvaluationConfig = EvaluationConfig(),
    open_unlearning: bool = False,
) -> Outcome:
    """Judge a checkpoint, ours or not. Nothing is trained, so the forget and retain text themselves are asked about.

    Args:
        model: The model to be judged.
        forget: What it should no longer know.
        retain: What it should still know.
        forget_test: To ask about instead of `forget`.
        retain_test: To ask about instead of `retain`.
        sibling: A near topic that it should still know.
        general: Ordinary prose.
        holdout: Text that the reference model never saw.
        reference: The model before unlearning; without it only the figures that need none.
        retrained: A model trained without the forget text: the gold standard.
        anchors: A dictionary of the user's own, anchor -> translation.
        prompts: Files with prompts about the forgotten, as they are published.
        benchmark_data: Folder with local files of benchmarks.
        config: All settings.
        open_unlearning: Also write the figures in that project's layout.
    """
    paths = {"forget": forget, "retain": retain, "forget_test": forget_test or forget, "retain_test": retain_test or retain}
    paths |= {"sibling": sibling, "general": general, "holdout": holdout}
    inputs = gather_inputs(**{split: found or [] for split, found in paths.items()})
    models = gather_models({"target": reference, "unlearned": model, "retrained": retrained})
    asked, user, own = asked_benchmarks(config, benchmark_data), user_file(anchors), prompt_files(prompts)
    config = settle_providers(config, Asked(inputs=inputs, user=user, prompts=own, splits=(HELD_OUT,), wanted=False))
    tags = {"lethe.method": METHOD, "lethe.prefect_flow_run": str(flow_run.id)}
    params = {"method": METHOD, "questions": questions_asked(models, config), "config": config}
    run = tracking.open_run(f"{METHOD} {models['unlearned'].digest[:8]}", params, tags)
    with tracked(run):
        outcome = _run_stages(Stages(run=run), inputs, models, asked, user, own, config, open_unlearning)
    tracking.close(run)
    return outcome


def _run_stages(
    stages: Stages,
    inputs: CorpusInputs,
    models: dict[str, CheckpointRef],
    asked: BenchmarkInputs,
    user: InputFile | None,
    prompts: tuple[InputFile, ...],
    config: EvaluationConfig,
    open_unlearning: bool,
) -> Outcome:
    run, reading = stages.run, config.corpus
    tracking.log_inputs(run, inputs.by_split())
    corpus = stages.result("corpus", read_corpus.submit(inputs, reading, run))
    table = stages.result("anchors", extract_anchors.submit(corpus, config.anchors, reading, user, False, run))
    dictionary = stages.result("translation", translate_anchors.submit(table, corpus, config.translation, reading, user, run))
    facts = state_facts(stages, corpus, dictionary, config, (HELD_OUT,))
    invited = make_invitations.submit(corpus, dictionary, facts, prompts, config.probing, reading, config.prompting, run)
    waiting: dict[str, PrefectFuture[Any]] = {"facts": facts, "prompting": invited}
    for label, model in models.items():
        waiting |= measure(corpus, dictionary, invited, model, models.get("target"), asked, config, label, run)
    records = {name: stages.result(name, future) for name, future in waiting.items()}
    provenance = {"method": METHOD, **origins(inputs, models)}
    judged = judge(stages, corpus, dictionary, records, config, provenance, trained=[])
    ours, gold = records["probing unlearned"], records.get("probing retrained")
    compatible = stages.result("compatibility", write_open_unlearning.submit(ours, gold, run)) if open_unlearning else None
    return Outcome(
        unlearned=models["unlearned"],
        dictionary=dictionary,
        scorecard=judged.scorecard,
        report=judged.report,
        benchmarks=judged.benchmarks,
        redacted_report=judged.redacted_report,
        compatible=compatible,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
    )
