"""Flow `sweep`: a method's settings tried out on one request; which of them come nearest to a model that never knew it
and still keep enough.

Points and figures are kept in a study, so that a sweep that was killed goes on. A trial that at a validation keeps less
than the floor stops training and is pruned; one whose trained model is in the cache already saves no steps by that, and
is scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas
from prefect.runtime import flow_run

from flows.methods import method as find_method
from flows.steps import studies
from flows.steps.dictionary import translation
from flows.steps.facts import state_facts
from flows.steps.flow_runs import flow
from flows.steps.judging import tracked
from flows.steps.outcome import Stages
from flows.steps.reading import read_text
from flows.steps.request import CheckedRequest
from flows.steps.settings import apply_settings
from flows.steps.studies import Point, Study
from flows.steps.tracked_runs import Told, digests, open_run
from flows.steps.trials import Ground, ended, identity, start, stopping
from flows.steps.unlearning import check_unlearning
from flows.steps.wiring import FACTS, Wiring
from tasks import tracking
from tasks.algorithms.verdicts.grids import Trial, best_trial, check_grid, check_sampler, grid_points
from tasks.artifacts import BadInputError
from tasks.execution.cache_keys import stage_key
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.trial import SPLITS, score_trial


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


@flow(name="sweep", log_prints=False, validate_parameters=False)
def sweep(
    request: UnlearningRequest,
    config: MethodConfig,
    method: str,
    grid: Mapping[str, tuple[str, ...]],
    budget: int = 0,
    floor: float = 0.85,
    seed: int = 0,
    sampler: str = "grid",
) -> Swept:
    """Train a method at points of a grid, and score each on the test splits of what is to be forgotten and kept.

    Args:
        request: What is to be forgotten and what is to be kept.
        config: Settings that all points share.
        method: Name in `METHODS`.
        grid: Setting -> values.
        budget: Trials at most; 0: the whole grid.
        floor: Least share of the target model's retain probability, 0 to 1.
        seed: Which points are drawn where the budget does not do for all.
        sampler: `grid` draws them all before any is tried, `tpe` each from what those before it gave.

    Raises:
        ValueError: If the grid has a setting that trials cannot differ in, or there is no such sampler.
        BadInputError: If nothing is left to score by, or a point cannot be trained; the point is named.
    """
    check_grid(grid, config)
    check_sampler(sampler, budget)
    points = grid_points(grid, 0 if sampler == "tpe" else budget, seed)
    configs = {point: stopping(apply_settings(config, list(point)), floor) for point in points}
    for settings in configs.values():
        find_method(method).require_text()(request, settings)
    checked, drawn = check_unlearning(request, config), {"sampler": sampler, "budget": budget, "seed": seed}
    told = Told(
        method=f"sweep {method}",
        model=checked.target.digest,
        config=config,
        presets=find_method(method).named_presets(),
        params={
            "grid": dict(grid),
            "floor": floor,
            "sampler": sampler,
            **digests(checked.models, checked.inputs.by_split()),
        },
    )
    run = open_run(told)
    with tracked(run):
        ground = _lay_ground(Stages(run=run), method, checked, configs, floor)
        with studies.opened(_study_name(ground, drawn), grid, **drawn) as study:
            _try_points(ground, study)
            swept = _conclude(ground, study.trials())
    tracking.close(run)
    return swept


def _try_points(ground: Ground, study: Study) -> None:
    """Run the trials that the study asks for, until it asks for none; those that it asks for at once run
    side by side.
    """
    while begun := study.ask():
        started = {point: start(ground, point, f"trial {trial.number + 1}") for point, trial in begun.items()}
        for point, trial in begun.items():
            study.tell(trial, ended(ground, point, *started[point]), ground.floor)


def _study_name(ground: Ground, options: Mapping[str, Any]) -> str:
    """Return a name that is another one for whatever might give other figures: text, models, settings, machine, and the
    code of all stages.
    """
    identity_of_sweep = {
        "trials": [identity(ground, point) for point in ground.configs],
        "baselines": ground.baselines,
        "floor": ground.floor,
    }
    return stage_key(sweep.fn, {**identity_of_sweep, **options}, numeric=True)


def _lay_ground(
    stages: Stages, method: str, request: CheckedRequest, configs: Mapping[Point, Any], floor: float
) -> Ground:
    """Read the text, and score the models that are there already."""
    run, config = stages.run, request.config
    corpus = read_text(stages, request.inputs, config.corpus)
    for split in SPLITS:
        if not corpus.documents.get(split):
            raise BadInputError(
                f"nothing is left for {split}, by which trials are scored; wanted more text, or"
                f" --{split.replace('_', '-')} FILE"
            )
    wiring, translated = (
        Wiring(run=run),
        translation(corpus, config, request.user_anchors, needs_anchors=config.needs_anchors),
    )
    wiring.submit(translated)
    scored = {
        label: score_trial.submit(corpus, model, config.probing, config.corpus, label, run)
        for label, model in request.models.items()
    }
    dictionary = stages.results(wiring.waiting())[translated.key]
    baselines = {label: stages.result("trial", future, label) for label, future in scored.items()}
    declare = find_method(method).declare()
    facts = None
    if declare(corpus, request.target, next(iter(configs.values()))).needs(FACTS):
        facts = stages.result("facts", state_facts(stages, corpus, dictionary, config))
    return Ground(
        method=method,
        declare=declare,
        request=request,
        configs=configs,
        corpus=corpus,
        dictionary=dictionary,
        facts=facts,
        baselines=baselines,
        floor=floor,
        run=run,
    )


def _conclude(ground: Ground, trials: list[Trial]) -> Swept:
    """Choose the best trial, and log all of them."""
    best = best_trial(trials)
    tracking.log_table(ground.run, trial_table(trials), "sweep", "public")
    saved = {
        "sweep/pruned": sum(trial.pruned for trial in trials),
        "sweep/steps_saved": sum(trial.steps_saved for trial in trials),
    }
    forget = {} if best.forget is None else {"sweep/best_forget": best.forget}
    tracking.log_metrics(ground.run, {**forget, "sweep/best_retain_ratio": best.retain_ratio, **saved})
    return Swept(
        trials=tuple(trials),
        best=best,
        wanted=ground.wanted,
        target_forget=ground.baselines["target"].forget,
        mlflow_run=ground.run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
    )


def trial_table(trials: list[Trial] | tuple[Trial, ...]) -> pandas.DataFrame:
    """Return a row for each trial, nearest first, and those that were pruned last."""
    rows = [
        {
            "settings": " ".join(trial.settings),
            **{name: value for name, value in asdict(trial).items() if name != "settings"},
        }
        for trial in trials
    ]
    frame = pandas.DataFrame(rows).astype({"forget": float, "distance": float})
    return frame.sort_values(["acceptable", "distance"], ascending=[False, True], ignore_index=True)
