"""Claims: an answer that never ends, comes byte by byte, is compressed, or is no chat completion gives no reply, in
time and without filling memory.
"""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.assistants import http_limits
from tasks.assistants.chat_models import ask_server
from tasks.settings.assistants import ProviderConfig

FORM = {"type": "object"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection with what `answer` sends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answering, args=(connection,), daemon=True).start()

        def answering(connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:  # the client has had enough
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        listening.shutdown(socket.SHUT_RDWR)


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(b" " * 65536)


def trickling(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.1)


def body(content: bytes, head: bytes = b"") -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(HEAD + head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(content) + content)

    return send


ANSWERS = {
    "endless": endless,
    "a byte at a time": trickling,
    "compressed": body(gzip.compress(b" " * 10_000_000), b"content-encoding: gzip\r\n"),
    "no choices": body(json.dumps({"choices": []}).encode()),
    "nothing": body(b"{}"),
    "a list": body(b"[]"),
    "null": body(b"null"),
    "nested": body(b"[" * 200_000),
    "no JSON": body(b"<html>"),
    "choices of nothing": body(json.dumps({"choices": [{}]}).encode()),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_ill_will_is_no_reply(name: str, lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "MOST_BYTES", 1_000_000)
    started = time.monotonic()
    with serving(ANSWERS[name]) as url:
        config = ProviderConfig(name="openai-compatible", model="m", base_url=url, timeout_s=2.0, retries=0)
        (reply,), _ = ask_server(config, "", ["What?"], FORM)
    assert reply.text is None
    assert reply.reason
    assert time.monotonic() - started < 15
