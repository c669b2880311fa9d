"""The embedded default: build a world, train a model that knows it and one that never saw a topic, and unlearn that
topic.
"""

from dataclasses import replace

from prefect.runtime import flow_run

from flows.selective_unlearning import selective_unlearning
from flows.steps.flow_runs import flow
from flows.steps.outcome import Outcome, StageOf, Stages
from flows.steps.prefect_ui import progress_artifacts
from flows.steps.providers import settle_providers
from flows.steps.tracked_runs import Told, open_run
from flows.steps.verdict_state import concluded
from tasks import store, tracking
from tasks.algorithms.world.generator import WorldConfig
from tasks.artifacts import CheckpointRef, WorldRef
from tasks.execution import isolation
from tasks.pretraining import pretrain
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.settings.training import PretrainingConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.world import DICTIONARY, write_world

SPLITS = ("forget", "retain", "forget_test", "retain_test", "sibling", "general")


@flow(name="demo", log_prints=False)
def demo(
    topic: str = "",
    seed: int = 0,
    benchmark_data: str | None = None,
    config: SelectiveUnlearningConfig = SelectiveUnlearningConfig(),
    require_verdict: bool = False,
) -> Outcome:
    """Unlearn one topic of the embedded world.

    Args:
        topic: A ready topic, or a series; empty: the first one.
        seed: Seed of the world and of both models.
        benchmark_data: Folder with local files of benchmarks.
        config: Settings of selective unlearning.
        require_verdict: Whether the flow run fails when the verdict is not passed.
    """
    config = settle_providers(config)  # before the embedded models are trained
    request, stages = embedded_request(topic, seed)
    outcome = selective_unlearning(replace(request, benchmark_data=benchmark_data), config)
    whole = replace(
        outcome, stages={**stages, **outcome.stages}, flow_run=str(flow_run.id), flow_run_name=str(flow_run.name)
    )
    return concluded(whole, require_verdict)


def embedded_request(
    topic: str,
    seed: int,
    world_config: WorldConfig = WorldConfig(),
    pretraining: PretrainingConfig = PretrainingConfig(),
) -> tuple[UnlearningRequest, dict[StageOf, str]]:
    """Make the embedded world and its two models.

    Args:
        topic: A ready topic, or a series; empty: the first one.
        seed: Seed of the world and of both models.
        world_config: What the world holds; with series that nobody was taught, their questions are the holdout.
        pretraining: How the models are trained.

    Returns:
        Files, models and anchors, as a request; and the state of each stage.
    """
    world, models, stages = embedded_world(topic, seed, pretraining, world_config)
    folder, splits = store.path(world), (*SPLITS, *(("holdout",) if world_config.unseen else ()))
    files = {split: (str(folder / f"{split}.jsonl"),) for split in splits}
    folders = {"model": str(store.path(models["target"])), "retrained": str(store.path(models["retrained"]))}
    anchors = str(folder / DICTIONARY) if (folder / DICTIONARY).is_file() else None
    return UnlearningRequest(**files, **folders, anchors=anchors), stages


@flow(name="embedded-world", log_prints=False)
def embedded_world(
    topic: str = "",
    seed: int = 0,
    pretraining: PretrainingConfig = PretrainingConfig(),
    world_config: WorldConfig = WorldConfig(),
) -> tuple[WorldRef, dict[str, CheckpointRef], dict[StageOf, str]]:
    """Make the world and train its two models side by side.

    Args:
        topic: A ready topic, or a series; empty: the first one.
        seed: Seed of the world and of both models.
        pretraining: How they are trained.
        world_config: What the world holds.

    Returns:
        The world, the checkpoints by label, and the state of each stage.
    """
    params = {"seed": seed, "pretraining": pretraining}
    run = open_run(Told(method="pretraining", name=f"embedded world {seed}", params=params))
    isolation.begin()
    try:
        with progress_artifacts():
            stages = Stages(run=run)
            world = stages.result("world", write_world.submit(replace(world_config, seed=seed), topic, run))
            settings = replace(pretraining, seed=seed)
            text = replace(world_config, seed=seed)
            futures = {
                label: pretrain.submit(text, left_out, settings, SelectiveUnlearningConfig().corpus, label, run)
                for label, left_out in (("target", ""), ("retrained", world.topic))
            }
            models = {label: stages.result("pretraining", future, label) for label, future in futures.items()}
    except BaseException as error:
        isolation.abort()
        tracking.close_after(error, run)
        raise
    tracking.close(run)
    return world, models, stages.states
