"""Edits that each stand alone, by any editor: corpus > edits > causal tracing > second moments > single edits."""

from dataclasses import dataclass

from prefect.runtime import flow_run

from flows.rank_one_editing import gather
from flows.steps.editing import check_editing, told_of
from flows.steps.flow_runs import flow
from flows.steps.judging import tracked
from flows.steps.outcome import StageOf, Stages
from flows.steps.providers import settle_translation
from flows.steps.tracked_runs import open_run
from flows.steps.wiring import Call, Wiring
from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, EditScores, EditSet, TraceRecords
from tasks.causal_tracing import trace_facts
from tasks.patches import apply_patches
from tasks.second_moments import measure_second_moments
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import ONE_LAYER, RANK_ONE, RankOneEditingConfig
from tasks.single_edits import judge_single_edits
from tasks.storage.edit_records import SCORES

METHOD, PAPER = "single edits", "arXiv:2202.05262"


@dataclass(frozen=True, kw_only=True)
class SingleEdits:
    """What judging edits one by one made."""

    scores: EditScores
    traced: TraceRecords | None
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[StageOf, str]


@flow(
    name="single-edits",
    log_prints=False,
    validate_parameters=True,
)
def single_editing(request: EditingRequest, config: RankOneEditingConfig = RankOneEditingConfig()) -> SingleEdits:
    """Make every edit alone on the model and judge it, as editors are compared; no model is handed over.

    Args:
        request: Which facts, in which model, and what else is at hand.
        config: All settings; `edit.algorithm` is the editor.

    Raises:
        BadInputError: If the request cannot be met.
    """
    checked, config = check_editing(request, config), settle_translation(config)
    if config.edit.algorithm == "mend" and not checked.facts:
        raise BadInputError("MEND learns to edit from facts that are not edited; wanted --facts FILE")
    run = open_run(told_of(METHOD, PAPER, checked, config))
    with tracked(run):
        stages, wiring = Stages(run=run), Wiring(run=run)
        on = checked.patches
        target = Call(apply_patches, checked.target, on, "target") if on else checked.target
        corpus, edits, facts = gather(stages, checked, config, erase=request.erase)
        needs = _needs(target, corpus, facts, config)
        how = (config.edit, config.baselines, config.second_moments, config.evaluation)
        judged = Call(judge_single_edits, target, edits, *needs, *how, corpus)
        wiring.submit(judged)
        records = stages.results(wiring.waiting())
        tracking.log_artifact(run, store.path(records[judged.key]) / SCORES, "forget", "scorecard")
    tracking.close(run)
    return SingleEdits(
        scores=records[judged.key],
        traced=records.get(StageOf("causal tracing")),
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
    )


def _needs(
    target: CheckpointRef | Call, corpus: CorpusRef, facts: EditSet, config: RankOneEditingConfig
) -> tuple[Call | None, Call | None, EditSet | None]:
    """Return what the editor needs and the others do not: second moments, a trace, facts to learn from."""
    editor = config.edit.algorithm
    moments = Call(measure_second_moments, target, corpus, config.second_moments, config.corpus)
    traced = Call(trace_facts, target, facts, config.tracing)
    return (
        moments if editor in RANK_ONE else None,
        traced if editor in ONE_LAYER and config.edit.layer is None else None,
        facts if editor == "mend" else None,
    )
