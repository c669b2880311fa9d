"""A trial of a sweep: a method trained with the settings of one point of a grid, and scored; or pruned, where its
training was given up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from flows.steps.outcome import StageOf, Stages
from flows.steps.request import CheckedRequest
from flows.steps.studies import Point
from flows.steps.tracked_runs import Told, open_run
from flows.steps.unlearning import Declare
from flows.steps.wiring import DICTIONARY, FACTS, Call, Later, Wiring, replaced
from tasks import tracking
from tasks.algorithms.verdicts.grids import Trial, judge_trial, pruned_trial
from tasks.artifacts import AnchorTable, BadInputError, BelowFloorError, CorpusRef, FactTable
from tasks.execution.cache_keys import stage_key
from tasks.settings.evaluation import MethodConfig
from tasks.settings.training import TrainingConfig
from tasks.trial import TrialFigures, score_trial


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all trials of a sweep stand on."""

    method: str
    """Name in `METHODS`."""
    declare: Declare
    """The method's stages."""
    request: CheckedRequest
    """With the settings that no trial changes."""
    configs: Mapping[Point, Any]
    """Point of the grid -> settings of its trial."""
    corpus: CorpusRef
    dictionary: AnchorTable
    baselines: Mapping[str, TrialFigures]
    """`target`, and `retrained` where there is one."""
    floor: float
    """Least share of the target model's retain probability, 0 to 1."""
    run: str
    facts: FactTable | None = None
    """What the text states, where the method works on that."""

    @property
    def values(self) -> dict[Later, Any]:
        """What the method's stages are given beside corpus and model."""
        return {DICTIONARY: self.dictionary, FACTS: self.facts}

    @property
    def wanted(self) -> float:
        """The retrained model's probability of what is to be forgotten; 0 where there is none."""
        return self.baselines["retrained"].forget if "retrained" in self.baselines else 0.0

    def judged(self, point: Point, figures: TrialFigures) -> Trial:
        """Hold a trial's figures against the baselines."""
        return judge_trial(
            point, figures.forget, figures.retain, self.baselines["target"].retain, self.wanted, self.floor
        )


def stopping(config: MethodConfig, floor: float) -> MethodConfig:
    """Return settings whose training is given up at a validation that finds less kept than the floor; where they say
    when, they stay.
    """
    trained = {name: section for name, section in trained_sections(config).items() if section.stop_below is None}
    return replace(config, **{name: replace(section, stop_below=floor) for name, section in trained.items()})


def trained_sections(config: MethodConfig) -> dict[str, TrainingConfig]:
    """Return the method's own settings of training by section; the last of them is what the unlearned model comes
    from.
    """
    own = [field.name for field in fields(config) if field.name not in {shared.name for shared in fields(MethodConfig)}]
    return {name: section for name in own if isinstance(section := getattr(config, name), TrainingConfig)}


def declared(ground: Ground, point: Point) -> Call:
    """Declare the stages of a trial, up to its score."""
    unlearned = ground.declare(ground.corpus, ground.request.target, ground.configs[point])
    return Call(score_trial, ground.corpus, unlearned, ground.request.config.probing, ground.request.config.corpus)


def identity(ground: Ground, point: Point) -> list[Any]:
    """Return what a trial's figures follow from: the keys of all its stages, known before any is made, and where its
    training stops, which keys leave out.
    """
    stops = [section.stop_below for section in trained_sections(ground.configs[point]).values()]
    return [" ".join(point), _key(declared(ground, point), ground.values), stops]


def _key(call: Call, values: Mapping[Later, Any]) -> str:
    """Return the key of a call from what it is given and from the keys of the calls that it needs, before
    any is made.
    """
    arguments = [
        replaced(one, lambda awaited: _key(awaited, values) if isinstance(awaited, Call) else values[awaited])
        for one in call.arguments
    ]
    return stage_key(call.stage.body, {str(place): one for place, one in enumerate(arguments)}, numeric=True)


def start(ground: Ground, point: Point, name: str) -> tuple[Stages, dict[StageOf, Any]]:
    """Submit the stages of a trial; they have a run, and so names, of their own."""
    settings = dict(word.split("=", 1) for word in point)
    told = Told(
        method=ground.method,
        model=ground.request.target.digest,
        name=name,
        params={"settings": settings},
        tags={"mlflow.parentRunId": ground.run},
    )
    stages = Stages(run=open_run(told))
    wiring = Wiring(run=stages.run, values=ground.values)
    wiring.submit(declared(ground, point))
    return stages, wiring.waiting()


def ended(ground: Ground, point: Point, stages: Stages, waiting: Mapping[StageOf, Any]) -> Trial:
    """Wait for all stages of a trial, in their order: one that waits for another that failed only says that it never
    began.
    """
    try:
        trial = ground.judged(point, stages.results(waiting)[StageOf("trial")])
    except BelowFloorError as error:
        trial = pruned_trial(point, error.retain_ratio, error.steps - error.step)
        tracking.set_tags(stages.run, {"lethe.pruned": "true"})
        tracking.log_metrics(stages.run, {"steps_saved": trial.steps_saved, "retain_ratio": trial.retain_ratio})
    except (BadInputError, FloatingPointError) as error:
        raise BadInputError(f"{' '.join(point)}: {error}") from error
    tracking.close(stages.run)
    return trial
