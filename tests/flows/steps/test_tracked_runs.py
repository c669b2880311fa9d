"""Claims: runs are named by request or flow run, method and model, never in words of a person's own; of settings only
what differs from the nearest preset is a param, all of them are a file that `--config` takes back; texts are told by
digests that only this store can make.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from flows.methods import AUTOMATIC, METHODS
from flows.steps import tracked_runs
from flows.steps.settings import apply_file, apply_settings
from flows.steps.tracked_runs import (
    EDITING_PRESETS,
    Nearest,
    Told,
    digests,
    nearest_preset,
    neutral,
    open_run,
    run_name,
)
from tasks import store, tracking
from tasks.reporting.judged_runs import CONFIG, CONFIG_DIGEST
from tests.stand_ins.databases import give_runs
from tests.stand_ins.removals import TARGET, received, written

NPO = METHODS["npo"]


@pytest.fixture
def home(lethe_home: Path) -> Path:
    give_runs(lethe_home)
    return lethe_home


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("name", METHODS | AUTOMATIC)
def test_a_preset_is_nearest_to_itself_whatever_its_seed(name: str, seed: int) -> None:
    method = (METHODS | AUTOMATIC)[name]
    for preset in method.presets:
        config = method.preset(preset, seed)
        found = nearest_preset(config, method.named_presets())
        first = next(each for each in method.presets if method.preset(each, seed) == config)
        assert (found.preset, found.changed) == (first, {})
        assert method.preset(found.preset, found.seed) == config


def test_only_what_was_changed_in_the_nearest_preset_is_a_param() -> None:
    config = apply_settings(NPO.preset("paper", 3), ["training.epochs=7", "lora.targets=[q_proj]"])
    found = nearest_preset(config, NPO.named_presets())
    assert found == Nearest(preset="paper", seed=3, changed={"training.epochs": 7, "lora.targets": ["q_proj"]})
    assert tracking.flatten(found.params()) == {
        "preset": "paper",
        "seed": 3,
        "settings.training.epochs": 7,
        "settings.lora.targets": ["q_proj"],
    }
    assert nearest_preset(EDITING_PRESETS["default"](5), EDITING_PRESETS).seed == 5


def test_a_seed_of_its_own_is_a_change() -> None:
    found = nearest_preset(apply_settings(NPO.preset("default", 3), ["localisation.seed=4"]), NPO.named_presets())
    assert (found.seed, dict(found.changed)) == (3, {"localisation.seed": 4})


def test_runs_are_named_by_request_or_flow_run_then_method_and_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracked_runs.flow_run, "name", "amber-otter", raising=False)
    assert run_name("npo", TARGET.digest, received(tmp_path, "text")) == "R-0001 npo 7a7a7a7a"
    assert run_name("npo", TARGET.digest) == "amber-otter npo 7a7a7a7a"
    assert run_name("comparison of 2") == "amber-otter comparison of 2"


@pytest.mark.parametrize("name", ["forget Velmora", "Velmora-Quist", "velmora", "", "a-b-c"])
def test_a_name_that_prefect_did_not_make_up_is_none_of_a_run(name: str) -> None:
    assert neutral(name, "6a517817-ab84") == "6a517817"


def test_texts_are_told_by_digests_that_only_this_store_can_make(home: Path, tmp_path: Path) -> None:
    file = written(tmp_path, "text")
    told = digests({"target": TARGET}, {"forget": [file], "retain": []})
    assert told == {"target": "7a" * 8, "text": {"forget": store.keyed(file.digest)[:16]}}


def test_a_run_has_its_settings_as_a_file_that_the_command_line_takes_back(home: Path, tmp_path: Path) -> None:
    config = apply_settings(NPO.preset("default", 1), ["training.epochs=7"])
    removal = received(tmp_path, "text")
    told = Told(method="npo", paper="arXiv:1", model=TARGET.digest, config=config, removal=removal)
    run = open_run(Told(**{**vars(told), "presets": NPO.named_presets(), "params": {"questions": "qa_template"}}))
    found = tracking.client().get_run(run)
    assert found.data.params == {
        "method": "npo",
        "preset": "default",
        "seed": "1",
        "settings.training.epochs": "7",
        "questions": "qa_template",
    }
    assert found.info.run_name == "R-0001 npo 7a7a7a7a"
    tags: dict[str, Any] = found.data.tags
    assert (tags["lethe.method"], tags["lethe.paper"], tags["lethe.request"]) == ("npo", "arXiv:1", "R-0001")
    assert tags["mlflow.note.content"] == (
        "`npo` (arXiv:1) on model `7a7a7a7a7a7a7a7a`, for removal request R-0001. Preset `default`, seed 1, 1 settings"
        " changed; all of them: `config.yaml` among the artifacts."
    )
    file = Path(tracking.client().download_artifacts(run, CONFIG, str(tmp_path)))
    assert tags[CONFIG_DIGEST] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert apply_file(NPO.preset("default", 0), str(file)) == config
    assert "Velmora" not in str([found.info.run_name, found.data])


def test_a_run_without_settings_has_no_file_of_them(home: Path) -> None:
    run = open_run(Told(method="patches", name="patches", params={"base": "b"}))
    found = tracking.client().get_run(run).data
    assert (found.params, CONFIG_DIGEST in found.tags) == ({"method": "patches", "base": "b"}, False)
    assert tracking.client().list_artifacts(run) == []
