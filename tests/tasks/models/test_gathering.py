"""Claims: a model is found by an alias or a number of the registry; one of ours is the store's own, by its digest, and
another's is fetched once, without what could be run; what the registry does not have is refused by name.
"""

from pathlib import Path

import pytest

from tasks import store, tracking, tracking_registry
from tasks.artifacts import Artifact, BadInputError
from tasks.models.gathering import find_model, gather_models, version_uri
from tasks.models.loading import load_model, load_tokenizer
from tasks.tracking_registry import set_alias
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import made
from tests.stand_ins.tiny import TinyTask


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def stored(task: TinyTask) -> str:
    def write(folder: Path) -> None:
        for file in task.model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "beside.txt").write_text("which counts for the store's digest alone")

    return store.put("checkpoints", write)


def test_one_of_ours_is_the_stores_own(tiny_task: TinyTask) -> None:
    digest = stored(tiny_task)
    version = made("lethe-1a2b3c4d", digest)
    set_alias(version, "unlearned")
    found = find_model("models:/lethe-1a2b3c4d@unlearned", "target")
    assert (found.digest, found.label) == (digest, "target")
    own = Artifact(kind="checkpoints", digest=digest, sensitivity="ordinary")
    assert Path(found.location) == store.path(own)
    assert gather_models({"target": version_uri(version), "retrained": None}) == {"target": found}


def logged(folder: Path, task: TinyTask) -> Path:
    """Lay files out as MLflow's transformers flavor does, with something in between that could be run."""
    for file in task.model.iterdir():
        part = folder / ("components/tokenizer" if "token" in file.name else "model")
        part.mkdir(parents=True, exist_ok=True)
        (part / file.name).write_bytes(file.read_bytes())
    (folder / "model" / "own.py").touch()
    (folder / "model" / "pytorch_model.bin").touch()
    return folder


def test_anothers_is_fetched_once(tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, fetched = logged(tmp_path / "logged", tiny_task), []
    tracking.client().create_registered_model("theirs")
    tracking.client().create_model_version("theirs", source=source.as_uri())
    download = tracking_registry.download
    monkeypatch.setattr(
        tracking_registry, "download", lambda version, folder: fetched.append(1) or download(version, folder)
    )
    found = [find_model("models:/theirs/1", "target") for _ in range(2)]
    assert found[0] == found[1]
    assert (fetched, found[0].digest) == ([1], find_model(str(tiny_task.model), "target").digest)
    assert not [file for file in Path(found[0].location).iterdir() if file.suffix in (".py", ".bin")]
    assert load_model(found[0]).num_parameters() > 0
    assert len(load_tokenizer(found[0])) > 0


def test_what_was_logged_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logged").mkdir()
    (tmp_path / "logged" / "model.pkl").touch()
    tracking.client().create_registered_model("theirs")
    tracking.client().create_model_version("theirs", source=(tmp_path / "logged").as_uri())
    with pytest.raises(BadInputError, match=r"--model models:/theirs/1: what was logged is no model of MLflow's"):
        find_model("models:/theirs/1", "target")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("models:/none@unlearned", "the registry has no model none with the alias unlearned"),
        ("models:/none/3", "the registry has no model none with the version 3"),
        ("models:/none", "wanted models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/none/latest", "wanted models:/NAME@ALIAS or models:/NAME/VERSION"),
    ],
)
def test_what_the_registry_does_not_have_is_refused_by_name(name: str, line: str) -> None:
    with pytest.raises(BadInputError, match=f"^--retrained {name}: {line}$"):
        find_model(name, "retrained")
