"""Flow `sweep`: a method's settings tried out on one request; which of them come nearest to a model that never knew it and still keep enough."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas
from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.methods import method as find_method
from flows.steps.dictionary import translation
from flows.steps.judging import tracked
from flows.steps.outcome import StageOf, Stages
from flows.steps.request import CheckedRequest
from flows.steps.settings import apply_settings
from flows.steps.unlearning import check_unlearning
from flows.steps.wiring import DICTIONARY, Call, Wiring
from tasks import tracking
from tasks.algorithms.verdicts.grids import Trial, best_trial, check_grid, grid_points, judge_trial
from tasks.artifacts import BadInputError, CorpusRef
from tasks.corpus import read_corpus
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.trial import SPLITS, TrialFigures, score_trial


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep found."""

    trials: tuple[Trial, ...]
    best: Trial
    wanted: float
    """The retrained model's probability of what is to be forgotten; 0 where there is none."""
    target_forget: float
    mlflow_run: str
    flow_run: str
    flow_run_name: str


@flow(name="sweep", task_runner=ThreadPoolTaskRunner(max_workers=2), log_prints=False, validate_parameters=False)
def sweep(
    request: UnlearningRequest, config: MethodConfig, method: str, grid: Mapping[str, tuple[str, ...]], budget: int = 0, floor: float = 0.85, seed: int = 0
) -> Swept:
    """Train a method at every point of a grid, and score each on the test splits of what is to be forgotten and kept.

    Args:
        request: What is to be forgotten and what is to be kept.
        config: Settings that all points share.
        method: Name in `METHODS`.
        grid: Setting -> values.
        budget: Trials at most; 0: the whole grid.
        floor: Least share of the target model's retain probability, 0 to 1.
        seed: Which points are drawn where the budget does not do for all.

    Raises:
        ValueError: If the grid has a setting that trials cannot differ in.
        BadInputError: If nothing is left to score by, or a point cannot be trained; the point is named.
    """
    check_grid(grid, config)
    configs = {point: apply_settings(config, list(point)) for point in grid_points(grid, budget, seed)}
    for settings in configs.values():
        find_method(method).require_text()(request, settings)
    checked = check_unlearning(request, config)
    run = tracking.open_run(f"sweep {method}", {"method": method, "grid": dict(grid), "floor": floor}, {"lethe.method": f"sweep {method}"})
    with tracked(run):
        swept = _run_trials(Stages(run=run), checked, method, configs, floor)
    tracking.close(run)
    return swept


def _run_trials(stages: Stages, request: CheckedRequest, method: str, configs: dict[tuple[str, ...], Any], floor: float) -> Swept:
    run, declare, config = stages.run, find_method(method).declare(), request.config
    corpus = stages.result("corpus", read_corpus.submit(request.inputs, config.corpus, run))
    for split in SPLITS:
        if not corpus.documents.get(split):
            raise BadInputError(f"nothing is left for {split}, by which trials are scored; wanted more text, or --{split.replace('_', '-')} FILE")
    wiring, translated = Wiring(run=run), translation(corpus, config, request.user_anchors, needs_anchors=config.needs_anchors)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    baselines = {label: _scored(corpus, model, config, run) for label, model in request.models.items()}
    found = {label: stages.result("trial", future, label) for label, future in baselines.items()}
    wanted = found["retrained"].forget if "retrained" in found else 0.0
    started = {}
    for point, settings in configs.items():
        tags = {"lethe.method": method, "mlflow.parentRunId": run}
        own = Stages(run=tracking.open_run(f"trial {len(started) + 1}", {"settings": " ".join(point)}, tags))  # its stages have names of their own there
        unlearned, trial = declare(corpus, request.target, settings), Wiring(run=own.run, values={DICTIONARY: dictionary})
        trial.submit(unlearned, Call(score_trial, corpus, unlearned, config.probing, config.corpus))
        started[point] = own, trial.waiting()
    trials = []
    for point, (own, waiting) in started.items():
        scores = _waited_for(point, own, waiting)
        tracking.close(own.run)
        trials.append(judge_trial(point, scores.forget, scores.retain, found["target"].retain, wanted, floor))
    tracking.log_table(run, trial_table(trials), "sweep", "public")
    best = best_trial(trials)
    tracking.log_metrics(run, {"sweep/best_forget": best.forget, "sweep/best_retain_ratio": best.retain_ratio})
    return Swept(
        trials=tuple(trials),
        best=best,
        wanted=wanted,
        target_forget=found["target"].forget,
        mlflow_run=run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
    )


def _waited_for(point: tuple[str, ...], stages: Stages, waiting: Mapping[StageOf, Any]) -> TrialFigures:
    """Wait for all stages of a trial, in their order: one that waits for another that failed only says that it never began."""
    try:
        return stages.results(waiting)[StageOf("trial")]
    except (BadInputError, FloatingPointError) as error:
        raise BadInputError(f"{' '.join(point)}: {error}") from error


def _scored(corpus: CorpusRef, model: Any, config: Any, run: str) -> Any:
    return score_trial.submit(corpus, model, config.probing, config.corpus, run)


def trial_table(trials: list[Trial] | tuple[Trial, ...]) -> pandas.DataFrame:
    """Return a row for each trial, nearest first."""
    rows = [{"settings": " ".join(trial.settings), **{name: value for name, value in asdict(trial).items() if name != "settings"}} for trial in trials]
    return pandas.DataFrame(rows).sort_values(["acceptable", "distance"], ascending=[False, True], ignore_index=True)
