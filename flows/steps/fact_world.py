"""The embedded fact world where a person names no model: its facts, its text, and a small model that knows them."""

from dataclasses import replace

from flows.steps.flow_runs import flow
from flows.steps.judging import tracked
from flows.steps.outcome import Stages
from flows.steps.tracked_runs import Told, open_run
from tasks import store, tracking
from tasks.artifacts import CheckpointRef, FactWorldRef
from tasks.fact_model import train_fact_model
from tasks.fact_world import CASES, EDITS, write_fact_world
from tasks.settings.editing_request import EditingRequest
from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

TUNING = next(file for file, purpose in EDITS.items() if purpose == "tuning")
"""Facts that no figure is measured on: the layer is traced on them."""
TEXT = "text.jsonl"


@flow(name="embedded-facts", log_prints=False, validate_parameters=True)
def embedded_facts(
    world: FactWorldConfig = FactWorldConfig(), model: FactModelConfig = FactModelConfig()
) -> tuple[FactWorldRef, CheckpointRef]:
    """Make the fact world and the model that knows it.

    Args:
        world: How many facts there are, and how they are told.
        model: How the model is trained.
    """
    params = {"world": world, "model": model}
    run = open_run(Told(method="pretraining", name=f"fact world {world.seed}", params=params))
    with tracked(run):
        stages = Stages(run=run)
        made = stages.result("fact world", write_fact_world.submit(world, run))
        trained = stages.result("fact model", train_fact_model.submit(world, model, (), "target", run), "target")
    tracking.close(run)
    return made, trained


def with_embedded_model(request: EditingRequest, seed: int) -> EditingRequest:
    """Return a request with a model: where it names none, the embedded fact model, with its world's text and facts, and
    its case studies where there is nothing to edit either.
    """
    if request.model:
        return request
    made, trained = embedded_facts(FactWorldConfig(seed=seed), FactModelConfig(seed=seed))
    folder = store.path(made)
    return replace(
        request,
        model=str(store.path(trained)),
        edit_files=request.edit_files or (() if request.edits or request.forget else (str(folder / CASES),)),
        facts=request.facts or (str(folder / TUNING),),
        text=request.text or (str(folder / TEXT),),
    )
