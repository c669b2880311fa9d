"""Flow `weight-sweep`: SCRUB with the source work's three pairs of weights on one request, and its figures.

    loss curves in one plot; toxicity of the target and the three models; least, most and mean score; completions with
    their scores

A pair whose model answers in blanks or recites is not healthy on its card, whatever its loss: health stands beside the
loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas
from prefect.runtime import flow_run

from flows.methods import METHODS
from flows.scrub import require_text, scrub
from flows.steps.flow_runs import flow
from flows.steps.outcome import Outcome, StageOf
from flows.steps.prefect_ui import show_run
from flows.steps.tracked_runs import Told, open_run
from tasks import store, tracking
from tasks.artifacts import Artifact
from tasks.reporting import run_history
from tasks.reporting.weight_sweep_figures import BASELINE, Ending, Sample, SweepFigures, write_sweep
from tasks.settings.scrub_unlearning import ScrubUnlearningConfig, source_remark, weight_sweep
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json
from tasks.storage.probe_records import read_completions, read_ratings

METHOD = "weight sweep"
SAMPLES = 4
"""Prompts whose completions are shown, the same for every model: those where some model is most toxic."""
PRIVATE = ("scrub-samples.csv", "scrub.html")
"""Files that hold what models say of the forget text."""
FIGURES = ("last_loss_nats", "retain_kl_nats", "forget_kl_nats", "stereotype_preference", "healthy")
"""What is logged of a run."""
TOXICITY = ("min", "max", "mean")


@dataclass(frozen=True, kw_only=True)
class WeightSweep:
    """What the sweep made."""

    outcomes: dict[str, Outcome]
    """Pair of weights -> its run."""
    figures: Artifact
    """Plots, tables and page."""
    mlflow_run: str
    flow_run: str
    flow_run_name: str


@flow(name="weight-sweep", log_prints=False, validate_parameters=False)
def sweep_weights(request: UnlearningRequest, config: ScrubUnlearningConfig, further: int = 0) -> WeightSweep:
    """Run SCRUB with each pair of weights, and draw the source work's figures.

    Args:
        request: What is to be forgotten, and what is to be kept.
        config: Settings of `scrub`; its loss must be of form `language_model`.
        further: Epochs of one more run, of the first pair, which forgets hardest, where that stays healthy: how it
            comes to be caught; 0: none.

    Raises:
        ValueError: If it is of another form.
        BadInputError: If there is no retain text.
    """
    configs = weight_sweep(config)
    require_text(request, config)
    run = open_run(
        Told(method=METHOD, config=config, presets=METHODS["scrub"].named_presets(), params={"further": further})
    )
    try:
        show_run(run)
        outcomes = {label: scrub(request, settings) for label, settings in configs.items()}
        if further and _ending(next(iter(outcomes.values()))).healthy:
            label, settings = driven_further(configs, further)
            configs[label], outcomes[label] = settings, scrub(request, settings)
        for number, (label, outcome) in enumerate(outcomes.items(), 1):
            tracking.set_tags(
                run, {f"lethe.sweep_pair.{number}": label, f"lethe.sweep_run.{number}": outcome.mlflow_run}
            )
        figures = _publish(run, collect(outcomes, configs))
    except BaseException as error:
        tracking.close_after(error, run)
        raise
    tracking.close(run)
    return WeightSweep(
        outcomes=outcomes, figures=figures, mlflow_run=run, flow_run=str(flow_run.id), flow_run_name=str(flow_run.name)
    )


def driven_further(configs: Mapping[str, ScrubUnlearningConfig], epochs: int) -> tuple[str, ScrubUnlearningConfig]:
    """Return label and settings of the first pair's run over more epochs; the label says that it is none of the source
    work's.
    """
    label, config = next(iter(configs.items()))
    return f"{label}, driven on to {epochs} epochs", replace(config, training=replace(config.training, epochs=epochs))


def collect(outcomes: Mapping[str, Outcome], configs: Mapping[str, ScrubUnlearningConfig]) -> SweepFigures:
    """Return what the figures are drawn from; curves are those of the run that trained, be it this one or an earlier
    one.

    Args:
        outcomes: Label -> finished run.
        configs: Label -> its settings.
    """
    label, first = next(iter(outcomes.items()))
    completions = {
        BASELINE: _completions(first, "target"),
        **{label: _completions(outcome, "unlearned") for label, outcome in outcomes.items()},
    }
    preferred, rated = (first.records.get(StageOf(stage, "target")) for stage in ("stereotypes", "toxicity"))
    endings = {BASELINE: Ending(stereotype_preference=preferred.preference)} if preferred else {}
    return SweepFigures(
        configs={label: config.scrub for label, config in configs.items()},
        curves={label: _curve(outcome, "loss_nats") for label, outcome in outcomes.items()},
        toxicity={label: table.score.tolist() for label, table in completions.items() if "score" in table},
        samples=_samples(completions),
        endings=endings | {label: _ending(outcome) for label, outcome in outcomes.items()},
        scorer=rated.scorer if rated else "",
        remark=source_remark(configs[label], first.unlearned.parameters),
    )


def _curve(outcome: Outcome, metric: str) -> list[tuple[int, float]]:
    origin = outcome.made_by.get(StageOf("scrub"))
    return run_history.curve(origin, metric) if origin else []


def _ending(outcome: Outcome) -> Ending:
    verdict = read_json(store.path(outcome.scorecard) / "scorecard.json")["verdict"]
    curves = {name: _curve(outcome, name) for name in ("retain_kl_nats", "forget_kl_nats")}
    preferred = outcome.records.get(StageOf("stereotypes", "unlearned"))
    return Ending(
        **{name: points[-1][1] if points else None for name, points in curves.items()},
        stereotype_preference=preferred.preference if preferred else None,
        healthy=verdict["healthy"],
        reasons=tuple(
            reason.removeprefix("healthy: ") for reason in verdict["reasons"] if reason.startswith("healthy: ")
        ),
    )


def _completions(outcome: Outcome, model: str) -> pandas.DataFrame:
    """Return what a model said, with a `score` where somebody rated it."""
    completions, rated = (
        read_completions(outcome.records[StageOf("probing", model)]),
        outcome.records.get(StageOf("toxicity", model)),
    )
    return completions.assign(score=read_ratings(rated).score.to_numpy()) if rated else completions


def _samples(completions: Mapping[str, pandas.DataFrame]) -> list[Sample]:
    """Return completions of the same few prompts by every model."""
    scores = [table.score for table in completions.values() if "score" in table]
    rows = list(
        pandas.concat(scores, axis=1).max(axis=1).sort_values(ascending=False, kind="stable").index
        if scores
        else next(iter(completions.values())).index
    )
    chosen = {label: table.loc[sorted(rows[:SAMPLES])] for label, table in completions.items()}
    return [
        Sample(model=label, prompt=row["prompt"], completion=row["completion"], toxicity=row.get("score"))
        for label, table in chosen.items()
        for row in table.to_dict("records")
    ]


def _publish(run: str, figures: SweepFigures) -> Artifact:
    """Keep the figures, and put them into MLflow: what holds text apart from what does not."""
    digest = store.put("sweeps", lambda folder: write_sweep(folder, figures) and None, sensitivity="forget")
    artifact = Artifact(kind="sweeps", digest=digest, sensitivity="forget", origin=run)
    folder = store.path(artifact)
    for file in sorted(folder.glob("scrub*")):
        tracking.log_artifact(run, file, "forget" if file.name in PRIVATE else "public", "sweep")
    value = read_json(folder / "scrub.json")
    if value["toxicity"]:
        tracking.log_table(run, pandas.DataFrame(value["toxicity"]), "toxicity", "public")
    tracking.log_table(run, pandas.DataFrame([vars(sample) for sample in figures.samples]), "samples", "forget")
    tracking.log_metrics(run, {tracking.metric_name(name): number for name, number in _numbers(value).items()})
    return artifact


def _numbers(value: dict[str, Any]) -> dict[str, float]:
    """Return the figures of every run and of the baseline, as they are logged."""
    rows = {run["run"]: run for run in value["runs"]} | {BASELINE: value["baseline"]}
    numbers = {
        f"{label}/{name}": float(row[name])
        for label, row in rows.items()
        for name in FIGURES
        if row.get(name) is not None
    }
    return numbers | {f"{row['model']}/toxicity_{name}": row[name] for row in value["toxicity"] for name in TOXICITY}
