"""Claims: requests on one model come together, whether they name it by folder or by alias; one whose names were purged,
or whose model is not there, is left out with a reason that names nothing.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.steps.bases import gather_bases
from tasks import store
from tasks.artifacts import Artifact
from tasks.models.checkpoints import inspect_model
from tasks.removals import register, states
from tasks.removals.records import Removal
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import made, wanted, written
from tests.stand_ins.tiny import TinyTask


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def entered(folder: Path, name: str, model: str, task: TinyTask) -> Removal:
    file = written(folder, name)
    asked = wanted(file)
    asked = replace(asked, text=replace(asked.text, model=model))
    return register.add(asked, inspect_model(str(task.model), "target"), {"forget": [file]})


def test_requests_on_one_model_come_together(tiny_task: TinyTask, tmp_path: Path) -> None:
    digest = inspect_model(str(tiny_task.model), "target").digest
    copied = Path(shutil.copytree(tiny_task.model, tmp_path / "copy"))
    for name, model in (("a", tiny_task.model), ("b", copied), ("c", tiny_task.model)):
        entered(tmp_path, name, str(model), tiny_task)
    states.cancel("R-0003")
    (base,), left_out = gather_bases(register.all_requests())
    assert (base.digest, base.model, left_out) == (digest, str(tiny_task.model), {})
    assert [one.id for one in base.requests] == list(base.asked) == ["R-0001", "R-0002"]


def test_what_was_made_for_requests_is_of_their_base(tiny_task: TinyTask, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        shutil.copytree(tiny_task.model, folder, dirs_exist_ok=True)

    digest = store.put("checkpoints", write)
    made("lethe-1a2b3c4d", digest, {"lethe.base": "5c" * 32})
    entered(tmp_path, "a", "models:/lethe-1a2b3c4d/1", tiny_task)
    (base,), _ = gather_bases(register.all_requests())
    assert (base.digest, base.model) == ("5c" * 32, "models:/lethe-1a2b3c4d/1")


def test_what_cannot_be_looked_at_is_left_out_without_a_name(tiny_task: TinyTask, tmp_path: Path) -> None:
    purged = entered(tmp_path, "a", str(tiny_task.model), tiny_task)
    shutil.rmtree(store.path(Artifact(kind="requests", digest=purged.details, sensitivity="forget")))
    store._checked.clear()
    entered(tmp_path, "b", str(tmp_path / "gone"), tiny_task)
    assert gather_bases(register.all_requests()) == (
        [],
        {"R-0001": "what it names was purged, or is in another store", "R-0002": "its model cannot be had"},
    )
