"""Translation by a provider through whole commands: found wanting before anything is trained, asked once, its key nowhere, its cache purged."""

import contextlib
import gc
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.plan import Plan, plan
from flows.settings import apply_settings
from tasks import formats, store
from tasks.algorithms.config import SelectiveUnlearningConfig, preset
from tasks.algorithms.providers import ProviderConfig
from tasks.artifacts import BadInputError
from tests.command import lethe
from tests.openai_server import MODEL, ScriptedServer, asked, passages, scripted_server
from tests.tiny import NAMES, SETTINGS, TinyTask

KEY = "sk-not-to-be-seen-5f2a"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """Prefect's clients leave their sockets to the garbage collector: better here, where their warnings are ignored, than after the last test."""
    yield
    gc.collect()


def dead() -> str:
    """An address where nothing listens."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def asking(url: str, fallback: str = "none", **changes: Any) -> SelectiveUnlearningConfig:
    config = apply_settings(preset("default"), list(SETTINGS))
    provider = ProviderConfig(**{"name": "openai-compatible", "model": MODEL, "base_url": url, "timeout_s": 20.0, "retries": 1} | changes)
    return replace(config, translation=replace(config.translation, provider=provider, fallback=fallback))


def planned(task: TinyTask, config: SelectiveUnlearningConfig) -> Plan:
    return plan(forget=[str(task.forget)], retain=[str(task.retain)], model=str(task.model), retrained=None, anchors=None, config=config)


def translators(found: Plan) -> set[str]:
    return {row["translator"] for row in formats.read_json(store.path(found.anchors) / "dictionary.json")}


def test_a_translation_from_the_cache_needs_no_server_any_more(flow_home: Path, tiny_task: TinyTask, server: ScriptedServer) -> None:
    first = planned(tiny_task, asking(server.url))
    assert (first.stages["translation"], translators(first)) == ("done now", {MODEL})
    server.mode, server.failures = "broken", 999
    calls, server.key = len(server.requests), "another"  # whoever came now would be refused
    again = planned(tiny_task, asking(server.url, timeout_s=5.0, retries=0, concurrency=1, api_key_env="HOME"))
    assert (again.stages["translation"], again.anchors.digest) == ("cached", first.anchors.digest)
    assert len(server.requests) == calls
    with pytest.raises(BadInputError, match=r"the server refuses the key \(status 401\)"):
        planned(tiny_task, asking(server.url, max_tokens=99))


def test_a_dead_server_is_found_out_before_anything_is_read_and_a_run_may_go_on_without_it(
    flow_home: Path, tiny_task: TinyTask, capfd: pytest.CaptureFixture[str]
) -> None:
    url = dead()
    with pytest.raises(BadInputError) as caught:
        planned(tiny_task, asking(url))
    assert str(caught.value) == f"--translator-url {url}: nothing answers there; wanted a running server"
    assert not (flow_home / "forget").exists()
    found = planned(tiny_task, asking(url, "offline"))
    assert translators(found) == {"offline"}
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lethe: ")]
    assert line == f"lethe: warning: --translator-url {url}: nothing answers there; wanted a running server; going on with the offline translator"
    assert found.anchors.digest == planned(tiny_task, apply_settings(preset("default"), list(SETTINGS))).anchors.digest


@pytest.mark.slow
def test_a_dead_server_ends_a_command_with_one_line_and_nothing_is_trained(tiny_task: TinyTask, tmp_path: Path) -> None:
    words = [*tiny_task.words(), "--translator", "openai-compatible", "--translator-model", "m", "--translator-url", dead()]
    ended = lethe(*words, "--out", tmp_path / "out", home=tmp_path / "lethe")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert lines[0].startswith("lethe: --translator-url http://127.0.0.1:")
    assert lines[0].endswith(": nothing answers there; wanted a running server")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "lethe" / "mlflow.db").exists()


@pytest.mark.slow
def test_a_whole_run_asks_once_and_leaves_its_key_nowhere(tiny_task: TinyTask, server: ScriptedServer, tmp_path: Path) -> None:
    server.key = KEY
    words = [*tiny_task.words(), "--translator", "openai-compatible", "--translator-model", MODEL, "--translator-url", server.url]
    runs = [lethe(*words, "--out", tmp_path / "out", home=tmp_path / "lethe", LETHE_API_KEY=KEY) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert sum(bool(asked(body)) for body in server.chats()) == 1
    assert 0 < sum(bool(passages(body)) for body in server.chats()) == len(server.chats()) - 1
    table = (tmp_path / "out" / "anchors.csv").read_text()
    assert table.count(f",{MODEL}\n") == len(NAMES)
    said = "".join(run.stdout + run.stderr for run in runs)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert KEY not in said
    assert not [path for path, content in files.items() if KEY.encode() in content]
    assert [path for path in files if path.name == "answers.db"]
    assert lethe("purge", "--yes", home=tmp_path / "lethe").returncode == 0
    assert not list((tmp_path / "lethe").rglob("answers.db"))
