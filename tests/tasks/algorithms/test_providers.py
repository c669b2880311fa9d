"""Claims: only localhost, 127.0.0.0/8 and ::1 count as this machine; settings hold no secrets, and messages repeat none."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from tasks.algorithms.providers import ProviderConfig, check_provider, is_loopback

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
    with contextlib.nullcontext() if here else pytest.raises(ValueError, match=r"would leave this one; wanted .* or --allow-remote-translator"):
        check_provider(config, "--translator")
    check_provider(replace(config, allow_remote=True), "--translator")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": "mine"}, "provider.name is 'mine'; wanted one of offline, huggingface, openai-compatible, openai"),
        ({"timeout_s": 0.0}, "provider.timeout_s is 0.0; wanted a number > 0"),
        ({"retries": -1}, "provider.retries is -1; wanted a whole number >= 0"),
        ({"base_url": "localhost:8000"}, "provider.base_url begins with 'localhost'; wanted http:// or https://"),
        ({"base_url": f"http://user:{KEY}@localhost/v1"}, "provider.base_url holds a user name or a query, which would be logged"),
        ({"base_url": f"http://localhost/v1?key={KEY}"}, "provider.base_url holds a user name or a query, which would be logged"),
        ({"base_url": "http://localhost:many/v1"}, "provider.base_url does not parse"),
    ],
)
def test_settings_that_cannot_be_are_named_and_secrets_are_not_repeated(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        ProviderConfig(**changes)
    assert str(caught.value).startswith(line)
    assert KEY not in str(caught.value)
