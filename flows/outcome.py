"""What a flow run hands back, and how it waits for its stages."""

from dataclasses import dataclass, field
from typing import Any

from prefect.futures import PrefectFuture

from tasks import tracking
from tasks.artifacts import AnchorTable, Artifact, BenchmarkResult, CheckpointRef, ReportRef, Scorecard
from tasks.caching import artifacts_in


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that a finished run made, as records."""

    unlearned: CheckpointRef
    dictionary: AnchorTable
    scorecard: Scorecard
    report: ReportRef
    mlflow_run: str
    flow_run: str
    flow_run_name: str
    stages: dict[str, str]
    """Stage -> `Completed` where it was computed, `Cached` where it was not."""
    model_version: str = ""
    """Registered model and version."""
    benchmarks: tuple[BenchmarkResult, ...] = ()
    """Of each model."""
    compatible: Artifact | None = None
    """The figures in another project's layout, where they were asked for."""


@dataclass(kw_only=True)
class Stages:
    """The stages of one run that are under way."""

    run: str
    states: dict[str, str] = field(default_factory=dict)

    def result(self, name: str, future: PrefectFuture[Any]) -> Any:
        """Wait for a stage; a cache hit is linked to the run that made the artifact."""
        record = future.result()
        self.states[name] = future.state.name
        made = artifacts_in(record)
        if future.state.name == "Cached" and made and made[0].origin:
            tracking.link_cached(self.run, name, made[0])
        return record
