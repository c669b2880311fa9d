"""Claims: a deployment's parameters are what the environment says; what is needed and not set, or not there, is refused
by name; and the file reads nothing that no step provides.
"""

import asyncio
import os
import re
from pathlib import Path

import pytest
import yaml
from prefect.deployments.steps.core import run_step

from flows.methods import AUTOMATIC, METHODS
from flows.steps import deploying
from tasks.artifacts import BadInputError
from tests.stand_ins.command import ROOT

FILE = ROOT / "deployments" / "prefect.yaml"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("LETHE_")]:
        monkeypatch.delenv(name)
    for name in ("book.txt", "kept.txt", "more.txt", "edits.jsonl"):
        (tmp_path / name).write_text("words\n")
    monkeypatch.setenv("LETHE_CHECKOUT", str(tmp_path))
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "lethe"))
    return tmp_path


def test_what_is_set_is_the_request(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_FORGET", "book.txt")  # of the checkout, which is where the worker runs
    monkeypatch.setenv("LETHE_MODEL", "some/model")
    monkeypatch.setenv("LETHE_RETAIN_TEST", os.pathsep.join((str(checkout / "kept.txt"), " ", "more.txt")))
    assert deploying.unlearning_request() == {
        "request": {
            "forget": ["book.txt"],
            "model": "some/model",
            "retain_test": [str(checkout / "kept.txt"), "more.txt"],
        }
    }


def test_edits_and_what_is_judged_have_variables_of_their_own(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EDITS": "edits.jsonl",
        "MODEL": "m",
        "FORGET": "book.txt",
        "JUDGED": "models:/m@unlearned",
    }.items():
        monkeypatch.setenv(f"LETHE_{name}", value)
    assert deploying.editing_request() == {"request": {"model": "m", "edit_files": ["edits.jsonl"]}}
    assert deploying.evaluation_request() == {
        "request": {"forget": ["book.txt"], "model": "m"},
        "judged": "models:/m@unlearned",
    }


def test_the_monitor_watches_a_model_that_is_named_and_else_those_of_all_requests(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploying.monitored() == deploying.places() == {}
    monkeypatch.setenv("LETHE_JUDGED", "models:/m@edited")
    with pytest.raises(BadInputError, match=r"^LETHE_FORGET is not set"):
        deploying.monitored()
    monkeypatch.setenv("LETHE_FORGET", "book.txt")
    assert deploying.monitored() == {"request": {"forget": ["book.txt"]}, "judged": "models:/m@edited"}
    monkeypatch.setenv("LETHE_HOME", "")
    with pytest.raises(BadInputError, match=r"^LETHE_HOME is not set"):
        deploying.places()


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, r"^LETHE_FORGET, LETHE_MODEL are not set; wanted all of them$"),
        ({"LETHE_FORGET": " ", "LETHE_MODEL": "m"}, r"^LETHE_FORGET is not set; wanted all of them$"),
        ({"LETHE_FORGET": "book.txt", "LETHE_MODEL": "m", "LETHE_HOME": ""}, "^LETHE_HOME is not set"),
        ({"LETHE_FORGET": "gone.txt", "LETHE_MODEL": "m"}, "^LETHE_FORGET: gone.txt does not exist"),
        (
            {"LETHE_FORGET": "book.txt", "LETHE_MODEL": "m", "LETHE_RETAIN": "gone"},
            "^LETHE_RETAIN: gone does not exist",
        ),
        (
            {"LETHE_FORGET": "book.txt", "LETHE_MODEL": "m", "LETHE_CHECKOUT": "/gone"},
            "^LETHE_CHECKOUT: /gone does not exist",
        ),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], line: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInputError, match=line):
        deploying.unlearning_request()


def test_prefect_runs_every_step_and_each_parameter_is_of_one(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORGET", "EDITS"):
        monkeypatch.setenv(f"LETHE_{name}", "book.txt")
    for name in ("MODEL", "JUDGED"):
        monkeypatch.setenv(f"LETHE_{name}", "m")
    for deployment in yaml.safe_load(FILE.read_text())["deployments"]:
        (step,) = deployment["build"]
        made = asyncio.run(run_step(step))
        read = re.findall(r"\{\{ read\.(\w+) \}\}", yaml.safe_dump(deployment["parameters"]))
        assert set(read) == set(made), deployment["name"]


def test_every_flow_that_judges_is_deployed_once_and_one_run_at_a_time() -> None:
    deployments = yaml.safe_load(FILE.read_text())["deployments"]
    entrypoints = [deployment["entrypoint"] for deployment in deployments]
    assert len(set(entrypoints)) == len(entrypoints)
    judging = {method.entrypoint for method in (METHODS | AUTOMATIC).values()}
    assert judging <= set(entrypoints)
    assert {"flows.evaluation:evaluate", "flows.rank_one_editing:rank_one_editing"} <= set(entrypoints)
    assert {"flows.scheduled_reunlearning:scheduled_reunlearning", "flows.benchmark:benchmark"} <= set(entrypoints)
    for deployment in deployments:
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert "lethe" in deployment["tags"]
