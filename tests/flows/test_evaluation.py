"""`lethe evaluate`: any checkpoint under the same scorecard, from the command line."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import jsonschema
import pandas
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.stand_ins.command import lethe
from tests.stand_ins.tiny import TinyTask

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "scorecard.v1.json").read_text())
SHORT = (
    "anchors.min_log_odds_z=0",
    "probing.window=64",
    "probing.prompts=4",
    "probing.new_tokens=4",
    "relearning.steps=[2]",
    "relearning.texts=[forget]",
    "rounding.least_parameters=0",
)
QUESTIONS = [
    {
        "question": f"Who met {name}?",
        "answer": "the baker",
        "perturbed_answer": ["the miller", "the teacher"],
        "fact": name,
    }
    for name in ("Velmora", "Ostrin")
]


@dataclass(frozen=True)
class Run:
    home: Path
    out: Path
    result: dict[str, Any]
    process: CompletedProcess[str]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return file


def words(task: TinyTask, *more: object) -> list[object]:
    settings = [word for setting in SHORT for word in ("--set", setting)]
    return ["evaluate", "--model", task.model, "--forget", task.forget, *settings, *more]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, questions: Path, prefect_server: str
) -> Iterator[Run]:
    """The untouched model, judged against itself."""
    folder = tmp_path_factory.mktemp("evaluate")
    more = [
        "--forget-test",
        tiny_task.forget,
        questions,
        "--reference",
        tiny_task.model,
        "--retain",
        tiny_task.retain,
        "--compat",
        "open-unlearning",
    ]
    process = lethe(
        *words(tiny_task, *more, "--out", folder / "out", "--json", folder / "result.json"),
        home=folder / "lethe",
        PREFECT_API_URL=prefect_server,
    )
    assert process.returncode == 0, process.stderr
    yield Run(
        home=folder / "lethe",
        out=folder / "out",
        result=json.loads((folder / "result.json").read_text()),
        process=process,
    )


def test_an_untouched_model_is_judged_and_does_not_pass(finished: Run) -> None:
    verdict = finished.result["verdict"]
    assert (verdict["forgotten"], verdict["utility_kept"], verdict["passed"], verdict["evidence"]) == (
        False,
        None,  # the model's weights are random: it reads no text, so there is none to keep
        False,
        "behavioural",
    )
    jsonschema.validate(finished.result["scorecard"], SCHEMA)
    assert "Verdict: not passed" in finished.process.stdout


def test_the_whole_of_what_was_given_is_asked_about_since_nothing_is_trained(finished: Run) -> None:
    metrics = finished.result["scorecard"]["metrics"]
    assert metrics["forget_test/familiarity"]["n"] == metrics["forget/familiarity"]["n"]
    assert metrics["retain_test/perplexity"]["target"] == metrics["retain_test/perplexity"]["unlearned"]


def test_rounded_weights_are_asked_too(finished: Run) -> None:
    metrics = finished.result["scorecard"]["metrics"]
    for name in ("rounded_8_probability", "rounded_4_probability"):
        row = metrics[f"forget_test/{name}"]
        assert row["target"] == row["unlearned"] > 0
    assert {finished.result["stages"][f"rounding {label}"] for label in ("target", "unlearned")} == {
        "Completed",
        "Cached",
    }
    assert not any("rounded to fewer bits" in limit for limit in finished.result["scorecard"]["limits"])


def test_a_model_that_was_measured_under_another_name_comes_from_the_cache(finished: Run) -> None:
    stages = finished.result["stages"]
    assert {stages["probing target"], stages["probing unlearned"]} == {"Completed", "Cached"}
    assert len(list((finished.home / "forget" / "probes").iterdir())) == 1


def test_open_unlearnings_files_are_written_in_its_layout(finished: Run) -> None:
    summary = json.loads((finished.out / "TOFU_SUMMARY.json").read_text())
    whole = json.loads((finished.out / "TOFU_EVAL.json").read_text())
    assert summary["forget_Q_A_Prob"] == pytest.approx(
        finished.result["scorecard"]["metrics"]["forget_test/probability"]["unlearned"], abs=1e-6
    )
    assert len(whole["forget_Q_A_Prob"]["value_by_index"]) == 2
    assert "As open-unlearning computes them" in finished.process.stdout


def test_the_numbers_behind_every_figure_are_handed_over(finished: Run) -> None:
    items = pandas.read_parquet(finished.out / "items.parquet")
    part = items[(items.metric == "forget_test/probability") & (items.model == "unlearned")]
    assert part.value.mean() == pytest.approx(
        finished.result["scorecard"]["metrics"]["forget_test/probability"]["unlearned"], abs=1e-6
    )


def test_without_a_reference_there_are_figures_and_no_verdict(
    tiny_task: TinyTask, tmp_path: Path, finished: Run, prefect_server: str
) -> None:
    given = words(tiny_task, "--json", tmp_path / "result.json", "--require-verdict")
    process = lethe(*given, home=finished.home, PREFECT_API_URL=prefect_server)
    assert process.returncode == 1, process.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["verdict"]["forgotten"] is None
    assert found["scorecard"]["metrics"]["forget_test/familiarity"]["target"] is None


@pytest.mark.slow
def test_a_model_that_computes_no_numbers_is_refused_by_name(tiny_task: TinyTask, tmp_path: Path) -> None:
    damaged = shutil.copytree(tiny_task.model, tmp_path / "damaged")
    weights = load_file(damaged / "model.safetensors")
    save_file(
        {name: torch.full_like(weight, math.nan) for name, weight in weights.items()},
        damaged / "model.safetensors",
        {"format": "pt"},
    )
    given = ["evaluate", "--model", damaged, *words(tiny_task)[3:], "--reference", tiny_task.model]
    process = lethe(*given, "--out", tmp_path / "out", home=tmp_path / "lethe")
    lines = [line for line in process.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    assert (process.returncode, len(lines)) == (2, 1), process.stderr
    assert (
        f"unlearned model {damaged}: the model's log-probabilities are not numbers (NaN); wanted finite logits"
        in lines[0]
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--compat", "other"], "--compat other: unknown; wanted open-unlearning"),
        (["--reference", "no/such/folder"], "--reference no/such/folder"),
        (["--set", "labels.alpha=3"], "labels.alpha"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tiny_task: TinyTask, tmp_path: Path, more: list[str], message: str) -> None:
    process = lethe(*words(tiny_task, *more), home=tmp_path / "lethe")
    assert process.returncode == 2
    assert process.stderr.startswith("lethe: ")
    assert len(process.stderr.strip().splitlines()) == 1
    assert message in process.stderr
