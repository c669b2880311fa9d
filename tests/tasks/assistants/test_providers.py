"""Language models as every stage asks them, against a real server: answers or reasons, counts, cache, keys, and what is
refused beforehand.
"""

import contextlib
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tasks import store
from tasks.artifacts import BadInputError
from tasks.assistants import providers
from tasks.settings.assistants import ProviderConfig
from tests.stand_ins.openai_server import MODEL, ScriptedServer

KEY = "sk-not-to-be-seen-5f2a"


class Row(BaseModel):
    term: str
    generic: str


class Rows(BaseModel):
    translations: list[Row]


def served(server: ScriptedServer, **changes: Any) -> ProviderConfig:
    return ProviderConfig(
        **{"name": "openai-compatible", "model": MODEL, "base_url": server.url, "timeout_s": 20.0, "retries": 2}
        | changes
    )


def question(term: str) -> str:
    return f'Translate. {{"answer": "as JSON"}}\n{{"term": "{term}", "kind": "PERSON"}}'


def values(answers: list[providers.Answer[Rows]]) -> list[str]:
    return [answer.value.translations[0].term if answer.value else answer.reason for answer in answers]


def test_answers_come_in_order_with_what_they_took(server: ScriptedServer) -> None:
    terms = [f"Term{number}" for number in range(9)]
    answers, usage = providers.ask(served(server, concurrency=3), [question(term) for term in terms], Rows)
    assert values(answers) == terms
    assert (usage.model_calls, usage.model_calls_cached, usage.model_calls_repeated) == (9, 0, 0)
    assert usage.prompt_tokens > 9
    assert usage.completion_tokens > 9
    body = server.chats()[0]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 2048, MODEL)
    assert body["response_format"]["json_schema"]["schema"] == Rows.model_json_schema()


def test_a_question_that_stands_there_twice_is_asked_once(server: ScriptedServer) -> None:
    answers, usage = providers.ask(served(server), [question("Harry"), question("Ron"), question("Harry")], Rows)
    assert values(answers) == ["Harry", "Ron", "Harry"]
    assert usage.model_calls == len(server.chats()) == 2


def test_what_was_answered_is_not_asked_again_however_the_server_is_reached(server: ScriptedServer) -> None:
    providers.ask(served(server), [question("Harry"), question("Ron")], Rows)
    answers, usage = providers.ask(
        served(server, timeout_s=9, retries=0, concurrency=1), [question("Harry"), question("Ron")], Rows
    )
    assert values(answers) == ["Harry", "Ron"]
    assert (usage.model_calls, usage.model_calls_cached, usage.prompt_tokens) == (0, 2, 0)
    assert len(server.chats()) == 2
    assert providers.ask(served(server, max_tokens=9), [question("Harry")], Rows)[1].model_calls == 1


def test_the_cache_is_wiped_by_a_purge(server: ScriptedServer, lethe_home: Path) -> None:
    providers.ask(served(server), [question("Velmora")], Rows)
    holding = [path for path in lethe_home.rglob("*") if path.is_file() and b"Velmora" in path.read_bytes()]
    assert [path.parent.parent.parent for path in holding] == [lethe_home / "forget"]
    assert store.purge(expired_only=True).artifacts == 0
    assert store.purge().artifacts == 1
    assert not [path for path in lethe_home.rglob("*") if path.is_file() and b"Velmora" in path.read_bytes()]
    assert providers.ask(served(server), [question("Velmora")], Rows)[1].model_calls == 1


def test_the_cache_outlives_its_retention_time_no_more_than_anything_else(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_RETENTION_DAYS", "0")
    providers.ask(served(server), [question("Velmora")], Rows)
    assert store.purge(expired_only=True).artifacts == 1


@pytest.mark.parametrize(("mode", "repeated"), [("busy", 2), ("broken", 2), ("slow", 1)])
def test_what_passes_by_itself_is_tried_again(server: ScriptedServer, mode: str, repeated: int) -> None:
    server.mode, server.failures, server.delay_s = mode, repeated, 2.5
    answers, usage = providers.ask(served(server, timeout_s=1.0), [question("Harry")], Rows)
    assert values(answers) == ["Harry"]
    assert (usage.model_calls, usage.model_calls_repeated) == (1 + repeated, repeated)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("broken", "status 500"),
        ("slow", "no answer within 0.5 s"),
        ("chatty", "the answer holds no JSON; wanted an object or a list"),
        ("truncated", "the answer does not fit its form: translations"),
        ("strange", "what the server answers is no chat completion"),
        ("page", "what the server answers is no chat completion"),
        ("away", "status 307"),
    ],
)
def test_where_there_is_no_answer_the_reason_says_why_and_nothing_of_the_question(
    server: ScriptedServer, mode: str, reason: str
) -> None:
    server.mode, server.failures, server.delay_s = mode, 99, 1.0
    answers, _ = providers.ask(served(server, timeout_s=0.5, retries=1), [question("Harry")], Rows)
    assert [answer.reason for answer in answers] == [reason]
    assert answers[0].value is None
    assert (answers[0].text is not None) == (mode in ("chatty", "truncated"))


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    server.mode = "away"
    providers.ask(served(server, retries=0), [question("Harry")], Rows)
    assert {request["path"] for request in server.requests} == {"/v1/chat/completions"}


def test_a_server_without_forms_is_asked_without_and_never_twice(server: ScriptedServer) -> None:
    server.mode = "formless"
    terms = [question(term) for term in ("Harry", "Ron", "Hermione")]
    answers, usage = providers.ask(served(server, concurrency=1), terms, Rows)
    assert values(answers) == ["Harry", "Ron", "Hermione"]
    assert usage.model_calls == 4
    assert providers.ask(served(server), terms, Rows)[1].model_calls == 0


def test_nothing_leaves_through_a_proxy_or_a_trace(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = server.url.replace("/v1", "/trace")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name, value in {
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_ENDPOINT": elsewhere,
        "LANGSMITH_API_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    assert values(providers.ask(served(server), [question("Harry")], Rows)[0]) == ["Harry"]
    assert [request["path"] for request in server.requests] == ["/v1/chat/completions"]


def test_a_key_comes_from_the_environment_and_stays_out_of_cache_and_reasons(
    server: ScriptedServer, lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    server.key = KEY
    assert values(providers.ask(served(server), [question("Harry")], Rows)[0]) == ["Harry"]
    assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    server.key = "another"
    answers, _ = providers.ask(served(server), [question("Ron")], Rows)
    assert answers == [providers.Answer(value=None, text=None, reason="status 401")]
    assert not [path for path in lethe_home.rglob("*") if path.is_file() and b"sk-" in path.read_bytes()]


def test_without_a_key_of_its_own_a_server_is_sent_nobody_elses(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LETHE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    providers.ask(served(server), [question("Harry")], Rows)
    assert server.requests[0]["headers"]["authorization"] == "Bearer none"


def test_a_key_comes_from_a_secret_block(server: ScriptedServer, prefect_server: str) -> None:
    from prefect.blocks.system import Secret

    Secret(value=KEY).save("translator-key", overwrite=True)
    server.key = KEY
    config = served(server, api_key_block="translator-key")
    assert values(providers.ask(config, [question("Harry")], Rows)[0]) == ["Harry"]
    with pytest.raises(
        BadInputError, match="there is no Prefect Secret block 'nowhere'; wanted one with the server's key"
    ):
        providers.ask(replace(config, api_key_block="nowhere"), [question("Ron")], Rows)


@pytest.mark.parametrize("key", ["two words", "clé"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(BadInputError) as caught:
        providers.ask(served(server, api_key_env="MY_KEY"), [question("Harry")], Rows)
    assert (
        str(caught.value)
        == "--translator openai-compatible: the key in MY_KEY holds blanks or signs beyond ASCII; wanted the key alone"
    )


def dead() -> str:
    """An address where nothing listens."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_a_server_that_answers_is_not_asked_any_question_beforehand(server: ScriptedServer) -> None:
    providers.require_answering(served(server))
    assert [request["path"] for request in server.requests] == ["/v1/models"]
    providers.require_answering(ProviderConfig())


@pytest.mark.parametrize(
    ("changes", "key", "line"),
    [
        (
            {"mode": "page"},
            "",
            "the server answers with no models and no chat completions; wanted an OpenAI-compatible one",
        ),
        ({"base_url": dead()}, "", "nothing answers there; wanted a running server"),
        (
            {"path": "/api"},
            "",
            "the server answers with status 404; wanted an OpenAI-compatible one and its address up to the version",
        ),
        (
            {"model": "gpt-9"},
            "",
            f"--translator-model gpt-9: the server at URL does not have it; wanted one of {MODEL}",
        ),
        ({}, "sk-other", "the server refuses the key (status 401); wanted a valid one in LETHE_API_KEY"),
        (
            {"api_key_env": "NO_KEY"},
            "",
            (
                "--translator openai-compatible: no key, NO_KEY is not set; wanted the server's key there, or in a"
                " Prefect Secret"
            ),
        ),
        ({"name": "openai", "base_url": ""}, "", "another machine"),
        (
            {"name": "openai", "base_url": "", "allow_remote": True},
            "",
            "--translator openai: no key, OPENAI_API_KEY is not set",
        ),
    ],
    ids="page;dead;wrong path;model;key;no key;remote;openai without key".split(";"),
)
def test_a_server_that_cannot_be_asked_is_found_out_beforehand(
    server: ScriptedServer, changes: dict[str, Any], key: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LETHE_API_KEY", "OPENAI_API_KEY", "NO_KEY"):
        monkeypatch.delenv(name, raising=False)
    server.key, server.mode = key, changes.pop("mode", "good")
    if "path" in changes:
        changes = {"base_url": server.url.replace("/v1", changes["path"])}
    with pytest.raises(BadInputError) as caught:
        providers.require_answering(providers.inspect_provider(served(server, **changes)))
    assert line.replace("URL", server.url) in str(caught.value)
    assert "\n" not in str(caught.value)
