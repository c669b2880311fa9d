"""Rank-one editing: corpus > edits > causal tracing > second moments > rome edit > patched model > edit evaluation >
benchmarking > edit report > registration.
"""

from dataclasses import dataclass, field
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.steps.editing import CheckedEditing, about, check_editing
from flows.steps.judging import tracked
from flows.steps.outcome import StageOf, Stages
from flows.steps.wiring import Call, Wiring
from tasks import tracking
from tasks.artifacts import CheckpointRef, EditPatch, EditScores, ReportRef, TraceRecords
from tasks.causal_tracing import trace_facts
from tasks.corpus import read_corpus
from tasks.edit_evaluation import evaluate_edits
from tasks.edit_requests import keep_edits
from tasks.patches import apply_patches
from tasks.rome_edit import rome_edit
from tasks.second_moments import measure_second_moments
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig

METHOD, PAPER = "rome", "arXiv:2202.05262"


@dataclass(frozen=True, kw_only=True)
class EditingOutcome:
    """Everything that a finished run of editing made, as records."""

    edited: CheckpointRef
    patch: EditPatch
    traced: TraceRecords | None
    scores: EditScores
    report: ReportRef
    redacted_report: ReportRef
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[StageOf, str]
    """`Completed` where a stage was computed, `Cached` where it was not."""
    records: dict[StageOf, Any] = field(default_factory=dict)
    model_version: str = ""


@flow(
    name="rank-one-editing",
    task_runner=ThreadPoolTaskRunner(max_workers=2),
    log_prints=False,
    validate_parameters=True,
)
def rank_one_editing(request: EditingRequest, config: RankOneEditingConfig = RankOneEditingConfig()) -> EditingOutcome:
    """Find where facts lie, rewrite them there, and judge the result.

    Args:
        request: Which facts, in which model, and what else is at hand.
        config: All settings.
    """
    checked = check_editing(request, config)
    tags = {"lethe.method": METHOD, "lethe.paper": PAPER, "lethe.prefect_flow_run": str(flow_run.id)}
    params = {"method": METHOD, "request": about(checked), "config": config}
    run = tracking.open_run(f"{METHOD} {checked.target.digest[:8]}", params, tags)
    with tracked(run):
        outcome = _run_stages(Stages(run=run), checked, config, request.force)
    tracking.close(run)
    return outcome


def _run_stages(stages: Stages, request: CheckedEditing, config: RankOneEditingConfig, force: bool) -> EditingOutcome:
    run, target = stages.run, request.target
    tracking.log_inputs(run, request.text.by_split())
    corpus = stages.result("corpus", read_corpus.submit(request.text, config.corpus, run))
    edits = stages.result("edit requests", keep_edits.submit(request.edits, run))
    facts = stages.result("edit requests", keep_edits.submit(request.facts, run), "known") if request.facts else edits
    wiring = Wiring(run=run)
    edited = declare_edit(target, corpus, edits, facts, config, request.patches, force)
    patched = Call(apply_patches, target, (*request.patches, edited), "edited")
    before = Call(apply_patches, target, request.patches, "target") if request.patches else target
    scored = Call(evaluate_edits, before, patched, edits, corpus, config.evaluation, config.corpus)
    calls = [scored]
    if request.benchmarks.tasks:
        calls += [
            Call(benchmark, corpus, model, request.benchmarks, config.benchmarking, config.corpus, model=label)
            for label, model in (("target", before), ("unlearned", patched))
        ]
    wiring.submit(*calls)
    records = stages.results(wiring.waiting())
    return _conclude(stages, request, config, records)


def declare_edit(
    target: CheckpointRef,
    corpus: Any,
    edits: Any,
    facts: Any,
    config: RankOneEditingConfig,
    patches: tuple[EditPatch, ...] = (),
    force: bool = False,
) -> Call:
    """Declare the stages up to the patch: the trace, unless the layer is set, second moments, and the edit."""
    traced = None if config.edit.layer is not None else Call(trace_facts, target, facts, config.tracing)
    moments = Call(measure_second_moments, target, corpus, config.second_moments, config.corpus)
    how = (config.edit, config.bounds, config.second_moments, config.corpus)
    return Call(rome_edit, target, edits, moments, corpus, traced, *how, force, patches)
