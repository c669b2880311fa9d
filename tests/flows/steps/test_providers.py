"""Other language models through whole commands: found wanting before anything is trained, asked once, their key
nowhere, their cache purged.
"""

import contextlib
import gc
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.methods import METHODS
from flows.plan import Plan, plan
from flows.steps.outcome import StageOf
from flows.steps.providers import settle_providers
from flows.steps.settings import apply_settings
from tasks import store
from tasks.artifacts import BadInputError
from tasks.settings.assistants import ProviderConfig
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig, preset
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import lethe
from tests.stand_ins.openai_server import MODEL, ScriptedServer, asked, passages, scripted_server
from tests.stand_ins.scripted_answers import rows
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask

KEY = "sk-not-to-be-seen-5f2a"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """Prefect's clients leave their sockets to the garbage collector: better here, where their warnings are ignored,
    than after the last test.
    """
    yield
    gc.collect()


def dead() -> str:
    """An address where nothing listens."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def asking(url: str, fallback: str = "none", **changes: Any) -> SelectiveUnlearningConfig:
    config = apply_settings(preset("default"), list(SETTINGS))
    provider = ProviderConfig(
        **{"name": "openai-compatible", "model": MODEL, "base_url": url, "timeout_s": 20.0, "retries": 1} | changes
    )
    return replace(config, translation=replace(config.translation, provider=provider, fallback=fallback))


def planned(task: TinyTask, config: SelectiveUnlearningConfig) -> Plan:
    return plan(task.request(), config, METHODS["whp"])


def translators(found: Plan) -> set[str]:
    return {row["translator"] for row in read_json(store.path(found.anchors) / "dictionary.json")}


def test_a_translation_from_the_cache_needs_no_server_any_more(
    flow_home: Path, tiny_task: TinyTask, server: ScriptedServer
) -> None:
    first = planned(tiny_task, asking(server.url))
    assert (first.stages[StageOf("translation")], translators(first)) == ("done now", {MODEL})
    server.mode, server.failures = "broken", 999
    calls, server.key = len(server.requests), "another"  # whoever came now would be refused
    again = planned(tiny_task, asking(server.url, timeout_s=5.0, retries=0, concurrency=1, api_key_env="HOME"))
    assert (again.stages[StageOf("translation")], again.anchors.digest) == ("cached", first.anchors.digest)
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
    assert (
        line
        == f"lethe: warning: --translator-url {url}: nothing answers there; wanted a running server; going on with the"
        " offline translator"
    )
    assert found.anchors.digest == planned(tiny_task, apply_settings(preset("default"), list(SETTINGS))).anchors.digest


@pytest.mark.slow
def test_a_dead_server_ends_a_command_with_one_line_and_nothing_is_trained(tiny_task: TinyTask, tmp_path: Path) -> None:
    words = [
        *tiny_task.words(),
        "--translator",
        "openai-compatible",
        "--translator-model",
        "m",
        "--translator-url",
        dead(),
    ]
    ended = lethe(*words, "--out", tmp_path / "out", home=tmp_path / "lethe", new=True)
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert lines[0].startswith("lethe: --translator-url http://127.0.0.1:")
    assert lines[0].endswith(": nothing answers there; wanted a running server")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "lethe" / "mlflow.db").exists()


@pytest.mark.slow
def test_a_whole_run_asks_once_and_leaves_its_key_nowhere(
    tiny_task: TinyTask, server: ScriptedServer, tmp_path: Path
) -> None:
    server.key = KEY
    words = [
        *tiny_task.words(),
        "--translator",
        "openai-compatible",
        "--translator-model",
        MODEL,
        "--translator-url",
        server.url,
    ]
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


@pytest.mark.parametrize(("section", "option"), [("prompting", "prompt-writer"), ("judging", "judge")])
def test_a_writer_or_judge_that_cannot_be_asked_is_found_out_beforehand(
    lethe_home: Path, server: ScriptedServer, capfd: pytest.CaptureFixture[str], section: str, option: str
) -> None:
    def with_provider(fallback: str = "none", **changes: Any) -> SelectiveUnlearningConfig:
        whole = asking(server.url, **changes)
        asked = replace(getattr(whole, section), provider=whole.translation.provider, fallback=fallback)
        return replace(preset("default"), **{section: asked})

    settled = settle_providers(with_provider())
    assert settled == with_provider()
    assert [request["path"] for request in server.requests] == ["/v1/models"]
    server.key, url = "another", dead()
    place = f"--translator-url (or {section}.provider.base_url)"
    for changes, line in (
        ({}, f"{place} {server.url}: the server refuses the key"),
        ({"base_url": url}, f"{place} {url}: nothing answers there; wanted"),
    ):
        with pytest.raises(BadInputError) as caught:
            settle_providers(with_provider(**changes))
        assert str(caught.value).startswith(line)
    remote = {"base_url": "http://10.0.0.1/v1"}
    with pytest.raises(
        BadInputError, match=r"10\.0\.0\.1 is another machine, and text that is to be forgotten would leave this one"
    ):
        settle_providers(with_provider(**remote))
    assert getattr(settle_providers(with_provider("offline", **remote)), section).provider.name == "offline"
    without = {"prompting": "going on with prompts that are written offline", "judging": "going on with no judge"}[
        section
    ]
    assert capfd.readouterr().err.rstrip().endswith(f"or --allow-remote-translator; {without}")


def evaluation(task: TinyTask, url: str, *more: str | Path) -> list[str | Path]:
    given = [
        "evaluate",
        "--model",
        task.model,
        "--reference",
        task.model,
        "--forget",
        task.forget,
        "--retain",
        task.retain,
    ]
    settings = [
        word
        for setting in SETTINGS
        if setting.split(".")[0] in ("anchors", "probing", "relearning")
        for word in ("--set", setting)
    ]
    return [
        *given,
        *settings,
        "--judge",
        "openai-compatible",
        "--prompt-writer",
        "openai-compatible",
        "--translator-model",
        MODEL,
        "--translator-url",
        url,
        *more,
    ]


@pytest.mark.slow
def test_a_whole_evaluation_is_judged_once_and_shows_the_scores(
    tiny_task: TinyTask, server: ScriptedServer, tmp_path: Path
) -> None:
    home, out = tmp_path / "lethe", tmp_path / "out"
    found = []
    for _ in range(2):
        ended = lethe(*evaluation(tiny_task, server.url, "--out", out, "--json", tmp_path / "result.json"), home=home)
        assert ended.returncode == 0, ended.stderr
        assert not [name for name in NAMES if name in ended.stderr]
        found.append((json.loads((tmp_path / "result.json").read_text()), len(server.chats())))
    (first, calls), (second, later) = found
    assert (calls > 0, later) == (True, calls)
    # the same model twice
    assert {first["stages"][f"judging {label}"] for label in ("target", "unlearned")} == {"Completed", "Cached"}
    assert {second["stages"][name] for name in ("prompting", "judging target", "judging unlearned")} == {"Cached"}
    card = first["scorecard"]
    row = card["metrics"]["forget_test/familiarity_judge"]
    assert row["target"] == row["unlearned"]
    assert 0.0 <= row["unlearned"] <= 1.0
    # what is empty needs no judge
    assert row["n"] >= sum(len(rows(body, "id")) - 2 for body in server.chats() if rows(body, "id")) > 0
    assert card["provenance"]["judge"] == MODEL
    report = (out / "report.html").read_text()
    assert " of 3</span>" in report
    assert "written</span>" in report
    assert "the travellers told each other of" not in (out / "report-redacted.html").read_text()
    tables = [table.read_text().splitlines()[0] for table in home.rglob("forget/tables/answers.csv")]
    assert tables == ["split,kind,prompt,truth,target,unlearned,target score,unlearned score"] * 2


@pytest.mark.slow
def test_without_a_server_an_evaluation_ends_with_one_line_or_goes_on_without_a_judge(
    tiny_task: TinyTask, tmp_path: Path
) -> None:
    url = dead()
    ended = lethe(*evaluation(tiny_task, url), home=tmp_path / "lethe")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    wanted = [
        f"lethe: --translator-url (or prompting.provider.base_url) {url}: nothing answers there; wanted a running"
        " server"
    ]
    assert (ended.returncode, lines) == (2, wanted), ended.stderr
    ended = lethe(
        *evaluation(tiny_task, url, "--translator-fallback", "offline", "--json", tmp_path / "result.json"),
        home=tmp_path / "lethe",
    )
    assert ended.returncode == 0, ended.stderr
    assert [line.rpartition("; ")[2] for line in ended.stderr.splitlines() if line.startswith("lethe: warning: ")] == [
        "going on with prompts that are written offline",
        "going on with no judge",
    ]
    assert (
        "forget_test/familiarity_judge"
        not in json.loads((tmp_path / "result.json").read_text())["scorecard"]["metrics"]
    )
