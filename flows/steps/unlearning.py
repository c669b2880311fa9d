"""What the flows of all methods share: reading the request, measuring, judging, registering. A method adds how it
trains.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import get_run_logger
from prefect.runtime import flow_run

from flows.steps import distilling, removals, widening
from flows.steps.asking import Review
from flows.steps.facts import EVERYWHERE, state_facts
from flows.steps.forms import require_server
from flows.steps.judging import judge, log_questions, measure, origins, tracked
from flows.steps.outcome import Outcome, StageOf, Stages, adapter_origin
from flows.steps.prefect_ui import show_model
from flows.steps.preparation import Coverage, Preparation, prepare
from flows.steps.reading import read_text
from flows.steps.registering import registered, report_places
from flows.steps.request import CheckedRequest, check_request, require_model
from flows.steps.tracked_runs import Presets, Told, digests, open_run
from flows.steps.wiring import ASKED_FACTS, DICTIONARY, FACTS, Call, Wiring
from tasks import tracking
from tasks.artifacts import CheckpointRef, CorpusRef, Scorecard
from tasks.halves import HALVED, Half, take_half
from tasks.models.vocabulary_sizes import vocabulary_size
from tasks.prompting import make_invitations
from tasks.removals.aliases import Made, model_name, requests_on
from tasks.removals.register import base_of, forget_digest
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest

Declare = Callable[[CorpusRef, CheckpointRef, Any], Call]
"""Corpus, target model and settings -> the call that makes the unlearned model, with all calls that it needs."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """That the method is one of several, which are chosen among by one half of what is asked about."""

    half: Half
    """Which half this run is judged by; what its training sees of the test text, if anything, is the one to choose
    by."""
    seed: int
    """Of the draw of the halves."""
    run: str
    """The tracked run of the choice."""
    name: str
    """What this run is called in it."""

    @property
    def is_trial(self) -> bool:
        """Whether the choice is still to be made: what no verdict looks at is not measured, nothing is registered."""
        return self.half == "choosing"


@dataclass(frozen=True, kw_only=True)
class Unlearning:
    """One method at work on one request."""

    method: str
    """Its name in `METHODS`."""
    paper: str
    """Where it is from."""
    presets: Presets
    """Of its settings."""
    declare: Declare
    """Its stages."""
    request: CheckedRequest
    review: Review
    """Whether a person looks over the dictionary."""
    coverage: Coverage
    changes_weights: bool = True
    """Else nothing is registered: the weights are those that the user has."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What the method adds to the card's, in words for the report."""
    account: Callable[[Mapping[StageOf, Any]], Mapping[str, str]] = lambda records: {}
    """What it adds to it of what its stages made; it is logged too."""
    choice: Choice | None = None
    """None: the user has chosen the method."""


def check_unlearning(request: UnlearningRequest, config: MethodConfig, *, review: Review = "off") -> CheckedRequest:
    """Check what a method's flow was given, before anything is trained.

    Raises:
        BadInputError: If files, models or translator cannot be had, or a distillation has no text.
        ValueError: If a review is wanted that nobody could reach.
    """
    require_model(request)
    distilling.require_distillable(request, config)
    if review != "off":
        require_server()
    models = {"target": request.model, "retrained": request.retrained}
    return check_request(request, config, models, fact_splits=EVERYWHERE, needs_anchors=config.needs_anchors)


def carry_out(unlearning: Unlearning) -> Outcome:
    """Run all stages of a method under one tracked run."""
    request = unlearning.request
    # the states of a request are those of the choice as a whole
    with removals.work_on(None if unlearning.choice else request.removal) as work:
        run = open_run(_told(unlearning))
        work.begin(run)
        with tracked(run):
            outcome = _run_stages(Stages(run=run), unlearning)
        tracking.close(run)
        work.end(outcome.scorecard.passed, request.target)
    return outcome


def _told(unlearning: Unlearning) -> Told:
    """Return what the run says of itself."""
    request, choice = unlearning.request, unlearning.choice
    questions = {"questions": log_questions(request.models, request.config)}
    return Told(
        method=unlearning.method,
        model=request.target.digest,
        name=choice.name if choice else "",
        paper=unlearning.paper,
        config=request.config,
        presets=unlearning.presets,
        removal=request.removal,
        params=questions | digests(request.models, request.inputs.by_split()),
        tags={"mlflow.parentRunId": choice.run} if choice else {},
    )


def _run_stages(stages: Stages, unlearning: Unlearning) -> Outcome:
    """Wire the stages: what does not depend on each other runs side by side, in the order in which it is submitted
    here.
    """
    request, run = unlearning.request, stages.run
    wiring = Wiring(run=run)
    tracking.log_inputs(run, request.inputs.by_split())
    corpus, asked = _read(stages, unlearning)
    # else the text may yet grow
    unlearned = None if unlearning.coverage == "expand" else _begin(wiring, unlearning, corpus)
    prepared = prepare(stages, corpus, request, review=unlearning.review, coverage=unlearning.coverage)
    unlearned = unlearned or _begin(wiring, unlearning, prepared.corpus)
    wiring.values |= {DICTIONARY: prepared.dictionary, FACTS: prepared.facts, ASKED_FACTS: prepared.facts}
    if asked is None:
        asked = prepared.corpus
    else:
        wiring.values[ASKED_FACTS] = state_facts(stages, asked, prepared.dictionary, request.config)
    _submit(wiring, asked, unlearning, unlearned, run)
    records = stages.results({**prepared.waiting, **wiring.waiting()})
    if unlearning.review == "off":
        prepared = replace(prepared, dictionary=records[StageOf("translation")], facts=records[StageOf("facts")])
    trained = [records[call.key] for call in unlearned.upstream() if isinstance(records[call.key], CheckpointRef)]
    trained = distilling.told_apart(trained)
    return _conclude(stages, unlearning, replace(prepared, corpus=asked), records, records[unlearned.key], trained)


def _read(stages: Stages, unlearning: Unlearning) -> tuple[CorpusRef, CorpusRef | None]:
    """Return the text that the method is given, and the text that its result is judged by where that is another one."""
    config, choice = unlearning.request.config.corpus, unlearning.choice
    corpus = read_text(stages, unlearning.request.inputs, config, told=choice is not None)
    if choice is None:
        return corpus, None
    halves = {
        half: stages.result("halves", take_half.submit(corpus, half, choice.seed, config, stages.run), half)
        for half in dict.fromkeys(("choosing", choice.half))
    }
    return halves["choosing"], None if choice.is_trial else halves[choice.half]


def _begin(wiring: Wiring, unlearning: Unlearning, corpus: CorpusRef) -> Call:
    """Begin those of the method's stages that wait for nothing, so that they go on while a person looks over the
    dictionary.
    """
    target, config = unlearning.request.target, unlearning.request.config
    unlearned = distilling.distilled(unlearning.declare(corpus, target, config), corpus, target, config)
    wiring.begin(unlearned)
    return unlearned


def _submit(wiring: Wiring, corpus: CorpusRef, unlearning: Unlearning, unlearned: Call, run: str) -> None:
    """Submit what is measured on models that are there, then the method's stages, then what is measured on the
    unlearned model.
    """
    request = unlearning.request
    config, trial = request.config, unlearning.choice is not None and unlearning.choice.is_trial
    invited = Call(
        make_invitations,
        corpus,
        DICTIONARY,
        ASKED_FACTS,
        request.prompts,
        config.probing,
        config.corpus,
        config.prompting,
    )
    wiring.submit(invited)
    for label, model in {**request.models, "unlearned": unlearned}.items():
        wiring.submit(*measure(corpus, invited, model, request, label, run, benchmarked=not trial))


def halved_origins(provenance: Mapping[str, str], half: Half) -> dict[str, str]:
    """Return of every test split whose half it is, so that no other half's items are taken for the same."""
    whole = {split: f"{split.removesuffix('_test')} data" for split in HALVED}
    return {
        f"{split} data": f"{words}, {half} half"
        for split, cut_from in whole.items()
        if (words := provenance.get(f"{split} data") or provenance.get(cut_from))
    }


def _conclude(
    stages: Stages,
    unlearning: Unlearning,
    prepared: Preparation,
    records: dict[StageOf, Any],
    unlearned: CheckpointRef,
    trained: list[CheckpointRef],
) -> Outcome:
    """Judge, report, register and publish."""
    request, run = unlearning.request, stages.run
    provenance = {
        "method": unlearning.method,
        "paper": unlearning.paper,
        **origins(request.inputs, request.models | {"unlearned": unlearned}),
    }
    account = {**unlearning.account(records), **distilling.account(request.config), **widening.account(records)}
    for name, words in account.items():
        get_run_logger().info("%s: %s", name, words)
    provenance |= {**adapter_origin(unlearned), **unlearning.provenance, **account}
    if unlearning.choice:
        provenance |= halved_origins(provenance, unlearning.choice.half)
    judged = judge(
        stages,
        prepared.corpus,
        prepared.dictionary,
        records,
        request.config,
        provenance,
        trained=trained,
        vocabulary=vocabulary_size(request.models["target"]),
    )
    version = ""
    if unlearning.changes_weights and not (unlearning.choice and unlearning.choice.is_trial):
        version = _register(stages, unlearning, unlearned, judged.scorecard)
    show_model(unlearned, version)
    return Outcome(
        unlearned=unlearned,
        dictionary=prepared.dictionary,
        facts=prepared.facts,
        coverage=prepared.coverage,
        scorecard=judged.scorecard,
        report=judged.report,
        benchmarks=judged.benchmarks,
        redacted_report=judged.redacted_report,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
        made_by=stages.made_by,
        records=records,
        model_version=version,
    )


def _register(stages: Stages, unlearning: Unlearning, unlearned: CheckpointRef, card: Scorecard) -> str:
    """Register what was made: for a removal request under the name of its model, which all requests on that share, else
    under method, model and what was forgotten.
    """
    request, removal = unlearning.request, unlearning.request.removal
    forget, base = forget_digest(request.inputs.forget), base_of(request.target)
    made = Made(
        method=unlearning.method,
        target=request.target.digest,
        passed=card.passed,
        evidence=card.evidence,
        **report_places(stages),
        forget=forget,
        base=base,
        request=removal.id if removal else "",
        approve=request.approve,
    )
    if removal:
        return registered(stages, unlearned, model_name(base), made, requests_on(base, removal))
    return registered(stages, unlearned, f"lethe-{unlearning.method}-{request.target.digest[:8]}-{forget[:8]}", made)
