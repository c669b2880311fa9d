"""Claims: Python source becomes a tree from many threads at once, also where somebody else parses meanwhile."""

import ast
import sys
import threading
from collections.abc import Iterator

import pytest

from tasks.settings.syntax import parsed

CODE = "value = [" + ", ".join(f"(name_{number}, {{'key': [{number}]}})" for number in range(60)) + "]\n"
THREADS, TURNS = 8, 60


@pytest.fixture
def busy() -> Iterator[None]:
    """Threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_many_threads_parse_at_once(busy: None) -> None:
    wanted, errors, stop = ast.dump(ast.parse(CODE)), [], threading.Event()

    def ours() -> None:
        for _ in range(TURNS):
            try:
                assert ast.dump(parsed(CODE.encode())) == wanted
            except BaseException as error:
                errors.append(error)

    def library() -> None:
        while not stop.is_set():
            try:
                ast.parse(CODE)
            except SystemError:
                continue

    threads = [threading.Thread(target=ours) for _ in range(THREADS)]
    other = threading.Thread(target=library)
    other.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    other.join()
    assert errors == []


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        parsed("def")
