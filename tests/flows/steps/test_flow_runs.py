"""Claims: Prefect is told of a flow's parameters settings, numbers and choices, and of all else a reference that says
nothing; every run is noted with its server, also one that fails before it begins; every flow of ours is so declared.
"""

import importlib
import json
import pickle
import pkgutil
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from prefect import Flow, get_client
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL, temporary_settings

import flows
from flows.steps import flow_runs, temporary_server
from flows.steps.flow_runs import PrivateFlow, flow
from tasks import store
from tasks.execution import serving
from tasks.execution.serving import Serving
from tasks.settings.labels import LabelConfig
from tasks.settings.servers import ServersConfig
from tasks.settings.unlearning_request import UnlearningRequest

REQUEST = UnlearningRequest(forget=("/texts/Velmora.txt",), model="/models/one")


@flow(name="take-a-request", log_prints=False)
def take(
    request: UnlearningRequest,
    config: LabelConfig = LabelConfig(),
    form: Literal["one", "two"] = "one",
    topic: str = "x",
) -> str:
    """Say which run it is."""
    from prefect.runtime import flow_run

    return str(flow_run.id)


def kept(run: str) -> dict[str, Any]:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).parameters


def test_prefect_keeps_settings_and_references(flow_home: Path) -> None:
    first, second = (kept(take(REQUEST, LabelConfig(alpha=2), form="two", topic=topic)) for topic in ("Ostrin", "Oz"))
    assert set(first) == {"request", "config", "form", "topic", "runner"}
    assert first["runner"] == {"address": "", "reproducible": "auto"}
    assert (first["config"]["alpha"], first["form"]) == (2, "two")
    assert not [word for word in ("Velmora", "/texts", "/models", "Ostrin") if word in json.dumps(first)]
    assert first["request"] == second["request"]  # the same request can be told
    assert first["topic"] != second["topic"]
    assert first["topic"].startswith("reference ")


def test_a_run_is_noted_with_its_server_and_how_long_it_is_kept(
    flow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "2")
    before = time.time()
    run = take(REQUEST)
    note = json.loads((flow_home / flow_runs.ROOM / run).read_text())
    assert note["server"] == PREFECT_API_URL.value()
    assert before <= note["created"] <= time.time()
    assert note["keep_until"] == pytest.approx(note["created"] + 2 * 86_400)


def test_one_that_fails_before_it_begins_is_noted_too(flow_home: Path) -> None:
    with pytest.raises(ParameterTypeError):
        take({"forget": ["/texts/Velmora.txt"], "modle": 3})
    assert len(list((flow_home / flow_runs.ROOM).iterdir())) == 1


def test_the_run_of_a_temporary_server_is_noted_with_its_database(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_server, "_address", "http://127.0.0.1:9/api")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert flow_runs._place()["server"].startswith("sqlite+aiosqlite:///")
    with temporary_settings({PREFECT_API_URL: "http://me:secret@127.0.0.1:9/api"}):
        assert flow_runs._place() == {"server": "http://127.0.0.1:9/api"}


def test_the_run_of_the_stores_own_server_is_noted_with_its_database_too(lethe_home: Path) -> None:
    serving.write(Serving(config=ServersConfig(prefect_port=9), mark="mark", services=(), logs=""))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        place = flow_runs._place()
    assert place["server"] == "http://127.0.0.1:9/api"
    assert place["database"].startswith("sqlite+aiosqlite:///")


def test_a_reference_is_the_stores_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("LETHE_HOME", str(tmp_path / name))
        found.append(flow_runs._reference(["/texts/Velmora.txt"]))
        assert (store.home() / "secret").is_file()
    assert found[0] != found[1]


def test_a_flow_goes_to_a_worker_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(take)) is take  # noqa: S301 - our own bytes


def test_every_flow_is_declared_so() -> None:
    modules = [found.name for found in pkgutil.walk_packages(flows.__path__, "flows.")]
    declared = {
        name: value
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, Flow)
    }
    assert {"selective_unlearning", "sweep", "_look", "trace"} <= set(declared)
    assert [name for name, value in declared.items() if not isinstance(value, PrivateFlow)] == []
