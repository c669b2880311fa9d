"""Rank-one editing: corpus > edits > causal tracing > second moments > rome edit > patched model > edit evaluation >
benchmarking > edit report > registration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas
from prefect.runtime import flow_run

from flows.steps.asking import Review
from flows.steps.decisions import decisions_on
from flows.steps.edit_proposals import erasing, proposed, reviewed
from flows.steps.edit_stages import declare_edit
from flows.steps.editing import CheckedEditing, check_editing, told_of
from flows.steps.flow_runs import flow
from flows.steps.forms import require_server
from flows.steps.judging import tracked
from flows.steps.outcome import StageOf, Stages
from flows.steps.prefect_ui import show_model, show_report, show_scorecard
from flows.steps.providers import settle_translation
from flows.steps.registering import registered, report_places, tell_verdict
from flows.steps.tracked_runs import open_run
from flows.steps.verdict_state import concluded
from flows.steps.wiring import Call, Wiring
from tasks import store, tracking
from tasks.algorithms.world.generator import WorldConfig
from tasks.artifacts import (
    CheckpointRef,
    CorpusRef,
    EditRun,
    EditScores,
    EditSet,
    InputFile,
    ReportRef,
    Scorecard,
    TraceRecords,
    WorldRef,
)
from tasks.benchmarking import benchmark
from tasks.corpus import gather_inputs, read_corpus
from tasks.edit_evaluation import evaluate_edits
from tasks.edit_report import write_edit_report
from tasks.edit_requests import keep_edits
from tasks.edit_scorecard import score_edit_run
from tasks.models.patch_files import FILES
from tasks.patches import apply_patches
from tasks.removals.aliases import Made
from tasks.reporting import run_history
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json
from tasks.world import write_world

METHOD, PAPER = "rome", "arXiv:2202.05262"
FIRST = ("edit/s", "edit/es")
"""What runs are compared by first."""


@dataclass(frozen=True, kw_only=True)
class EditingOutcome:
    """Everything that a finished run of editing made, as records."""

    edited: CheckpointRef
    """The whole model with the patch on it."""
    run: EditRun
    """What became of each edit, and the patch."""
    traced: TraceRecords | None
    scores: EditScores
    scorecard: Scorecard
    report: ReportRef
    redacted_report: ReportRef
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[StageOf, str]
    """`Completed` where a stage was computed, `Cached` where it was not."""
    model_version: str = ""


@flow(
    name="rank-one-editing",
    log_prints=False,
    validate_parameters=True,
)
def rank_one_editing(
    request: EditingRequest,
    config: RankOneEditingConfig = RankOneEditingConfig(),
    review: Review = "off",
    require_verdict: bool = False,
) -> EditingOutcome:
    """Find where facts lie, rewrite them there, and judge the result.

    Args:
        request: Which facts, in which model, and what else is at hand.
        config: All settings.
        review: Wait until a person has looked over the edits in the Prefect UI: `new` asks about what they have not
            decided in an earlier run for the same edits, `all` about everything.
        require_verdict: Whether the flow run fails when the verdict is not passed.
    """
    if review != "off":
        require_server()
    checked, config = check_editing(request, config), settle_translation(config)
    run = open_run(told_of(METHOD, PAPER, checked, config))
    with tracked(run):
        stages = Stages(run=run)
        corpus, edits, facts = gather(
            stages,
            checked,
            config,
            erase=request.erase,
            review=review,
            names=(*request.edit_files, *request.forget),
        )
        outcome = _run_stages(stages, checked, config, corpus, edits, facts, request.force)
    tracking.close(run)
    return concluded(outcome, require_verdict)


def gather(
    stages: Stages,
    request: CheckedEditing,
    config: RankOneEditingConfig,
    *,
    erase: bool,
    review: Review = "off",
    names: Sequence[str] = (),
) -> tuple[CorpusRef, EditSet, EditSet]:
    """Return text, edits, and the facts that the layer is traced on.

    Args:
        stages: The run's stages.
        request: What was asked for.
        config: All settings.
        erase: Whether facts of a text get objects that say nothing.
        review: Whether a person looks over the edits, and over which of them.
        names: Of the files that the edits come from, by which a person's decisions on them are found; none: the edits
            themselves.
    """
    run, text = stages.run, request.text
    if not text.general:
        text = replace(text, general=embedded_text(stages.result("world", write_world.submit(WorldConfig(), "", run))))
    tracking.log_inputs(run, text.by_split())
    corpus = stages.result("corpus", read_corpus.submit(text, config.corpus, run))
    if text.forget:
        edits = proposed(stages, corpus, erasing(config) if erase else config)
    else:
        edits = stages.result("edit requests", keep_edits.submit(request.edits, run))
    if review != "off":
        edits = reviewed(stages, edits, decisions_on(None, names or (edits.digest,)), review)
    facts = stages.result("edit requests", keep_edits.submit(request.facts, run), "known") if request.facts else edits
    return corpus, edits, facts


def embedded_text(world: WorldRef) -> tuple[InputFile, ...]:
    """Return the embedded world's prose, as ordinary text where a person gives none."""
    folder = store.path(world)
    return gather_inputs(general=[str(folder / f"{split}.jsonl") for split in ("general", "retain")]).general


def _run_stages(
    stages: Stages,
    request: CheckedEditing,
    config: RankOneEditingConfig,
    corpus: CorpusRef,
    edits: EditSet,
    facts: EditSet,
    force: bool,
) -> EditingOutcome:
    target, wiring = request.target, Wiring(run=stages.run)
    edited = declare_edit(target, corpus, edits, facts, config, request.patches, force)
    patched = Call(apply_patches, target, (*request.patches, edited), "unlearned")
    calls = [Call(evaluate_edits, target, patched, (*request.patches, edited), config.evaluation, corpus)]
    if request.benchmarks:
        calls += [
            Call(benchmark, corpus, model, request.benchmarks, config.benchmarking, config.corpus, model=label)
            for label, model in (("target", target), ("unlearned", patched))
        ]
    wiring.submit(*calls)
    records = stages.results(wiring.waiting())
    return _conclude(stages, request, config, records)


def _conclude(
    stages: Stages, request: CheckedEditing, config: RankOneEditingConfig, records: dict[StageOf, Any]
) -> EditingOutcome:
    """Judge, report, register and publish."""
    run = stages.run
    edited, patched = records[StageOf("rome edit")], records[StageOf("patches")]
    traced, scores = records.get(StageOf("causal tracing")), records[StageOf("edit evaluation")]
    benchmarks = [record for key, record in records.items() if key.stage == "benchmarking"]
    provenance = {"method": METHOD, "paper": PAPER, **origins(request, edited, patched)}
    cost = run_history.durations({str(key): origin for key, origin in stages.made_by.items()})
    card = stages.result(
        "edit scorecard", score_edit_run.submit(scores, edited, benchmarks, config.verdict, provenance, cost, run)
    )
    facts = {name: str(value) for name, value in tracking.flatten(config).items()}
    report, redacted = stages.result("edit report", write_edit_report.submit(card, edited, scores, traced, facts, run))
    publish(stages, card, edited, traced)
    places = report_places(stages, "edit report")
    made = Made(
        method=METHOD,
        target=request.target.digest,
        passed=card.passed,
        evidence=card.evidence,
        **places,
    )
    version = registered(stages, patched, f"lethe-{METHOD}-{request.target.digest[:8]}", made)
    show_report(report, redacted, places["link"])
    show_model(patched, version)
    return EditingOutcome(
        edited=patched,
        run=edited,
        traced=traced,
        scores=scores,
        scorecard=card,
        report=report,
        redacted_report=redacted,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
        model_version=version,
    )


def origins(request: CheckedEditing, edited: EditRun, patched: CheckpointRef) -> dict[str, str]:
    """Return the digests of models, patches and data for the card."""
    digests = {"target model": request.target.digest, "edited model": patched.digest, "patch": edited.patch.digest}
    if request.patches:
        digests["earlier patches"] = ", ".join(patch.digest[:16] for patch in request.patches)
    return digests | {
        f"{split} data": ", ".join(store.keyed(file.digest)[:16] for file in files)
        for split, files in request.text.by_split().items()
    }


def publish(stages: Stages, card: Scorecard, edited: EditRun, traced: TraceRecords | None) -> None:
    """Put figures, patch and pictures into MLflow and Prefect; outside the stages, so that a cache hit has them too."""
    run, folder = stages.run, store.path(card)
    tracking.log_artifact(run, folder / "scorecard.json", "public", "scorecard")
    value = read_json(folder / "scorecard.json")
    tracking.log_scorecard(run, value, FIRST)
    tell_verdict(stages, value, "edit report")
    tracking.log_table(run, pandas.DataFrame(read_table(edited)), "edits", "forget")
    for file in FILES:
        tracking.log_artifact(run, store.path(edited.patch) / file, "forget", "patch")
    for picture in sorted(store.path(traced).glob("*.png")) if traced else ():
        tracking.log_artifact(run, picture, "forget", "traces")
    show_scorecard(value)
