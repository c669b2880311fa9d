"""Claims, of the real servers: `lethe up` starts both and a worker, whose pages ask where they really are; commands of
the store find them; again they run already; a flow run of theirs is purged when they are down; `lethe down` leaves no
process. With a password nobody is let in without; where what asks for it is not installed, that is said. Both keep
their rows in PostgreSQL where their variables name one, and nobody but they is told of its password.
"""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from flows.steps.flow_run_purge import PurgedFlowRuns, purge_flow_runs
from tests.stand_ins.command import called, lethe
from tests.stand_ins.postgres import PASSWORD, PROGRAMS, postgresql
from tests.stand_ins.runs import started
from tests.stand_ins.servers import free_port
from tests.stand_ins.waiting import end_of

POSTGRES = importlib.util.find_spec("psycopg2") is not None and PROGRAMS is not None
GUARDED = importlib.util.find_spec("flask_wtf") is not None


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lethe"
    lethe("down", home=tmp_path / "lethe")


def ports() -> list[str]:
    return ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]


def marked(home: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            surroundings = process.environ()
        except (psutil.Error, OSError):
            continue
        if "LETHE_SERVICES" in surroundings and surroundings.get("LETHE_HOME") == str(home):
            found.append(process.pid)
    return found


@pytest.mark.slow
def test_servers_and_worker_run_until_they_are_ended(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["up", *ports(), "--json", tmp_path / "up.json"]
    first = lethe(*words, home=home)
    assert first.returncode == 0, first.stderr
    said = json.loads((tmp_path / "up.json").read_text())
    assert said["started"] == ["prefect", "mlflow", "worker"]
    assert httpx.get(f"{said['Prefect']}/ui-settings").json()["api_url"] == f"{said['Prefect']}/api"
    (pool,) = httpx.post(f"{said['Prefect']}/api/work_pools/filter", json={}).json()
    assert (pool["name"], pool["type"], pool["status"]) == ("lethe", "process", "READY")
    assert httpx.get(said["MLflow"], headers={"Host": "elsewhere.example.org"}).status_code == 403
    again = lethe(*words, home=home)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "They run already.")

    (tmp_path / "counter").mkdir()
    with started(home, tmp_path / "counter", "hello", "0", "here") as run:
        assert end_of(run, home).returncode == 0
    (note,) = [json.loads(note.read_text()) for note in (home / "flow-runs").iterdir()]
    assert note["server"] == f"{said['Prefect']}/api"
    asked = {"experiment_ids": ["1"]}
    runs = httpx.post(f"{said['MLflow']}/api/2.0/mlflow/runs/search", json=asked).json()["runs"]
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    assert not (home / "servers").exists()

    assert lethe("down", home=home).stdout == "Ended: worker, mlflow, prefect.\n"
    assert marked(home) == []
    assert lethe("down", home=home).stdout == "Nothing runs.\n"
    monkeypatch.setenv("LETHE_HOME", str(home))
    assert purge_flow_runs() == PurgedFlowRuns(runs=1)


@pytest.mark.slow
@pytest.mark.skipif(not GUARDED, reason="Flask-WTF is not installed: pip install 'lethe[auth]'")
def test_nobody_is_let_in_without_the_password(home: Path, tmp_path: Path) -> None:
    any_host = ["--host", "0.0.0.0", "--name", "localhost"]  # noqa: S104 - what the password is for
    ended = lethe("up", *any_host, *ports(), "--json", tmp_path / "up.json", home=home)
    assert ended.returncode == 0, ended.stderr
    said = json.loads((tmp_path / "up.json").read_text())
    password = (home / "services" / "password").read_text()
    asked = [f"{said['Prefect']}/api/admin/version", f"{said['MLflow']}/api/2.0/mlflow/experiments/get?experiment_id=1"]
    assert [httpx.get(address).status_code for address in asked] == [401, 401]
    assert [httpx.get(address, auth=("lethe", password)).status_code for address in asked] == [200, 200]
    texts = [ended.stdout, ended.stderr, *(log.read_text() for log in Path(said["Logs"]).glob("*.log"))]
    assert [text for text in texts if password in text] == []
    lines = [word for number in marked(home) for word in psutil.Process(number).cmdline()]
    assert [word for word in lines if password in word] == []
    (tmp_path / "counter").mkdir()
    with started(home, tmp_path / "counter", "hello", "0", "here") as run:
        assert end_of(run, home).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="psycopg2 or PostgreSQL is not installed: pip install 'lethe[postgres]'")
def test_rows_are_in_postgresql_where_it_is_asked_for(home: Path, tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text

    with postgresql() as make:
        found = {name: make(name) for name in ("prefect", "mlflow")}
        variables = {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": found["prefect"].replace("postgresql:", "postgresql+asyncpg:"),
            "MLFLOW_BACKEND_STORE_URI": found["mlflow"],
        }
        ended = lethe("up", *ports(), home=home, new=True, **variables)
        assert ended.returncode == 0, ended.stderr
        processes = [psutil.Process(number) for number in marked(home)]
        assert [one.cmdline() for one in processes if PASSWORD in str(one.cmdline())] == []
        of_worker = [one for one in processes if "worker" in one.cmdline()]
        assert [bool(set(variables) & set(one.environ())) for one in of_worker] == [False]
        (tmp_path / "counter").mkdir()
        with started(home, tmp_path / "counter", "hello", "0", "here") as run:
            assert end_of(run, home).returncode == 0
        rows = {}
        for name, table in (("prefect", "flow_run"), ("mlflow", "runs")):
            engine = create_engine(found[name])
            with engine.connect() as connection:
                rows[name] = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()  # noqa: S608
            engine.dispose()
        assert rows["prefect"] == 1
        assert rows["mlflow"] >= 1
        assert not (home / "mlflow.db").exists()
        logs = [log.read_text() for log in (home / "forget" / "logs").rglob("*.log")]
        assert [log for log in [ended.stdout, ended.stderr, *logs] if PASSWORD in log] == []
        assert lethe("down", home=home).returncode == 0


@pytest.mark.skipif(GUARDED, reason="Flask-WTF is installed")
def test_without_what_asks_for_passwords_no_server_is_started(tmp_path: Path) -> None:
    ended = called("up", "--auth", home=tmp_path / "lethe")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert ended.stderr.startswith("lethe: MLflow asks for a password only with the package Flask-WTF")


def test_nothing_is_ended_where_nothing_runs(tmp_path: Path) -> None:
    ended = called("down", home=tmp_path / "lethe")
    assert (ended.returncode, ended.stdout, os.listdir(tmp_path / "lethe")) == (0, "Nothing runs.\n", ["locks"])
