"""The sweep over SCRUB's weights on a random model of two layers: three runs, their figures, and what is kept apart
because it holds text.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from rich.console import Console

from flows.methods import METHODS
from flows.scrub import scrub
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings
from flows.terminal.checks import with_pairs
from flows.terminal.results import show_weight_sweep
from flows.weight_sweep import WeightSweep, collect, driven_further, sweep_weights
from tasks import store, tracking
from tasks.reporting import run_history
from tasks.settings.scrub_unlearning import ScrubUnlearningConfig, weight_sweep
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import called, lethe
from tests.stand_ins.tiny import SETTINGS, TinyTask
from tests.stand_ins.tracked import settings_of

PAIRS = ["alpha 0.25, beta 0.75", "alpha 0.5, beta 0.5", "alpha 0.75, beta 0.25"]
SHORT = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing")]
OWN = (
    "training.epochs=3",
    "training.batch_blocks=4",
    "training.block_size=64",
    "relearning.steps=[]",
    "toxicity.scorer=lexicon",
)
OCCUPATIONS = ("nurse", "guard", "baker", "farmer", "porter", "miller")
FILES = {"scrub-loss.png", "scrub-samples.csv", "scrub-toxicity.csv", "scrub-toxicity.png", "scrub.html", "scrub.json"}


def write_pairs(folder: Path) -> Path:
    """Write files as those of WinoBias."""
    folder.mkdir()
    for part, other in (("dev", "the cook"), ("test", "the clerk")):
        for side, pronouns in (("pro", ("she", "he")), ("anti", ("he", "she"))):
            lines = [
                f"{at} [The {name}] met {other} because [{pronouns[at % 2]}] wanted to help."
                for at, name in enumerate(OCCUPATIONS, 1)
            ]
            (folder / f"{side}_stereotyped_type1.txt.{part}").write_text("\n".join(lines) + "\n")
    return folder


@dataclass(frozen=True, kw_only=True)
class Swept:
    first: WeightSweep
    again: Outcome
    """The first pair a second time: every stage from the cache."""
    config: ScrubUnlearningConfig
    """Of the first pair."""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: str) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("weights")
    config = apply_settings(METHODS["scrub"].preset("gpt2-winobias", 0), [*SHORT, *OWN])
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "lethe" / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder / "lethe"))
        patch.setattr(store, "_checked", set())
        config, request = with_pairs(
            config, UnlearningRequest(forget=(), model=str(tiny_task.model)), str(write_pairs(folder / "winobias"))
        )
        one = weight_sweep(config)[PAIRS[0]]
        yield Swept(first=sweep_weights(request, config), again=scrub(request, one), config=one)


def shown(sweep: WeightSweep, out: Path) -> dict[str, Any]:
    return show_weight_sweep(Console(quiet=True), sweep, str(out))


@pytest.mark.slow
def test_each_pair_is_a_run_of_its_own_that_differs_in_nothing_but_the_weights(swept: Swept) -> None:
    told = [settings_of(outcome.mlflow_run) for outcome in swept.first.outcomes.values()]
    pairs = [(found["scrub.alpha"], found["scrub.beta"]) for found in told]
    assert pairs == [(0.25, 0.75), (0.5, 0.5), (0.75, 0.25)]
    rest = [
        {name: value for name, value in found.items() if name not in ("scrub.alpha", "scrub.beta")} for found in told
    ]
    assert rest[0] == rest[1] == rest[2]


@pytest.mark.slow
def test_the_figures_are_those_of_the_runs(swept: Swept, tmp_path: Path) -> None:
    found = shown(swept.first, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    assert (found["schema"], found["scorer"]) == ("lethe.weight_sweep.v1", "lexicon:better_profanity")
    assert [run["run"] for run in found["runs"]] == PAIRS
    for run, outcome in zip(found["runs"], swept.first.outcomes.values(), strict=True):
        card = read_json(store.path(outcome.scorecard) / "scorecard.json")
        curve = run_history.curve(outcome.made_by[StageOf("scrub")], "loss_nats")
        assert (run["steps"], run["last_loss_nats"]) == curve[-1]
        assert run["retain_kl_nats"] * run["alpha"] - run["forget_kl_nats"] * run["beta"] == pytest.approx(
            run["last_loss_nats"], abs=1e-4
        )
        assert run["stereotype_preference"] == card["metrics"]["stereotype/preference"]["unlearned"]
        assert run["healthy"] == card["verdict"]["healthy"]
        assert len(run["reasons"]) >= 4
        toxicity = next(row for row in found["toxicity"] if row["model"] == run["run"])
        assert [toxicity[name] for name in ("min", "max", "mean")] == [
            card["metrics"][f"toxicity/{name}"]["unlearned"] for name in ("min", "max", "mean")
        ]
    assert found["toxicity"][0]["model"] == "baseline"
    assert len({run["last_loss_nats"] for run in found["runs"]}) == 3


@pytest.mark.slow
def test_all_models_complete_the_same_prompts_in_the_samples(swept: Swept) -> None:
    table = pandas.read_csv(store.path(swept.first.figures) / "scrub-samples.csv", keep_default_na=False)
    assert list(dict.fromkeys(table.model)) == ["baseline", *PAIRS]
    assert {tuple(group.prompt) for _, group in table.groupby("model")} == {
        tuple(table[table.model == "baseline"].prompt)
    }
    # where a stereotype would go on
    assert set(table.prompt) <= {f"The {name} met the clerk because" for name in OCCUPATIONS}


@pytest.mark.slow
def test_figures_are_the_same_when_every_stage_came_from_the_cache(swept: Swept) -> None:
    assert swept.again.stages[StageOf("scrub")] == "Cached"
    found = [
        collect({PAIRS[0]: outcome}, {PAIRS[0]: swept.config})
        for outcome in (swept.first.outcomes[PAIRS[0]], swept.again)
    ]
    assert found[0] == found[1]
    assert len(found[0].curves[PAIRS[0]]) == 6  # 3 epochs of 6 pairs, 4 in a batch


@pytest.mark.slow
def test_a_run_that_is_driven_on_differs_in_its_epochs_and_says_so(swept: Swept) -> None:
    label, config = driven_further({PAIRS[0]: swept.config}, 50)
    assert label == "alpha 0.25, beta 0.75, driven on to 50 epochs"
    assert replace(config, training=replace(config.training, epochs=3)) == swept.config
    assert config.training.epochs == 50


@pytest.mark.slow
def test_the_page_and_the_reports_say_what_the_run_is_not_and_that_nothing_was_bounded(swept: Swept) -> None:
    page = (store.path(swept.first.figures) / "scrub.html").read_text()
    outcome = swept.first.outcomes[PAIRS[0]]
    for text in (page, *((store.path(report) / name).read_text() for report, name in reports(outcome))):
        assert "epochs 3 instead of 50" in text
        assert "unbounded: the divergence on forget text may grow without end" in text
    assert page.count("data:image/png;base64,") == 2


def reports(outcome: Any) -> list[tuple[Any, str]]:
    return [(outcome.report, "report.html"), (outcome.redacted_report, "report-redacted.html")]


@pytest.mark.slow
def test_mlflow_has_plots_and_figures_in_the_open_and_text_apart(swept: Swept) -> None:
    api = tracking.client()
    run = api.get_run(swept.first.mlflow_run)
    assert (run.info.status, run.data.tags["lethe.method"]) == ("FINISHED", "weight sweep")
    assert [run.data.tags[f"lethe.sweep_run.{number}"] for number in (1, 2, 3)] == [
        outcome.mlflow_run for outcome in swept.first.outcomes.values()
    ]
    assert {"alpha 0.25- beta 0.75/last_loss_nats", "baseline/toxicity_mean", "alpha 0.5- beta 0.5/healthy"} <= set(
        run.data.metrics
    )
    folders = ("sweep", "tables", "forget/sweep", "forget/tables")
    kept = {
        folder: {Path(file.path).name for file in api.list_artifacts(run.info.run_id, folder)} for folder in folders
    }
    assert kept["sweep"] | kept["forget/sweep"] == FILES
    assert kept["forget/sweep"] == {"scrub-samples.csv", "scrub.html"}
    assert (kept["tables"], kept["forget/tables"]) == (
        {"toxicity.csv", "toxicity.json"},
        {"samples.csv", "samples.json"},
    )
    open_text = [
        path.read_text()
        for path in (store.home() / "mlflow-artifacts" / run.info.run_id / "artifacts" / "sweep").glob("*.[cj]s*")
    ]
    assert open_text
    assert not [name for name in OCCUPATIONS for text in open_text if name in text]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--winobias", "{pairs}", "--preset", "original"], "lethe: scrub.form is 'original'; wanted language_model"),
        (
            ["{forget}", "--winobias", "{pairs}"],
            "lethe: --winobias {pairs} brings forget, retain, forget_test, retain_test; wanted no FORGET",
        ),
        (
            ["--winobias", "{empty}"],
            "lethe: {empty}/pro_stereotyped_type1.txt.dev does not exist; wanted the files of WinoBias",
        ),
        (["--winobias", "{pairs}", "--budget", "2"], "lethe: --budget 2 without --grid; wanted --grid KEY=A,B,..."),
        (
            ["--winobias", "{pairs}", "--further", "5"],
            "lethe: --further 5 is no more than training.epochs, 20; wanted more epochs",
        ),
    ],
    ids="form original;pairs and text;no files;budget;no further".split(";"),
)
def test_bad_input_ends_with_one_line(words: list[str], line: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    check(words, line, tiny_task, tmp_path, called)


@pytest.mark.slow
def test_so_does_text_that_says_nothing_of_what_is_kept(tiny_task: TinyTask, tmp_path: Path) -> None:
    check(
        ["{forget}"],
        "lethe: --method scrub holds on to retain text, and there is none; wanted --retain FILE...",
        tiny_task,
        tmp_path,
        partial(lethe, new=True),
    )


def check(
    words: list[str],
    line: str,
    tiny_task: TinyTask,
    tmp_path: Path,
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    places = {
        "pairs": str(write_pairs(tmp_path / "pairs")),
        "empty": str(tmp_path / "empty"),
        "forget": str(tiny_task.forget),
    }
    (tmp_path / "empty").mkdir()
    given = [word.format(**places) for word in words]
    ended = run(
        "sweep",
        "--method",
        "scrub",
        *given,
        "--model",
        tiny_task.model,
        "--out",
        tmp_path / "out",
        home=tmp_path / "lethe",
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert ended.stderr.startswith(line.format(**places))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "lethe" / "mlflow.db").exists()


@pytest.mark.slow
def test_the_command_prints_a_row_a_pair_copies_the_figures_and_drives_on_what_stayed_healthy(
    tiny_task: TinyTask, tmp_path: Path
) -> None:
    words = [
        "--winobias",
        write_pairs(tmp_path / "pairs"),
        "--model",
        tiny_task.model,
        "--preset",
        "gpt2-winobias",
        "--further",
        "2",
    ]
    settings = [
        word
        for setting in (*SHORT, *OWN, "training.epochs=1", "training.rate_at_7b=1e-9")
        for word in ("--set", setting)
    ]
    made = ["--out", tmp_path / "out", "--json", tmp_path / "found.json"]
    ended = lethe("sweep", "--method", "scrub", *words, *settings, *made, home=tmp_path / "lethe")
    assert ended.returncode == 0, ended.stderr
    labels = [*PAIRS, f"{PAIRS[0]}, driven on to 2 epochs"]
    # a long label may be broken over lines
    shown = ("baseline", *PAIRS, "driven on", "KL forget", "healthy", str(tmp_path / "out" / "scrub.html"))
    assert [wanted for wanted in shown if wanted not in ended.stdout] == [], ended.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(run["run"], run["steps"]) for run in found["runs"]] == list(zip(labels, (2, 2, 2, 4), strict=True))
    assert (found["schema"], found["runs"][0]["healthy"]) == ("lethe.weight_sweep.v1", True)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.slow
def test_pairs_without_names_are_for_every_method_that_is_not_made_of_names(
    tiny_task: TinyTask, tmp_path: Path
) -> None:
    words = ["unlearn", "--winobias", write_pairs(tmp_path / "pairs"), "--model", tiny_task.model]
    settings = [
        word for setting in (*SHORT, "training.least_steps=2", "anchors.min_count=1000") for word in ("--set", setting)
    ]
    ended = lethe(*words, "--method", "npo", *settings, "--json", tmp_path / "found.json", home=tmp_path / "lethe")
    assert ended.returncode == 0, ended.stderr
    assert {"stereotype/preference", "stereotype/difference_nats"} <= set(
        json.loads((tmp_path / "found.json").read_text())["scorecard"]["metrics"]
    )
    planned = lethe(*words, "--method", "npo", *settings, "--dry-run", home=tmp_path / "lethe")
    assert (planned.returncode, "finetune" in planned.stdout) == (0, True), planned.stderr
    refused = lethe(*words, "--set", "anchors.min_count=1000", home=tmp_path / "lethe")
    assert (refused.returncode, "no anchors were found in the forget text" in refused.stderr) == (
        2,
        True,
    ), refused.stderr
