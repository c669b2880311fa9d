"""Flow `trace`: where a model holds facts: edit requests > causal tracing > neurons."""

from dataclasses import dataclass

from prefect.runtime import flow_run

from flows.steps.editing import check_editable, facts_to_trace
from flows.steps.flow_runs import flow
from flows.steps.judging import tracked
from flows.steps.outcome import StageOf, Stages
from flows.steps.tracked_runs import EDITING_PRESETS, Told, digests, open_run
from tasks import store, tracking
from tasks.artifacts import NeuronReport, TraceRecords
from tasks.causal_tracing import trace_facts
from tasks.edit_requests import keep_edits
from tasks.neurons import find_fact_neurons
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig

METHOD, PAPER = "trace", "arXiv:2202.05262"


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What a trace made."""

    traced: TraceRecords
    neurons: NeuronReport
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[StageOf, str]


@flow(name="trace", log_prints=False, validate_parameters=True)
def trace(request: EditingRequest, config: RankOneEditingConfig = RankOneEditingConfig()) -> Traced:
    """Trace facts: put single states of a clean run back into runs with noise on the subject; then find the neurons
    that carry them, in the layer where that helps most.

    Args:
        request: The model, and the facts as edits whose targets are not read, as files of edits, or as `facts`.
        config: All settings; `tracing` and `neurons` are read.
    """
    target, facts = check_editable(request.model), facts_to_trace(request)
    told = Told(
        method=METHOD,
        model=target.digest,
        paper=PAPER,
        config=config,
        presets=EDITING_PRESETS,
        params={"request": {"facts": len(facts)}, **digests({"target": target}, {})},
    )
    run = open_run(told)
    with tracked(run):
        stages = Stages(run=run)
        asked = stages.result("edit requests", keep_edits.submit(facts, run))
        traced = stages.result("causal tracing", trace_facts.submit(target, asked, config.tracing, run))
        found = stages.result("neurons", find_fact_neurons.submit(target, asked, traced, config.neurons, run))
        for picture in sorted(store.path(traced).glob("*.png")):
            tracking.log_artifact(run, picture, "forget", "traces")
    tracking.close(run)
    return Traced(
        traced=traced,
        neurons=found,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
        stages=stages.states,
    )
