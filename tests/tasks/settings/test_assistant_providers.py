"""Claims: only localhost, 127.0.0.0/8 and ::1 count as this machine; settings hold no secrets, and messages repeat
none.
"""

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from tasks.settings.assistants import ProviderConfig, check_provider, is_loopback, like, place

KEY = "sk-not-to-be-seen-5f2a"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.8.9.10:1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://192.168.1.7:8000/v1", False),
        ("http://0.0.0.0:8000/v1", False),
        ("http://[::]:8000/v1", False),
        ("http://[::ffff:8.8.8.8]/v1", False),
        ("http://127.0.0.1.evil.com/v1", False),
        ("http://localhost.evil.com/v1", False),
        ("http://2130706433/v1", False),
        ("http://127.1/v1", False),
        ("", False),
    ],
)
def test_what_counts_as_this_machine(url: str, here: bool) -> None:
    assert is_loopback(url) is here
    config = ProviderConfig(name="openai-compatible", base_url=url or "http://10.0.0.1", model="m")
    with (
        contextlib.nullcontext()
        if here
        else pytest.raises(ValueError, match=r"would leave this one; wanted .* or --allow-remote-translator")
    ):
        check_provider(config, "--translator")
    check_provider(replace(config, allow_remote=True), "--translator")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": "mine"}, "provider.name is 'mine'; wanted one of offline, huggingface, openai-compatible, openai"),
        ({"timeout_s": 0.0}, "provider.timeout_s is 0.0; wanted a number > 0"),
        ({"retries": -1}, "provider.retries is -1; wanted a whole number >= 0"),
        ({"base_url": "localhost:8000"}, "provider.base_url begins with 'localhost'; wanted http:// or https://"),
        (
            {"base_url": f"http://user:{KEY}@localhost/v1"},
            "provider.base_url holds a user name or a query, which would be logged",
        ),
        (
            {"base_url": f"http://localhost/v1?key={KEY}"},
            "provider.base_url holds a user name or a query, which would be logged",
        ),
        ({"base_url": "http://localhost:many/v1"}, "provider.base_url does not parse"),
    ],
)
def test_settings_that_cannot_be_are_named_and_secrets_are_not_repeated(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        ProviderConfig(**changes)
    assert str(caught.value).startswith(line)
    assert KEY not in str(caught.value)


TRANSLATOR = ProviderConfig(
    name="openai-compatible", model="m", base_url="http://127.0.0.1:8000/v1", api_key_env="KEY", allow_remote=True
)


@pytest.mark.parametrize(
    ("own", "changes"),
    [
        ({}, {"model": "m", "base_url": TRANSLATOR.base_url, "api_key_env": "KEY", "allow_remote": True}),
        ({"model": "n"}, {"base_url": TRANSLATOR.base_url, "api_key_env": "KEY", "allow_remote": True}),
        ({"api_key_env": "MINE"}, {"model": "m", "base_url": TRANSLATOR.base_url, "allow_remote": True}),
        ({"base_url": "http://10.0.0.1/v1"}, {"model": "m"}),
        ({"name": "huggingface"}, {}),
        ({"name": "openai"}, {}),
        ({"name": "offline"}, {}),
    ],
)
def test_a_provider_takes_from_the_translators_what_its_own_settings_leave_open(
    own: dict[str, Any], changes: dict[str, Any]
) -> None:
    """A server of its own address gets no key that is meant for another, nor a text that may go to another."""
    provider = ProviderConfig(**{"name": "openai-compatible"} | own)
    assert like(provider, TRANSLATOR) == replace(provider, **changes)


def test_options_of_a_translator_that_is_not_asked_serve_for_others() -> None:
    given = replace(TRANSLATOR, name="offline")
    assert like(ProviderConfig(name="huggingface"), given).model == "m"


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ("--translator", ("--translator-model", "--translator-url")),
        (
            "--judge",
            ("--translator-model (or judging.provider.model)", "--translator-url (or judging.provider.base_url)"),
        ),
        (
            "--prompt-writer",
            ("--translator-model (or prompting.provider.model)", "--translator-url (or prompting.provider.base_url)"),
        ),
    ],
)
def test_messages_say_where_model_and_address_are_given(option: str, where: tuple[str, str]) -> None:
    assert (place(option, "model"), place(option, "url")) == where
    with pytest.raises(ValueError, match=r".") as caught:
        check_provider(ProviderConfig(name="openai-compatible"), option)
    assert (
        str(caught.value)
        == f"{option} openai-compatible: no address; wanted {where[1]}, such as http://127.0.0.1:8000/v1"
    )


@pytest.mark.parametrize(
    ("name", "model", "title"),
    [("huggingface", "/a/b/instruct/", "instruct"), ("openai-compatible", "org/model", "org/model")],
)
def test_what_tables_call_a_model_holds_no_folder(name: str, model: str, title: str) -> None:
    assert ProviderConfig(name=name, model=model).title == title
