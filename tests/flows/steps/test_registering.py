"""Claims, in flows against a real registry: what the cache has registered is not registered again, and no alias moves;
a version that was deleted there, or whose model was, is registered anew; the report is that of the run that wrote it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from flows.steps.outcome import StageOf, Stages
from flows.steps.registering import registered, report_places
from tasks import registration, tracking
from tasks.artifacts import CheckpointRef
from tasks.execution import isolation
from tasks.removals.aliases import Made
from tasks.tracking_registry import aliased, versions
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.removals import TARGET, made

NAME = "lethe-whp-7a7a7a7a"


@pytest.fixture(autouse=True)
def home(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(isolation, "run_isolated", in_this_process)
    # the weights are no part of the claims
    monkeypatch.setattr(
        registration, "_register", lambda run, unlearned, name: str(made(name, unlearned.digest).number)
    )
    yield flow_home
    isolation.begin()


def checkpoint(digest: str) -> CheckpointRef:
    return CheckpointRef(
        kind="checkpoints", digest=digest * 64, sensitivity="ordinary", parameters=1, label="unlearned"
    )


@flow(log_prints=False)
def registering(digest: str, passed: bool = True) -> tuple[str, str]:
    """Return the version in words, and the state of the stage."""
    stages = Stages(run=tracking.open_run("registering", {}, {}))
    told = Made(method="whp", target=TARGET.digest, passed=passed, evidence="behavioural", **report_places(stages))
    words = registered(stages, checkpoint(digest), NAME, told)
    tracking.close(stages.run)
    return words, stages.states[StageOf("registration")]


def test_a_rollback_survives_a_cached_run_and_the_next_new_version_moves_the_alias_on() -> None:
    assert registering("a") == (f"{NAME} version 1", "Completed")
    assert registering("b") == (f"{NAME} version 2", "Completed")
    assert aliased(NAME, "unlearned") == 2
    tracking.client().set_registered_model_alias(NAME, "unlearned", "1")
    assert registering("b") == (f"{NAME} version 2", "Cached")
    assert (aliased(NAME, "unlearned"), aliased(NAME, "candidate")) == (1, 2)
    assert registering("c", passed=False) == (f"{NAME} version 3", "Completed")
    assert (aliased(NAME, "unlearned"), aliased(NAME, "candidate")) == (1, 3)
    assert registering("d") == (f"{NAME} version 4", "Completed")
    assert (aliased(NAME, "unlearned"), aliased(NAME, "candidate")) == (4, 4)


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_deleted_in_the_registry_is_registered_anew_once(whole: bool) -> None:
    registering("a")
    api = tracking.client()
    if whole:
        api.delete_registered_model(NAME)
        made(NAME, "e" * 64)  # somebody else's, under the number that the cache tells of
    else:
        api.delete_model_version(NAME, "1")
    number = 2 if whole else 1
    again = registering("a")
    assert again[1] == "Completed"
    found = versions(NAME)[0]
    assert (again[0], found.tags["lethe.checkpoint"]) == (f"{NAME} version {found.number}", "a" * 64)
    assert found.number >= number
    assert (aliased(NAME, "candidate"), aliased(NAME, "unlearned")) == (found.number, found.number)
    assert registering("a") == (again[0], "Cached")
    assert len(versions(NAME)) == number


def test_the_report_is_that_of_the_run_that_wrote_it() -> None:
    stages = Stages(run="now")
    assert report_places(stages)["report"] == "runs:/now/report/report-redacted.html"
    stages.made_by[StageOf("report")] = "earlier"
    places = report_places(stages)
    assert places["report"] == "runs:/earlier/report/report-redacted.html"
    assert places["link"].startswith("#/experiments/")
    assert places["link"].endswith("/runs/earlier/artifacts/report/report-redacted.html")
