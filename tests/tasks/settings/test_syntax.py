"""Claims: settings that are described and stages that are keyed at the same moment do not parse Python at once; where
somebody else does meanwhile, what goes wrong is tried again.
"""

import ast
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tasks.execution import cache_keys
from tasks.settings.finetuning import FinetuneConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.schema import prose
from tasks.settings.syntax import TRIES, parsed

PARSE = ast.parse
MISMATCH = "AST constructor recursion depth mismatch (before=18, after=9)"


def test_settings_and_stages_are_parsed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = [], []

    def slowly(code: Any, *others: Any, **named: Any) -> ast.Module:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return PARSE(code, *others, **named)

    prose.cache_clear()
    asked: list[Callable[[], Any]] = [lambda: prose(LabelConfig), lambda: prose(FinetuneConfig)]
    asked += [lambda: cache_keys._imports(b"import torch")] * 2
    threads = [threading.Thread(target=what) for what in asked]
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", slowly)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(most) > 4
    assert set(most) == {1}


def test_another_threads_count_is_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([SystemError(MISMATCH)] * (TRIES - 1))

    def interrupted(code: Any) -> ast.Module:
        for error in errors:
            raise error
        return PARSE(code)

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", interrupted)
        found = parsed(b"a = 1")
    assert ast.dump(found) == ast.dump(PARSE("a = 1"))


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        parsed("def")
