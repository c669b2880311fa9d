"""What the flows of all methods share: reading the request, measuring, judging, registering. A method adds how it trains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from flows.steps.judging import asked_benchmarks, judge, measure, origins, prompt_files, questions_asked, tracked, user_file
from flows.steps.outcome import Outcome, Stages, adapter_origin
from flows.steps.preparation import Preparation, prepare
from flows.steps.providers import Asked, settle_providers
from flows.steps.review import require_server
from tasks import tracking
from tasks.artifacts import CheckpointRef, CorpusRef, InputFile
from tasks.benchmarks.local_files import BenchmarkInputs
from tasks.corpus import CorpusInputs, gather_inputs, read_corpus
from tasks.models.checkpoints import gather_models
from tasks.prompting import make_invitations
from tasks.registration import register

SPLITS = ("forget", "retain", "forget_test", "retain_test", "sibling", "general", "holdout")
Futures = dict[str, PrefectFuture[Any]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a flow was given, checked and read once."""

    method: str
    paper: str
    inputs: CorpusInputs
    models: dict[str, CheckpointRef]
    asked: BenchmarkInputs
    user: InputFile | None
    prompts: tuple[InputFile, ...]
    config: Any
    review: bool
    coverage: str
    changes_weights: bool
    """Else nothing is registered: the weights are those that the user has."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What the method adds to the card's, in words for the report."""

    @property
    def target(self) -> CheckpointRef:
        """The model that is to forget."""
        return self.models["target"]


Begin = Callable[[Stages, Request, CorpusRef], Futures]
"""Stages, request and corpus -> stages that need no dictionary, and so go on while a person looks it over."""
Train = Callable[[Stages, Request, CorpusRef, Any, Futures], Futures]
"""Stages, request, corpus, dictionary (a record or a future) and what was begun -> further stages that train; the last of them makes the unlearned model."""


def _nothing(stages: Stages, request: Request, corpus: CorpusRef) -> Futures:
    return {}


def read_request(method: str, paper: str, given: dict[str, Any], *, changes_weights: bool = True) -> Request:
    """Check what a flow was given, before anything is trained.

    Args:
        method: Name in `METHODS`.
        paper: Where the method is from.
        given: The flow's parameters by name.
        changes_weights: Whether the method makes other weights.

    Raises:
        BadInputError: If files, models, translator or review cannot be had.
    """
    if given["review"]:
        require_server()
    inputs = gather_inputs(**{split: given[split] or [] for split in SPLITS})
    models = gather_models({"target": given["model"], "retrained": given["retrained"]})
    asked, user, prompts = asked_benchmarks(given["config"], given["benchmark_data"]), user_file(given["anchors"]), prompt_files(given["prompts"])
    return Request(
        method=method,
        paper=paper,
        inputs=inputs,
        models=models,
        asked=asked,
        user=user,
        prompts=prompts,
        config=settle_providers(given["config"], Asked(inputs=inputs, user=user, prompts=prompts, wanted=given["config"].needs_anchors)),
        review=given["review"],
        coverage=given["coverage"],
        changes_weights=changes_weights,
    )


def carry_out(request: Request, train: Train, begin: Begin = _nothing) -> Outcome:
    """Run all stages of a method under one tracked run."""
    config = request.config
    tags = {"lethe.method": request.method, "lethe.paper": request.paper, "lethe.prefect_flow_run": str(flow_run.id)}
    params = {"method": request.method, "questions": questions_asked(request.models, config), "config": config}
    run = tracking.open_run(f"{request.method} {request.inputs.forget[0].digest[:8]}", params, tags)
    with tracked(run):
        outcome = _run_stages(Stages(run=run), request, train, begin)
    tracking.close(run)
    return outcome


def _run_stages(stages: Stages, request: Request, train: Train, begin: Begin) -> Outcome:
    """Wire the stages: what does not depend on each other runs side by side, in the order in which it is submitted here."""
    run, config = stages.run, request.config
    tracking.log_inputs(run, request.inputs.by_split())
    corpus = stages.result("corpus", read_corpus.submit(request.inputs, config.corpus, run))
    begun = {} if request.coverage == "expand" else begin(stages, request, corpus)  # the text may yet grow
    prepared = prepare(stages, corpus, request.target, request.user, config, review=request.review, coverage=request.coverage)
    corpus, dictionary = prepared.corpus, prepared.dictionary
    begun = begun or begin(stages, request, corpus)
    invited = make_invitations.submit(corpus, dictionary, prepared.facts, request.prompts, config.probing, config.corpus, config.prompting, run)
    waiting: dict[str, Any] = {**prepared.waiting, "prompting": invited}
    for label, model in request.models.items():
        waiting |= measure(corpus, dictionary, invited, model, request.target, request.asked, config, label, run)
    made = begun | train(stages, request, corpus, dictionary, begun)
    last = next(reversed(made))
    waiting |= made | measure(corpus, dictionary, invited, made[last], request.target, request.asked, config, "unlearned", run)
    records = {name: stages.result(name, future) for name, future in waiting.items()}
    found = prepared if request.review else replace(prepared, dictionary=records["translation"], facts=records["facts"])
    return _conclude(stages, request, found, records, list(made))


def _conclude(stages: Stages, request: Request, prepared: Preparation, records: dict[str, Any], made: list[str]) -> Outcome:
    """Judge, report, register and publish."""
    run, unlearned, target = stages.run, records[made[-1]], request.target
    provenance = {"method": request.method, "paper": request.paper, **origins(request.inputs, request.models | {"unlearned": unlearned})}
    provenance |= {**adapter_origin(unlearned), **request.provenance}
    trained = [records[name] for name in made if isinstance(records[name], CheckpointRef)]
    judged = judge(stages, prepared.corpus, prepared.dictionary, records, request.config, provenance, trained=trained)
    version = None
    if request.changes_weights:
        name = f"lethe-{request.method}-{target.digest[:8]}"
        version = stages.result("registration", register.submit(unlearned, name, tracking.tracking_uri(), run))
    if version and judged.scorecard.passed:
        tracking.set_alias(version.name, "unlearned", version.version)
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
        model_version=f"{version.name} version {version.version}" if version else "",
    )
