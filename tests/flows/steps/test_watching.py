"""Claims: what a measurement depends on is the model's weights, text and settings, and the versions of libraries, and
not when it is made; a model is named without its folder; figures of several texts are told apart, benchmarks counted
once.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.steps.settings import apply_settings
from flows.steps.watching import _named, given, registered, surroundings
from tasks.models.checkpoints import inspect_model
from tasks.settings.monitoring import MonitoringConfig
from tests.stand_ins.databases import give_runs
from tests.stand_ins.tiny import TinyTask

CONFIG = MonitoringConfig()


@pytest.fixture(autouse=True)
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


def test_a_measurement_depends_on_model_text_settings_and_libraries(tiny_task: TinyTask, tmp_path: Path) -> None:
    model, text = Path(shutil.copytree(tiny_task.model, tmp_path / "model")), tmp_path / "text.txt"
    shutil.copy(tiny_task.forget, text)
    watched = given(replace(tiny_task.request(), forget=(str(text),)), str(model))
    before = surroundings(watched, CONFIG)
    assert surroundings(watched, CONFIG) == before
    assert before.libraries["torch"].startswith("2.")
    assert surroundings(watched, apply_settings(CONFIG, ["monitor.every=1", "monitor.threshold=0.9"])) == before
    assert surroundings(watched, apply_settings(CONFIG, ["probing.prompts=3"])).data != before.data
    (model / "generation_config.json").write_text('{"max_new_tokens": 5}')
    assert surroundings(watched, CONFIG) == replace(before, model=inspect_model(str(model), "target").digest) != before
    text.write_text(text.read_text() + "More.\n")
    assert surroundings(watched, CONFIG).data != before.data


def test_a_model_of_the_users_own_is_named_by_its_digest(tiny_task: TinyTask) -> None:
    watched = given(tiny_task.request(), str(tiny_task.model))
    assert watched.name == f"model {inspect_model(str(tiny_task.model), 'unlearned').digest[:8]}"
    assert list(watched.asked) == [""]
    other = given(replace(tiny_task.request(), forget=(str(tiny_task.retain),), retain=()), str(tiny_task.model))
    assert other.key != watched.key, "another text has a course of its own"


def test_without_requests_none_is_watched() -> None:
    assert registered() == []


def test_figures_of_several_texts_are_told_apart() -> None:
    row, alone = {"unlearned": 0.1, "target": 0.9}, {"unlearned": 0.5, "target": None}
    metrics = {"forget_test/familiarity": row, "benchmark/world/acc": alone, "retain_test/perplexity": row}
    assert _named(metrics, "R-0001/") == {
        "R-0001/forget_test/familiarity": 0.1,
        "R-0001/forget_test/familiarity.target": 0.9,
        "benchmark/world/acc": 0.5,
    }
    assert _named(metrics, "").keys() == {
        "forget_test/familiarity",
        "forget_test/familiarity.target",
        "benchmark/world/acc",
    }
