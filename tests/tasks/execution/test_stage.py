"""Stages in real flow runs: cached, computed anew when damaged, tried again after what may pass, computed once by two
runs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ThreadPoolTaskRunner

from tasks import store
from tasks.artifacts import Artifact, BadInputError
from tasks.execution import cache_keys, isolation, surroundings
from tasks.execution.cache_keys import ROOT
from tasks.execution.stage import is_transient
from tests.stand_ins import stages
from tests.stand_ins.waiting import end_of

TWICE = """
import sys
from prefect import flow
from tests.stand_ins import stages
from tests.stand_ins.waiting import end_of
from tests.stand_ins.waiting import end_of

@flow
def one():
    future = stages.take_note_slowly.submit("hello", sys.argv[1])
    print(future.result().digest, future.state.name)

if __name__ == "__main__":
    one()
"""


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    folder = tmp_path / "computations"
    folder.mkdir()
    return folder


def computed(counter: Path) -> int:
    return len(list(counter.iterdir()))


def run(stage: Any, *arguments: str, **options: Any) -> tuple[Any, str]:
    """Run one stage in a flow run of its own; return its result and the name of its final state."""

    @flow(name="one-stage", task_runner=ThreadPoolTaskRunner(max_workers=1))
    def one_stage() -> tuple[Any, str]:
        future = stage.submit(*arguments, **options)
        return future.result(), future.state.name

    isolation.begin()
    return one_stage()


def test_the_second_run_is_cached_and_computes_nothing(flow_home: Path, counter: Path) -> None:
    first, again = (
        run(stages.take_note, "hello", str(counter), run="1"),
        run(stages.take_note, "hello", str(counter), run="2"),
    )
    assert [first[1], again[1]] == ["Completed", "Cached"]
    assert first[0] == again[0]
    assert computed(counter) == 1
    assert run(stages.take_note, "other", str(counter))[1] == "Completed"


def test_results_are_records_in_json_under_the_home(flow_home: Path, counter: Path) -> None:
    run(stages.take_note, "hello", str(counter))
    files = [path for path in (flow_home / "results").iterdir() if path.name.startswith("take_note-")]
    assert len(files) == 1
    assert '"serializer":{"type":"json"' in files[0].read_text()


@pytest.mark.parametrize(
    "damage", [lambda note: note.write_text("hellp"), lambda note: note.unlink()], ids=["changed", "deleted"]
)
def test_a_damaged_artifact_is_computed_anew(flow_home: Path, counter: Path, damage: Any) -> None:
    note: Artifact = run(stages.take_note, "hello", str(counter))[0]
    damage(store.path(note) / "note.txt")
    store._checked.clear()  # as in a new process
    assert run(stages.take_note, "hello", str(counter)) == (note, "Completed")
    assert computed(counter) == 2
    assert (store.path(note) / "note.txt").read_text() == "hello"
    assert run(stages.take_note, "hello", str(counter)) == (note, "Cached")


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "[" * 100_000, '{"result": 1}', "\x00"])
def test_a_damaged_record_is_made_anew(flow_home: Path, counter: Path, content: str) -> None:
    note: Artifact = run(stages.take_note, "hello", str(counter))[0]
    (record,) = [path for path in (flow_home / "results").iterdir() if path.name.startswith("take_note-")]
    record.write_text(content)
    assert run(stages.take_note, "hello", str(counter)) == (note, "Completed")
    assert computed(counter) == 2
    assert run(stages.take_note, "hello", str(counter)) == (note, "Cached")


@pytest.mark.parametrize("result", ["[]", "7", "null", '"x"'])
def test_a_record_that_holds_something_else_is_made_anew(flow_home: Path, counter: Path, result: str) -> None:
    note: Artifact = run(stages.take_note, "hello", str(counter))[0]
    (record,) = [path for path in (flow_home / "results").iterdir() if path.name.startswith("take_note-")]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"result": result}))
    assert run(stages.take_note, "hello", str(counter)) == (note, "Completed")


def test_a_key_that_cannot_be_made_fails_the_run(
    flow_home: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run without cache, lock and resume, and its result would be lost."""

    def broken(*arguments: Any, **named: Any) -> str:
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(cache_keys, "stage_key", broken)
    with pytest.raises(RuntimeError, match="stage noting has no cache key"):
        run(stages.take_note, "hello", str(counter))
    assert computed(counter) == 0


def test_a_worker_that_refuses_a_stage_says_why(
    flow_home: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect, which asks for the key first, keeps to itself why there is none."""

    def refuse(given: Any) -> None:
        raise BadInputError("the worker works for another store")

    monkeypatch.setattr(surroundings, "take_up", refuse)
    with pytest.raises(BadInputError, match="the worker works for another store"):
        run(stages.take_note, "hello", str(counter))
    assert computed(counter) == 0


def test_a_purged_artifact_is_computed_anew(flow_home: Path, counter: Path) -> None:
    note: Artifact = run(stages.take_note, "hello", str(counter))[0]
    (store.path(note) / "note.txt").unlink()
    store.path(note).joinpath(store.MANIFEST).unlink()
    store.path(note).rmdir()
    assert run(stages.take_note, "hello", str(counter))[1] == "Completed"


def test_a_lookup_finds_what_a_run_has_cached_and_computes_nothing(flow_home: Path, counter: Path) -> None:
    assert stages.take_note.lookup("hello", str(counter)) is None
    note = run(stages.take_note, "hello", str(counter))[0]
    assert stages.take_note.lookup("hello", str(counter), run="another") == note
    assert computed(counter) == 1


def test_after_an_error_that_may_pass_a_stage_goes_on_from_its_workspace_which_is_then_dropped(
    flow_home: Path, counter: Path
) -> None:
    note, state = run(stages.take_note_in_the_end.with_options(retry_delay_seconds=0), "hello", str(counter))
    assert (state, (store.path(note) / "note.txt").read_text()) == ("Completed", "hello")
    assert computed(counter) == 2
    assert list((flow_home / "forget" / "work").iterdir()) == []


def test_bad_input_is_not_tried_again(flow_home: Path, counter: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        run(stages.refuse_note.with_options(retry_delay_seconds=0), "hello", str(counter))
    assert str(caught.value) == "'hello' is no good; wanted something else"
    assert computed(counter) == 1


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError("no space"), True),
        (TimeoutError("late"), True),
        (MemoryError(), True),
        (isolation.StageProcessDiedError("killed"), True),
        (store.DamagedArtifactError("damaged"), True),
        (FileNotFoundError("gone"), False),
        (PermissionError("closed"), False),
        (BadInputError("wrong"), False),
        (FloatingPointError("loss nan at step 3"), False),
        (isolation.StageAbortedError("ending"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_pass_by_itself(error: Exception, passes: bool) -> None:
    assert is_transient(error) is passes


def test_stages_run_under_their_name_and_ask_for_no_slots(flow_home: Path, counter: Path) -> None:
    """Each tag of a task run costs a request for a concurrency slot, in runs from the cache as well."""
    run(stages.take_note, "hello", str(counter))
    with get_client(sync_client=True) as api:
        task_runs = api.read_task_runs(limit=200)
    assert "noting" in {task.name for task in task_runs}
    assert [task.name for task in task_runs if task.tags] == []


def test_two_processes_that_want_one_artifact_compute_it_once(flow_home: Path, counter: Path, tmp_path: Path) -> None:
    script = tmp_path / "twice.py"
    script.write_text(TWICE)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_API_URL": PREFECT_API_URL.value(),
        "PREFECT_LOCAL_STORAGE_PATH": str(flow_home / "results"),
    }
    command = [sys.executable, str(script), str(counter)]
    runs = [subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [end_of(process).stdout.split() for process in runs]
    assert sorted(state for _, state in found) == ["Cached", "Completed"]
    assert found[0][0] == found[1][0]
    assert computed(counter) == 1
