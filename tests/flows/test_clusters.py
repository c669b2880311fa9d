"""Claims: stages of a command run on a Dask and on a Ray cluster of two workers, and make what they make on one
machine, to the bit where bits are asked for; a worker that is killed in the middle loses a stage and not the run;
progress is seen where the command runs; a second run comes from the cache.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.steps.runners import PACKAGES
from tests.stand_ins.clusters import Cluster, cluster, end
from tests.stand_ins.command import lethe, start
from tests.stand_ins.tiny import TinyTask
from tests.stand_ins.waiting import end_of, wait_for

pytestmark = pytest.mark.slow
EPOCHS = ("finetune.epochs=60", "finetune.courses=1", "finetune.patience=1000", "relearning.steps=[]")
"""Long enough for a worker to be killed meanwhile."""
SAVE_OFTEN = {"LETHE_SAVE_EVERY_S": "0.05"}


@pytest.fixture(scope="module", params=PACKAGES)
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    pytest.importorskip(PACKAGES[request.param], reason=f"without the extra {request.param}")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    with cluster(request.param, folder) as started:
        yield started
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def home(running: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cluster's store: a worker of Dask's is for one."""
    return tmp_path_factory.mktemp("store") / "lethe"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask) -> dict[str, Any]:
    """What the command makes on this machine."""
    folder = tmp_path_factory.mktemp("alone")
    ended = lethe(*tiny_task.words(*EPOCHS), "--json", folder / "result.json", home=folder / "lethe")
    assert ended.returncode == 0, ended.stderr
    return json.loads((folder / "result.json").read_text())


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal: the card's metrics and verdict, and the digest of the unlearned model."""
    card = result["scorecard"]
    return {"metrics": card["metrics"], "verdict": card["verdict"], "model": Path(result["model"]).name}


def worker_of(home: Path, stage: str) -> int | None:
    """Return the process that computes a stage, as its lease says, once the stage has saved its state."""
    for folder in (home / "forget" / "work").glob(f"{stage}-*"):
        if list(folder.iterdir()):
            leases = list((home / "locks" / "leases" / folder.name).iterdir())
            with contextlib.suppress(ValueError, OSError, TypeError):
                return json.loads(max(leases, key=lambda file: int(file.name)).read_text())["process"]
    return None


def test_a_cluster_makes_the_same_bits_also_when_a_worker_is_killed(
    running: Cluster, alone: dict[str, Any], home: Path, tiny_task: TinyTask, tmp_path: Path
) -> None:
    log, result = tmp_path / "stderr", tmp_path / "result.json"
    words = [*tiny_task.words(*EPOCHS), "--runner", running.address, "--reproducible", "bitwise", "--json", str(result)]
    with start(*words, home=home, error=log, **SAVE_OFTEN) as process:
        try:
            wait_for(lambda: process.poll() is not None or worker_of(home, "finetune"), "finetuning", every_s=0.02)
            assert process.poll() is None, log.read_text()
            (worker,) = [one for one in running.family() if one.pid == worker_of(home, "finetune")]
            end(worker)
            ended = end_of(process, home)
        finally:
            process.kill()
    assert ended.returncode == 0, log.read_text()
    assert figures(json.loads(result.read_text())) == figures(alone)
    assert {"finetune: done", "labels: done"} <= {line.strip() for line in log.read_text().splitlines()}
    again = lethe(*words, home=home)
    assert again.returncode == 0, again.stderr
    states = json.loads(result.read_text())["stages"]
    assert set(states.values()) == {"Cached"}


def test_without_bits_figures_are_equal_but_for_rounding(
    running: Cluster, alone: dict[str, Any], home: Path, tiny_task: TinyTask, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    ended = lethe(*tiny_task.words(*EPOCHS), "--runner", running.address, "--json", result, home=home)
    assert ended.returncode == 0, ended.stderr
    found, wanted = (figures(each)["metrics"] for each in (json.loads(result.read_text()), alone))
    assert found.keys() == wanted.keys()
    for name, row in wanted.items():
        assert found[name]["unlearned"] == pytest.approx(row["unlearned"], rel=1e-3, abs=1e-4), name
    assert list((home / "forget" / "scratch").iterdir()) == []
