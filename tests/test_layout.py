"""The rooms: stages and only stages stand in `tasks/`, and a line in one file changes the keys of few stages."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from tasks.execution.cache_keys import import_closure
from tests.stand_ins.command import ROOT

TRACKING = {
    "tracking",
    "tracking_server",
    "tracking_source",
    "tracking_monitors",
    "tracking_steps",
    "tracking_purge",
    "tracking_registry",
    "tracking_requests",
    "tracking_leases",
    "tracking_rows",
}
NO_STAGES = frozenset({"__init__", "artifacts", "store", *TRACKING})
"""Files of `tasks/` that all rooms stand on."""
REACHED = {
    "tasks/algorithms/unlearning/labels.py": 6,
    "tasks/settings/distillation.py": 1,
    "tasks/settings/finetuning.py": 6,
    "tasks/storage/label_files.py": 4,
}
"""File -> stages whose keys a comment line in it may change, at most."""


def sources(folder: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py")


def stages_of(path: Path) -> list[str]:
    """Return the functions of a file that are declared as stages."""
    tree = ast.parse((ROOT / path).read_text())
    calls = [
        (node.name, call)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
    ]
    return [
        name
        for name, call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "stage"
    ]


def test_every_file_of_the_catalogue_declares_a_stage_and_no_other_file_does() -> None:
    catalogue = [path for path in sources("tasks") if len(path.parts) == 2 and path.stem not in NO_STAGES]
    assert len(catalogue) > 25
    assert [path for path in catalogue if not stages_of(path)] == []
    elsewhere = [path for path in (*sources("tasks"), *sources("flows")) if path not in catalogue]
    assert [path for path in elsewhere if stages_of(path)] == []


@pytest.mark.parametrize("file", REACHED)
def test_a_comment_line_changes_the_keys_of_few_stages(file: str) -> None:
    """A key has the digest of every file that the stage's module reaches by import: those change that reach
    this one.
    """
    assert (ROOT / file).is_file()
    reached = [
        stage
        for path in sources("tasks")
        for stage in stages_of(path)
        if str(ROOT / file) in import_closure(f"tasks.{path.stem}")[0]
    ]
    assert 1 <= len(reached) <= REACHED[file], reached


def calls_of_stages(path: Path) -> list[tuple[str, str, ast.Call]]:
    """Return module, name and call of every stage that a file imports by name and calls with plain arguments."""
    tree = ast.parse((ROOT / path).read_text())
    named = {
        each.asname or each.name: (node.module or "", each.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }
    declared = {
        local: place
        for local, place in named.items()
        if (file := Path(f"{place[0].replace('.', '/')}.py")).parent == Path("tasks")
        and (ROOT / file).is_file()
        and place[1] in stages_of(file)
    }
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if (
            isinstance(call.func, ast.Attribute) and call.func.attr == "with_options"
        ):  # of Prefect's task, not its arguments
            continue
        callee = call.func.value if isinstance(call.func, ast.Attribute) else call.func
        spread = any(isinstance(each, ast.Starred) for each in call.args) or any(not key.arg for key in call.keywords)
        if isinstance(callee, ast.Name) and callee.id in declared and not spread:
            found.append((*declared[callee.id], call))
    return found


def test_stages_are_called_with_what_they_take_also_where_no_plain_test_looks() -> None:
    """Benchmarks and long tests call stages too, and are not run every day."""
    files = [*sources("flows"), *sources("tests")]
    wrong, seen = [], 0
    for path in files:
        for module, name, call in calls_of_stages(path):
            seen += 1
            signature = inspect.signature(getattr(importlib.import_module(module), name).body)
            try:
                signature.bind(*call.args, **{str(key.arg): key for key in call.keywords})
            except TypeError as error:
                wrong.append(f"{path}:{call.lineno} {name}: {error}")
    assert wrong == []
    assert seen > 150
