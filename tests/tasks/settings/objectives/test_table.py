"""Claims, computed from the code and nothing run: a new line changes no cache key, and an objective's code is in the
keys of its own training alone.
"""

import shutil
from pathlib import Path

import pytest

from tasks.execution import cache_keys
from tasks.execution.cache_keys import ROOT, code_digest, stage_key
from tasks.objective_training import unlearn
from tasks.settings.objectives.table import OBJECTIVES

STAGES = sorted(f"tasks.{path.stem}" for path in (ROOT / "tasks").glob("*.py") if "\n@stage(" in path.read_text())


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The keys of the code as it is."""
    return keys()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `tasks`, of which keys are computed."""
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache_keys, "ROOT", tmp_path)
    yield tmp_path / "tasks"
    forget_digests()


def forget_digests() -> None:
    for found in vars(cache_keys).values():
        if hasattr(found, "cache_clear"):
            found.cache_clear()


def keys() -> dict[str, str]:
    """What of each stage's key is code, and the key of training with each objective."""
    forget_digests()
    trained = {name: stage_key(unlearn.body, {"loss": found.loss}, numeric=False) for name, found in OBJECTIVES.items()}
    return {**{stage: code_digest(stage) for stage in STAGES}, **trained}


def test_a_new_objective_changes_the_key_of_no_stage_of_another(before: dict[str, str], copied: Path) -> None:
    table = code_digest("tasks.settings.objectives.table")
    for folder in ("algorithms", "settings"):
        text = (copied / folder / "objectives" / "npo.py").read_text()
        (copied / folder / "objectives" / "ours.py").write_text(text.replace("objectives.npo", "objectives.ours"))
    listing = copied / "settings" / "objectives" / "table.py"
    line = '    "ours": Listed("tasks.settings.objectives.ours:NPOConfig", "tasks.algorithms.objectives.ours:NPO"),\n'
    listing.write_text(listing.read_text().replace("OBJECTIVES = {\n", "OBJECTIVES = {\n" + line))
    assert keys() == before
    assert code_digest("tasks.settings.objectives.table") != table
    assert len(STAGES) > 25


@pytest.mark.parametrize("folder", ["algorithms", "settings"])
def test_a_changed_objective_is_trained_anew_and_no_other(folder: str, before: dict[str, str], copied: Path) -> None:
    with (copied / folder / "objectives" / "npo.py").open("a") as file:
        file.write("# changed\n")
    after = keys()
    assert {name for name in before if after[name] != before[name]} == {"npo"}
