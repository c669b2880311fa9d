"""The command line: lists of files, results as JSON, copies, exit statuses, purge."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

from flows.terminal.options import spread_lists
from tasks import tracking
from tasks.settings.verdict import VerdictConfig
from tests.stand_ins.command import ROOT, called, environment, lethe, start
from tests.stand_ins.leaks import Searcher
from tests.stand_ins.tiny import NAMES, TinyTask
from tests.stand_ins.waiting import run_to_end, wait_for
from tests.stand_ins.watched import watched, watching


@pytest.mark.parametrize(
    ("words", "spread"),
    [
        ("unlearn a.txt --retain b.txt c.txt --model m", "unlearn a.txt --retain b.txt --retain c.txt --model m"),
        ("unlearn a.txt b.txt --model m --sibling s t", "unlearn a.txt b.txt --model m --sibling s --sibling t"),
        ("unlearn --retain b --general c d --seed 1 x", "unlearn --retain b --general c --general d --seed 1 x"),
        ("unlearn a --set k=v --retain b --dry-run", "unlearn a --set k=v --retain b --dry-run"),
        ("demo --topic x", "demo --topic x"),
    ],
)
def test_options_that_take_lists_take_every_path_up_to_the_next_option(words: str, spread: str) -> None:
    assert spread_lists(words.split()) == spread.split()


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished command and what it wrote."""

    home: Path
    out: Path
    result: dict[str, Any]
    process: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("cli")
    words = [*tiny_task.words(), "--out", folder / "out", "--json", folder / "result.json", "--require-verdict"]
    process = lethe(*words, home=folder / "lethe")
    assert (folder / "result.json").exists(), process.stderr
    yield Run(
        home=folder / "lethe",
        out=folder / "out",
        result=json.loads((folder / "result.json").read_text()),
        process=process,
    )


def test_a_verdict_that_is_required_and_not_passed_exits_with_1(finished: Run) -> None:
    assert finished.result["verdict"]["passed"] is False
    assert finished.process.returncode == 1
    assert "Traceback" not in finished.process.stderr


def test_the_result_is_json_with_scorecard_places_and_states(finished: Run) -> None:
    result = finished.result
    assert result["schema"] == "lethe.result.v1"
    assert set(result) >= {
        "seconds",
        "verdict",
        "scorecard",
        "report",
        "redacted_report",
        "model",
        "registered",
        "mlflow_run",
        "prefect_flow_run",
        "stages",
    }
    assert set(result["stages"].values()) == {"Completed"}
    jsonschema.validate(result["scorecard"], json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text()))
    assert (result["report"], result["model"]) == (str(finished.out / "report.html"), str(finished.out / "model"))


def test_model_report_scorecard_anchors_and_facts_are_copied(finished: Run) -> None:
    tables = {"items.parquet", "anchors.csv", "facts.csv"}
    assert {path.name for path in finished.out.iterdir()} == {
        "model",
        "report.html",
        "report-redacted.html",
        "scorecard.json",
        *tables,
    }
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (finished.out / "model").iterdir()
    }
    assert all(name in (finished.out / "anchors.csv").read_text() for name in NAMES)


def test_of_the_copies_only_the_full_report_anchors_and_facts_hold_forgotten_text(finished: Run) -> None:
    texts = {
        path.name: path.read_text() for path in finished.out.iterdir() if path.suffix in (".html", ".json", ".csv")
    }
    texts["items.parquet"] = pandas.read_parquet(finished.out / "items.parquet").to_csv()
    assert {file for file, text in texts.items() for name in NAMES if name in text} == {
        "report.html",
        "anchors.csv",
        "facts.csv",
    }
    assert finished.result["redacted_report"] == str(finished.out / "report-redacted.html")


def test_the_terminal_shows_the_verdict_and_where_to_look(finished: Run) -> None:
    shown = finished.process.stdout
    for wanted in (
        "Scorecard",
        "forget_test/perplexity",
        "Verdict: not passed (evidence: behavioural)",
        "Report",
        "MLflow",
        "Prefect",
        "0 of 18 from cache",
    ):
        assert wanted in shown


def test_what_it_has_shown_is_signed_without_forgotten_text_and_verified(
    finished: Run, tiny_task: TinyTask, tmp_path: Path
) -> None:
    for number, word in enumerate((finished.out, finished.home.parent / "result.json", finished.result["mlflow_run"])):
        made = called("certificate", "make", word, "--out", tmp_path / str(number), home=finished.home)
        assert (made.returncode, made.stderr) == (0, "")
        assert made.stdout.startswith("Evidence at its tier (behavioural), not a proof of exact removal.\n")
        for name in ("evidence.json", "evidence.html"):
            assert called("certificate", "verify", tmp_path / str(number) / name, home=finished.home).returncode == 0
    whole = json.loads((tmp_path / "0" / "evidence.json").read_text())
    jsonschema.validate(whole, json.loads((ROOT / "tests" / "schemas" / "evidence.v1.json").read_text()))
    record = whole["record"]
    assert (record["scorecard"], record["run"]["id"]) == (finished.result["scorecard"], finished.result["mlflow_run"])
    assert (record["method"], set(record["digests"]["models"])) == ("whp", {"target", "unlearned"})
    assert record["digests"]["scorecard"] == hashlib.sha256((finished.out / "scorecard.json").read_bytes()).hexdigest()
    assert {name: len(digests) for name, digests in record["digests"]["data"].items()} == {"forget": 1, "retain": 1}
    assert record["thresholds"].keys() == {field.name for field in dataclasses.fields(VerdictConfig)}
    assert record["config"]["finetune.epochs"] == "1"
    assert {one["stage"] for one in record["stages"]} >= {"corpus", "finetune", "probing unlearned", "scorecard"}
    texts = (tiny_task.forget, tiny_task.retain)
    places = [str(place) for place in (*texts, tiny_task.model, finished.home)]
    digests = [hashlib.sha256(text.read_bytes()).hexdigest()[:16] for text in texts]
    assert Searcher([*NAMES, *places, *digests]).folder(tmp_path) == []


def test_a_run_that_finds_every_stage_in_the_cache_starts_no_fork_server_and_loads_nothing_to_compute_with(
    finished: Run, tiny_task: TinyTask, tmp_path: Path
) -> None:
    again = lethe(
        *tiny_task.words(), "--json", tmp_path / "result.json", home=finished.home, **watching(tmp_path, str(ROOT))
    )
    assert again.returncode == 0, again.stderr
    assert set(json.loads((tmp_path / "result.json").read_text())["stages"].values()) == {"Cached"}
    command, *others = watched(tmp_path)
    assert "flows.cli" in command.command
    assert command.at_end == ()
    assert any("prefect.server.api.server:create_app" in process.command for process in others)
    assert not [process.command for process in others if "forkserver" in process.command]
    assert [process for process in (command, *others) if process.loads] == []


@pytest.fixture(scope="module")
def compared(finished: Run, tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run and a longer one in the same home, compared: the one by its folder, the other by its MLflow run."""
    folder = tmp_path_factory.mktemp("compare")
    longer = lethe(*tiny_task.words("finetune.epochs=3"), "--json", folder / "longer.json", home=finished.home)
    assert longer.returncode == 0, longer.stderr
    run = json.loads((folder / "longer.json").read_text())["mlflow_run"]
    words = ["compare", finished.out, run[:10], "--out", folder / "out", "--json", folder / "result.json"]
    process = lethe(*words, home=finished.home)
    assert process.returncode == 0, process.stderr
    return Run(
        home=finished.home, out=folder / "out", result=json.loads((folder / "result.json").read_text()), process=process
    )


def test_runs_are_compared_with_paired_tests(compared: Run) -> None:
    jsonschema.validate(compared.result, json.loads((ROOT / "tests" / "schemas" / "comparison.v1.json").read_text()))
    first, second = (run["name"] for run in compared.result["runs"])
    assert (first, second.split()[1]) == ("out", "whp")
    assert compared.result["runs"][1]["seed"] == "0"
    tested = {row["metric"]: row for row in compared.result["pairs"] if row["reason"] is None}
    assert {"forget_test/perplexity", "retain_test/perplexity", "forget_test/familiarity"} <= set(tested)
    perplexity = tested["forget_test/perplexity"]
    figures = {
        row["run"]: row["unlearned"] for row in compared.result["figures"] if row["metric"] == "forget_test/perplexity"
    }
    # log-probabilities in nats
    assert perplexity["difference"] == pytest.approx(math.log(figures[first]) - math.log(figures[second]), abs=1e-4)
    assert [(panel["left"], panel["kept"]) for panel in compared.result["panels"]] == [
        ("forget_test/familiarity", "retain_test/text_probability")
    ]


def test_a_comparison_is_shown_and_copied(compared: Run) -> None:
    assert {path.name for path in compared.out.iterdir()} == {
        "comparison.html",
        "comparison.json",
        "comparison.csv",
        "figures.csv",
        "pairs.csv",
        "pareto.png",
    }
    assert compared.result["page"] == str(compared.out / "comparison.html")
    for wanted in ("Unlearned over target model", "forget_test/", "No run beats", "Page", "MLflow", "Prefect"):
        assert wanted in compared.process.stdout
    assert not [path for path in compared.out.iterdir() if any(name.encode() in path.read_bytes() for name in NAMES)]


def test_a_comparison_is_a_finished_mlflow_run(compared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_HOME", str(compared.home))
    api = tracking.client()
    run = api.get_run(compared.result["mlflow_run"])
    assert (run.info.status, run.data.tags["lethe.method"]) == ("FINISHED", "comparison")
    assert re.fullmatch("[a-z]+-[a-z]+ comparison of 2", run.info.run_name)
    assert "out/forget_test/perplexity" in run.data.metrics
    assert "out/retain_test/perplexity.ratio" in run.data.metrics
    kept = {file.path for folder in ("comparison", "tables") for file in api.list_artifacts(run.info.run_id, folder)}
    assert {
        "comparison/comparison.html",
        "comparison/pareto.png",
        "comparison/pairs.csv",
        "tables/comparison.csv",
        "tables/comparison.json",
    } <= kept


def test_purge_asks_first(finished: Run) -> None:
    command = [sys.executable, "-m", "flows.cli", "purge"]
    ended = run_to_end(command, said="n\n", cwd=ROOT, env=environment(finished.home))
    assert ended.returncode == 1
    assert list((finished.home / "forget" / "corpora").iterdir())


def test_purge_wipes_what_is_forgotten_everywhere_and_says_how_much(finished: Run, tmp_path: Path) -> None:
    ended = lethe("purge", "--yes", "--json", tmp_path / "purge.json", home=finished.home)
    assert ended.returncode == 0, ended.stderr
    said = json.loads((tmp_path / "purge.json").read_text())
    assert said["schema"] == "lethe.purge.v1"
    assert said["artifacts"] > 5
    assert said["mlflow_entries"] > 0
    assert ended.stdout.startswith(f"Purged {said['artifacts']} artifacts (")
    # the target's own
    kept = [path for path in finished.home.rglob("*") if path.is_file() and path.name != "tokenizer.json"]
    assert [path for path in kept if any(name.encode() in path.read_bytes() for name in NAMES)] == []
    assert list((finished.home / "checkpoints").iterdir())  # the unlearned model is kept


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tiny_task: TinyTask, tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    with start(*tiny_task.words("reinforcement.epochs=400"), home=tmp_path / "lethe", error=log) as process:
        try:
            wait_for(
                lambda: process.poll() is not None or "  reinforcement ..." in log.read_text(),
                "the start of training",
            )
            os.kill(process.pid, signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
    last = log.read_text().splitlines()[-1]
    assert (process.returncode, last) == (
        130,
        "lethe: stopped; what was finished is kept, run the same command again to go on",
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "lethe" / "mlflow.db")) as database:
        states = {status for (status,) in database.execute("select status from runs").fetchall()}
    assert "KILLED" in states
    assert "RUNNING" not in states


@pytest.mark.slow
def test_a_ready_topic_needs_no_text_and_no_model_and_a_sweep_on_it_writes_settings_for_another(tmp_path: Path) -> None:
    home, short = tmp_path / "lethe", ["--set", "training.least_steps=4", "--set", "training.epochs=1"]
    planned = lethe(
        "unlearn",
        "--topic",
        "book",
        "--method",
        "npo",
        "--dry-run",
        "--json",
        tmp_path / "plan.json",
        home=home,
    )
    assert planned.returncode == 0, planned.stderr
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert (plan["schema"], plan["stages"]["finetune"]) == ("lethe.plan.v1", "to run")
    made = ["--out", tmp_path / "tuned", "--json", tmp_path / "sweep.json"]
    ended = lethe(
        "sweep",
        "--topic",
        "book",
        "--method",
        "npo",
        "--grid",
        "objective.b=0.1,0.2",
        *short,
        *made,
        home=home,
    )
    assert ended.returncode == 0, ended.stderr
    swept = json.loads((tmp_path / "sweep.json").read_text())
    assert (swept["schema"], len(swept["trials"])) == ("lethe.sweep.v1", 2)
    assert 0 < swept["wanted"] < swept["target_forget"] < 1  # as a model that never read the book, and one that did
    assert (tmp_path / "tuned" / "best.yaml").read_text().startswith("objective.b:")
