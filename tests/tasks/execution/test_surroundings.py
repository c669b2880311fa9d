"""Claims: what a stage needs travels as plain data and without passwords; a worker that does not see the store, or
works for another one, refuses it; what workers say of their progress is published where the flow runs, and when that
ends, whoever still works for it knows.
"""

import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import store
from tasks.artifacts import BadInputError
from tasks.execution import isolation, progress, surroundings
from tasks.execution.progress import Progress
from tasks.execution.surroundings import Surroundings
from tests.stand_ins import stages


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be a worker that has worked for nobody yet."""
    monkeypatch.setattr(surroundings, "_bound", None)
    monkeypatch.setattr(surroundings, "_told", {})
    monkeypatch.setattr(progress, "_listeners", [])
    yield
    surroundings.take_up(None)


@pytest.fixture
def given(lethe_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    with surroundings.kept_apart(True), surroundings.sent(cores=3):
        yield surroundings.sending()


def test_it_is_plain_data_without_passwords(given: Surroundings, lethe_home: Path) -> None:
    told = json.loads(json.dumps(dataclasses.asdict(given)))
    assert Surroundings(**told) == given
    assert (given.home, given.bitwise, given.threads) == (str(lethe_home), True, 3)
    assert given.environment["MKL_CBWR"] == "AUTO"
    assert "secret" not in json.dumps(told)


def test_a_stage_goes_by_its_name_and_with_it(given: Surroundings) -> None:
    stage = stages.take_note
    assert pickle.loads(pickle.dumps(stage)) is stage  # noqa: S301 - our own bytes
    assert stage.sent is None
    travelling = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(_sent(stage, given)))))  # noqa: S301
    assert (travelling.sent, travelling.name, travelling.fn) == (given, stage.name, stage.fn)
    assert stage.sent is None


def _sent(stage: object, given: Surroundings) -> object:
    from tasks.execution.stage import _arrived

    return _arrived(*stage._place(), given)


def test_what_a_worker_takes_up_decides_threads_and_bits(worker: None, given: Surroundings) -> None:
    surroundings.take_up(given)
    assert (isolation.cores(), surroundings.is_bitwise()) == (3, True)
    surroundings.take_up(dataclasses.replace(given, threads=0, bitwise=False))
    assert (isolation.cores(), surroundings.is_bitwise()) == (1, False)  # its own: LETHE_THREADS


def test_a_worker_without_the_store_refuses(worker: None, given: Surroundings, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(given, home=str(tmp_path / "elsewhere"))
    with pytest.raises(BadInputError, match="does not see the store"):
        surroundings.take_up(elsewhere)
    assert not (tmp_path / "elsewhere").exists()


def test_a_worker_serves_one_store(worker: None, given: Surroundings, tmp_path: Path) -> None:
    surroundings.take_up(given)
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret").write_text("another")
    with pytest.raises(BadInputError, match=f"works for the store {given.home}; wanted one of its own for {other}"):
        surroundings.take_up(dataclasses.replace(given, home=str(other)))
    with pytest.raises(BadInputError, match="works for the store"):
        surroundings.take_up(dataclasses.replace(given, mark=store.keyed("another")))


def test_progress_of_workers_arrives_where_the_flow_runs(
    worker: None, given: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings.take_up(given)
    for done in (0, 1, 2):  # the second comes too soon to be told
        progress.publish(Progress(stage="training", done=done, total=2, note="loss 1.0"))
    progress.publish(Progress(stage="probing", done=1, total=9))
    monkeypatch.setattr(progress, "_listeners", seen := [])
    seen.clear()
    heard: list[Progress] = []
    progress.listen(heard.append)
    folder = Path(given.news)
    (folder / "broken.json").write_text("{")
    known: dict[Path, str] = {}
    surroundings._pass_on(folder, known)
    surroundings._pass_on(folder, known)  # nothing new
    assert sorted(heard, key=lambda said: said.stage) == [
        Progress(stage="probing", done=1, total=9),
        Progress(stage="training", done=2, total=2, note="loss 1.0"),
    ]


def test_after_its_flow_run_a_stage_is_not_wanted_and_does_not_begin(worker: None, lethe_home: Path) -> None:
    with surroundings.sent(cores=0):
        given = surroundings.sending()
        surroundings.take_up(given)
        assert surroundings.is_wanted()
    assert surroundings.sending() is None
    assert not surroundings.is_wanted()
    progress.publish(Progress(stage="training", done=2, total=2))  # nobody listens any more
    with pytest.raises(isolation.StageAbortedError, match="was not begun"):
        isolation.run_isolated(stages.double, {"number": 1}, stage="a", key=None, threads=1, timeout_s=60)
    assert not Path(given.news).exists()


def test_stages_of_a_block_can_be_kept_here(given: Surroundings) -> None:
    with surroundings.kept_here():
        assert surroundings.sending() is None
    assert surroundings.sending() == given
