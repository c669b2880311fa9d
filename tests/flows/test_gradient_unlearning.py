"""Methods that train by an objective: what they refuse, where their settings are from, and sweeps over these on a
random model of two layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.gradient_unlearning import origin_of_settings
from flows.methods import METHODS
from flows.methods import method as find_method
from flows.steps.settings import apply_settings
from flows.sweep import sweep, trial_table
from flows.terminal import checks
from tasks import store, tracking
from tasks.artifacts import BadInputError
from tasks.execution import isolation
from tasks.settings import gradient_unlearning
from tasks.settings.unlearning_request import UnlearningRequest
from tests.stand_ins.command import called
from tests.stand_ins.tiny import SETTINGS, TinyTask

SHORT = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing", "relearning")]
SETTINGS_OF = {
    "npo": ["rows.tokens=32", "training.epochs=1", "training.least_steps=4", "training.validate_every=2"],
    "scrub": ["training.epochs=2", "training.block_size=32", "toxicity.scorer=lexicon"],
}


@dataclass(frozen=True, kw_only=True)
class Home:
    task: TinyTask
    request: UnlearningRequest
    """What every method's flow is given."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: str) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("methods") / "lethe"
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        yield Home(task=tiny_task, request=tiny_task.request())
    # after flows that failed nothing begins in this process: say that they are over, for the tests that come next
    isolation.begin()


def configured(name: str) -> Any:
    return apply_settings(METHODS[name].preset("default", 0), [*SHORT, *SETTINGS_OF[name]])


@pytest.mark.parametrize(
    ("method", "preset", "settings", "words"),
    [
        ("simnpo", "default", [], "tuned on second-series"),
        ("simnpo", "default", ["training.seed=3", "probing.window=64"], "tuned on second-series"),
        (
            "simnpo",
            "default",
            ["training.epochs=7", "objective.b=0.3"],
            "tuned on second-series, but for objective.b, training.epochs",
        ),
        (
            "npo",
            "default",
            [],
            "tuned on second-series and on questions of TOFU's that are in none of its forget splits",
        ),
        ("idk", "default", [], "tuned on second-series for dpo, which is the same objective by another name"),
        ("npo", "paper", [], "constants of the paper"),
        ("npo", "paper", ["lora.rank=4"], "constants of the paper, but for lora.rank"),
    ],
)
def test_the_card_says_where_the_settings_of_the_training_are_from(
    method: str, preset: str, settings: list[str], words: str
) -> None:
    assert origin_of_settings(apply_settings(METHODS[method].preset(preset, 0), settings)) == words


def test_a_method_that_nobody_tuned_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gradient_unlearning.TUNED, "dpo")
    for name in ("dpo", "idk"):
        config = METHODS[name].preset("default", 0)
        assert config.training == gradient_unlearning.UnlearningConfig()
        assert (
            origin_of_settings(config)
            == "not tuned for this method: the defaults of UnlearningConfig and of its objective"
        )


def test_scrub_without_what_it_needs_is_refused_before_anything_is_trained(home: Home) -> None:
    flow, config = METHODS["scrub"].flow(), configured("scrub")
    with pytest.raises(
        BadInputError, match="--method scrub holds on to retain text, and there is none; wanted --retain FILE"
    ):
        flow(replace(home.request, retain=()), config)
    with pytest.raises(
        BadInputError, match="--method scrub rewinds by held-out text, and there is none; wanted --holdout FILE"
    ):
        flow(home.request, apply_settings(config, ["rewind.enabled=true"]))


@pytest.mark.slow
def test_a_sweep_tries_every_point_and_its_best_keeps_enough(home: Home) -> None:
    grid = {"objective.b": ("0.1", "0.5"), "training.learning_rate": ("1e-4",)}
    swept = sweep(home.request, configured("npo"), method="npo", grid=grid, floor=0.1)
    assert [trial.settings[0] for trial in swept.trials] == ["objective.b=0.1", "objective.b=0.5"]
    # no retrained model: nothing is to be left
    assert all(0 < trial.forget < 1 and trial.distance == trial.forget for trial in swept.trials)
    assert swept.best in swept.trials
    assert swept.best.acceptable
    assert list(trial_table(swept.trials).distance) == sorted(trial.distance for trial in swept.trials)


def test_a_point_that_breaks_is_named_and_nothing_is_left_running(home: Home) -> None:
    with pytest.raises(BadInputError, match=r"training.learning_rate=1e30: loss .* at step \d; wanted finite numbers"):
        sweep(home.request, configured("npo"), method="npo", grid={"training.learning_rate": ("1e30",)})
    with pytest.raises(BadInputError, match=r"objective.b=0.2: .*prefers other answers to questions"):
        sweep(
            home.request,
            apply_settings(find_method("idk").preset("default", 0), SHORT),
            method="idk",
            grid={"objective.b": ("0.2",)},
        )
    api = tracking.client()
    assert not api.search_runs(
        [api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id], "attributes.status = 'RUNNING'"
    )


def test_a_sweep_that_has_nothing_to_score_by_is_refused_before_it_trains(home: Home) -> None:
    config = apply_settings(configured("npo"), ["corpus.test_share=0"])
    with pytest.raises(
        BadInputError,
        match="nothing is left for forget_test, by which trials are scored; wanted more text, or --forget-test FILE",
    ):
        sweep(home.request, config, method="npo", grid={"objective.b": ("0.1",)})


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--method", "npo", "--set", "alpha=1"), "--set alpha: no such setting"),
        (("--method", "npo", "--set", "objective.b=0"), "b is 0.0; wanted a number > 0"),
        (
            ("--method", "scrub", "--set", "scrub.alpha=0.5", "--set", "scrub.beta=0.6"),
            "wanted 1 in form language_model",
        ),
        (("--method", "scrub", "--set", "scrub.beta=0"), "scrub.beta is 0.0; wanted a number > 0"),
        (("--method", "scrub", "--set", "scrub.gamma=1"), "scrub.gamma is 1.0; wanted 0 in form language_model"),
        (
            ("--method", "npo", "--set", "training.utility_floor=.nan"),
            "training.utility_floor is nan; wanted a number > 0",
        ),
        (
            ("--method", "whp", "--teacher", "live"),
            "--teacher live: this method cannot ask a frozen model in its steps",
        ),
        (("--method", "npo", "--teacher", "dead"), "training.teacher is 'dead'; wanted one of cached, live"),
        (("--method", "guardrail", "--lora-rank", "4"), "--lora-rank 4: this method trains no adapters"),
        (("--method", "npo", "--set", "training.clip_norm=-1"), "clip_norm is -1.0; wanted a number >= 0"),
        (("--method", "npo", "--set", "training.learning_rate=.nan"), "learning_rate is nan; wanted a number > 0"),
        (("--method", "rmu", "--set", "objective.layer=99"), "layer is 99; wanted 0 to"),
        (("--method", "rmu", "--lora-rank", "4096"), "lora.rank is 4096"),
        (("--winobias", "nowhere"), "--winobias nowhere brings"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(words: tuple[str, ...], line: str, home: Home, tmp_path: Path) -> None:
    ended = called(
        "unlearn",
        home.task.forget,
        "--retain",
        home.task.retain,
        "--model",
        home.task.model,
        *words,
        home=tmp_path / "lethe",
    )
    assert ended.returncode == 2, ended.stderr
    assert line in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_sweep_that_could_not_tell_what_is_kept_is_refused(home: Home, tmp_path: Path) -> None:
    words = ("sweep", home.task.forget, "--model", home.task.model, "--method", "npo", "--grid", "objective.b=1,2")
    ended = called(*words, home=tmp_path / "lethe")
    assert (ended.returncode, "--retain missing; wanted --retain FILE or --retain-test FILE" in ended.stderr) == (
        2,
        True,
    ), ended.stderr


def test_a_sweep_refuses_a_point_that_the_model_cannot_carry_before_it_trains(home: Home, tmp_path: Path) -> None:
    words = (
        "sweep",
        home.task.forget,
        "--retain",
        home.task.retain,
        "--model",
        home.task.model,
        "--method",
        "rmu",
        "--grid",
        "objective.layer=0,99",
    )
    ended = called(*words, home=tmp_path / "lethe")
    assert (ended.returncode, "layer is 99; wanted 0 to" in ended.stderr) == (2, True), ended.stderr
    rewinding = ("--method", "scrub", "--grid", "rewind.enabled=true,false", "--holdout", str(tmp_path / "nowhere.txt"))
    ended = called(*words[:6], *rewinding, home=tmp_path / "lethe")
    assert (ended.returncode, "nowhere.txt" in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize(
    ("method", "settings", "line"),
    [
        (
            "gradient_difference",
            [],
            "--method gradient_difference without retain text is gradient_ascent; wanted --retain FILE",
        ),
        ("scrub", [], "--method scrub holds on to retain text, and there is none; wanted --retain FILE"),
        ("scrub", ["rewind.enabled=true"], "holds on to retain text"),
    ],
)
def test_text_that_a_method_cannot_do_without_is_asked_for(method: str, settings: list[str], line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        find_method(method).require_text()(
            UnlearningRequest(forget=("a",)), apply_settings(find_method(method).preset("default", 0), settings)
        )


def test_a_topic_brings_a_holdout_where_scrub_rewinds() -> None:
    presets = (("scrub", "original"), ("scrub", "default"), ("npo", "default"))
    assert [checks.world_for(METHODS[name].preset(preset, 0)).unseen for name, preset in presets] == [2, 0, 0]


def test_a_sweep_of_no_values_or_of_unknown_settings_is_refused(home: Home, tmp_path: Path) -> None:
    words = ("sweep", home.task.forget, "--model", home.task.model, "--method", "npo", "--grid")
    for grid, line in (
        ("objective.b", "--grid objective.b: no values; wanted key=one,two"),
        ("objective.c=1,2", "--set objective.c: no such setting"),
        ("anchors.min_count=2,3", "--grid anchors.min_count: every trial is read"),
    ):
        ended = called(*words, grid, home=tmp_path / "lethe")
        assert ended.returncode == 2, ended.stderr
        assert line in ended.stderr
