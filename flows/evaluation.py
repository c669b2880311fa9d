"""The flow `evaluate`: any checkpoint, ours or not, judged by the steps in which every method's flow ends."""

from dataclasses import replace

from prefect.runtime import flow_run

from flows.steps.dictionary import translation
from flows.steps.facts import EVERYWHERE, state_facts
from flows.steps.flow_runs import flow
from flows.steps.judging import judge, log_questions, measure, origins, tracked
from flows.steps.outcome import Outcome, StageOf, Stages
from flows.steps.reading import read_text
from flows.steps.request import CheckedRequest, check_request
from flows.steps.tracked_runs import Presets, Told, digests, open_run
from flows.steps.verdict_state import concluded
from flows.steps.wiring import DICTIONARY, FACTS, Call, Wiring
from tasks import tracking
from tasks.algorithms.text.facts import HELD_OUT
from tasks.compatibility import write_open_unlearning
from tasks.models.vocabulary_sizes import vocabulary_size
from tasks.prompting import make_invitations
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.unlearning_request import UnlearningRequest

METHOD = "evaluation"
PRESETS: Presets = {"default": lambda seed: EvaluationConfig()}


@flow(name="evaluate", log_prints=False, validate_parameters=True)
def evaluate(
    request: UnlearningRequest,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    judged: str,
    held_out: bool = False,
    open_unlearning: bool = False,
    require_verdict: bool = False,
) -> Outcome:
    """Judge a checkpoint, ours or not. Nothing is trained, so the forget and retain text themselves are asked about.

    Args:
        request: What it should no longer know and what it should still know; `model` is the model before unlearning,
            without which there are only the figures that need none.
        config: All settings.
        judged: The model to be judged: a model folder (safetensors), a hub name, or one of the registry, such as
            models:/NAME@unlearned.
        held_out: Ask about what is held out of the text alone, as a run does that trains on the rest.
        open_unlearning: Also write the figures in that project's layout.
        require_verdict: Whether the flow run fails when the verdict is not passed.
    """
    asked_about, splits = (request, EVERYWHERE) if held_out else (_whole(request), (HELD_OUT,))
    models = {"target": request.model, "unlearned": judged, "retrained": request.retrained}
    checked = check_request(asked_about, config, models, fact_splits=splits, needs_anchors=False)
    asked = {"questions": log_questions(checked.models, checked.config)}
    told = Told(
        method=METHOD,
        model=checked.models["unlearned"].digest,
        config=checked.config,
        presets=PRESETS,
        params=asked | digests(checked.models, checked.inputs.by_split()),
    )
    run = open_run(told)
    with tracked(run):
        outcome = _run_stages(Stages(run=run), checked, splits, open_unlearning)
    tracking.close(run)
    return concluded(outcome, require_verdict)


def _whole(request: UnlearningRequest) -> UnlearningRequest:
    """Return a request in which the text itself is asked about, where there is none for that."""
    return replace(
        request, forget_test=request.forget_test or request.forget, retain_test=request.retain_test or request.retain
    )


def _run_stages(
    stages: Stages, request: CheckedRequest, fact_splits: tuple[str, ...], open_unlearning: bool
) -> Outcome:
    run, config, wiring = stages.run, request.config, Wiring(run=stages.run)
    tracking.log_inputs(run, request.inputs.by_split())
    corpus = read_text(stages, request.inputs, config.corpus)
    translated = translation(corpus, config, request.user_anchors, needs_anchors=False)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    facts = state_facts(stages, corpus, dictionary, config, fact_splits)
    wiring = Wiring(run=run, values={DICTIONARY: dictionary, FACTS: facts})
    invited = Call(
        make_invitations, corpus, DICTIONARY, FACTS, request.prompts, config.probing, config.corpus, config.prompting
    )
    wiring.submit(
        invited,
        *(
            call
            for label, model in request.models.items()
            for call in measure(corpus, invited, model, request, label, run)
        ),
    )
    records = stages.results({StageOf("facts"): facts, **wiring.waiting()})
    judged = judge(
        stages,
        corpus,
        dictionary,
        records,
        config,
        {"method": METHOD, **origins(request.inputs, request.models)},
        trained=[],
        vocabulary=vocabulary_size(request.models["unlearned"]),
    )
    ours, gold = records[StageOf("probing", "unlearned")], records.get(StageOf("probing", "retrained"))
    compatible = (
        stages.result("compatibility", write_open_unlearning.submit(ours, gold, run)) if open_unlearning else None
    )
    return Outcome(
        unlearned=request.models["unlearned"],
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
