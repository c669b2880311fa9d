"""What a flow run hands back, and how it waits for its stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prefect.futures import PrefectFuture

from flows.steps import interruption
from tasks import store, tracking
from tasks.artifacts import (
    AnchorTable,
    Artifact,
    BenchmarkResult,
    CheckpointRef,
    CoverageReport,
    FactTable,
    ReportRef,
    Scorecard,
)
from tasks.execution.cache_keys import artifacts_in
from tasks.models import adapter_files


class StageOf(NamedTuple):
    """A stage of a run and, where it looks at one of several models, that model's label; or what else tells it from
    others of its kind.
    """

    stage: str
    model: str = ""

    def __str__(self) -> str:
        return f"{self.stage} {self.model}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that a finished run made, as records."""

    unlearned: CheckpointRef
    dictionary: AnchorTable
    scorecard: Scorecard
    report: ReportRef
    """In full: it holds what was to be forgotten."""
    redacted_report: ReportRef
    """For anyone to read."""
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[StageOf, str]
    """`Completed` where a stage was computed, `Cached` where it was not."""
    made_by: dict[StageOf, str] = field(default_factory=dict)
    """The tracked run that computed a stage's artifact."""
    records: dict[StageOf, Any] = field(default_factory=dict)
    """What a stage made, of those that train and measure."""
    model_version: str = ""
    """Registered model and version."""
    benchmarks: tuple[BenchmarkResult, ...] = ()
    """Of each model."""
    facts: FactTable | None = None
    """What the text states, where something was unlearned."""
    coverage: CoverageReport | None = None
    """What the target model tells beside the given text, where it was asked."""
    compatible: Artifact | None = None
    """The figures in another project's layout, where they were asked for."""


@dataclass(kw_only=True)
class Stages:
    """The stages of one run that are under way."""

    run: str
    states: dict[StageOf, str] = field(default_factory=dict)
    made_by: dict[StageOf, str] = field(default_factory=dict)
    """The tracked run that computed a stage's artifact, in this flow run or in an earlier one."""

    def result(self, stage: str, future: PrefectFuture[Any], model: str = "") -> Any:
        """Wait for a stage; a cache hit is linked to the run that made the artifact.

        Args:
            stage: Its name.
            future: What its task run will make.
            model: Label of the model that it looks at.
        """
        interruption.check()
        record = future.result()
        interruption.check()
        key = StageOf(stage, model)
        self.states[key] = future.state.name
        artifacts = artifacts_in(record)
        if artifacts and artifacts[0].origin:
            self.made_by[key] = artifacts[0].origin
            if self.run and future.state.name == "Cached":
                tracking.link_cached(self.run, str(key), artifacts[0])
            else:
                tracking.mark_made(artifacts[0])
        return record

    def results(self, waiting: Mapping[StageOf, PrefectFuture[Any]]) -> dict[StageOf, Any]:
        """Wait for stages in their order."""
        return {key: self.result(key.stage, future, key.model) for key, future in waiting.items()}


def adapter_origin(unlearned: CheckpointRef) -> dict[str, str]:
    """Return what an unlearned model that is an adapter belongs to and how it is taken off; nothing for a
    whole model.
    """
    base = adapter_files.noted_base(store.path(unlearned))
    if base is None:
        return {}
    return {
        "adapter base": base.digest,
        "adapter taken off by": "loading the base model, whose files were not changed, without the adapter",
    }
