"""Scorecards are found wherever they are, and what is none is refused in one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import store, tracking
from tasks.artifacts import BadInputError, ComparedRun
from tasks.reporting import cards
from tasks.reporting.cards import CARD, ITEMS, gather_cards
from tests.stand_ins.cards import card, items, write_card

FOUND = card({"forget_test/probability": (0.8, 0.1, 0.05)}, seed="7")
OTHER = card({"forget_test/probability": (0.8, 0.3, 0.05)}, passed=False, evidence="behavioural")
HELD = items("forget_test/probability", [0.1, 0.2])
WANTED = "wanted a folder of --out, a scorecard.json, a file of --json, or 8 or more letters of an MLflow run id"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One database for all tests here: making one takes seconds."""
    folder = tmp_path_factory.mktemp("lethe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(folder))
        yield folder


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[str]:
    """A run that ended with a scorecard."""
    run = tracking.open_run("whp 12345678", {"config": {"seed": 3, "finetune": {"seed": 3}}}, {})
    folder = write_card(tmp_path / "logged", FOUND, HELD)
    for name in (CARD, ITEMS):
        tracking.log_artifact(run, folder / name, "public", "scorecard")
    tracking.log_scorecard(run, FOUND)
    yield run
    tracking.client().delete_run(run)


def held_card(found: ComparedRun) -> Any:
    return json.loads((store.path(found.card) / CARD).read_text())


def test_folders_and_scorecards_are_taken_with_the_items_beside_them(tmp_path: Path) -> None:
    write_card(tmp_path / "one", FOUND, HELD)
    write_card(tmp_path / "two", OTHER)
    one, two = gather_cards([str(tmp_path / "one"), str(tmp_path / "two" / CARD)])
    assert [held_card(one), held_card(two)] == [FOUND, OTHER]
    assert [(store.path(found.card) / ITEMS).is_file() for found in (one, two)] == [True, False]
    assert (one.name, one.method, one.seed, one.card.passed, one.card.evidence) == ("one", "whp", "7", True, "gold")
    assert (two.name, two.seed, two.card.passed, two.card.evidence) == ("two", "", False, "behavioural")
    assert one.card.sensitivity == "public"


def test_results_are_taken_with_the_items_in_the_folder_of_their_report(tmp_path: Path) -> None:
    out = write_card(tmp_path / "out", FOUND, HELD)
    files = []
    for name, found in (("mine", FOUND), ("later", OTHER)):  # the folder no longer holds what `later` says
        result = {
            "schema": "lethe.result.v1",
            "scorecard": found,
            "report": str(out / "report.html"),
            "mlflow_run": "0" * 32,
        }
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(result))
    mine, later = gather_cards([str(file) for file in files])
    assert [mine.name, later.name] == ["mine", "later"]
    assert [held_card(mine), held_card(later)] == [FOUND, OTHER]
    assert [(store.path(found.card) / ITEMS).is_file() for found in (mine, later)] == [True, False]


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path: Path, judged: str) -> None:
    by_prefix, by_id = gather_cards([judged[:8], judged])
    assert held_card(by_prefix) == FOUND
    assert (store.path(by_prefix.card) / ITEMS).is_file()
    assert (by_prefix.name, by_id.name) == ("whp 12345678 (1)", "whp 12345678 (2)")
    assert (by_prefix.seed, by_prefix.mlflow_run, by_prefix.method) == ("3", judged, "whp")


def test_a_result_without_a_folder_gets_its_items_from_its_run(tmp_path: Path, judged: str) -> None:
    file = tmp_path / "result.json"
    file.write_text(
        json.dumps(
            {"schema": "lethe.result.v1", "scorecard": FOUND, "report": "/nowhere/report.html", "mlflow_run": judged}
        )
    )
    found, _ = gather_cards([str(file), judged])
    assert (store.path(found.card) / ITEMS).is_file()
    assert (found.seed, found.mlflow_run) == ("3", judged)


def test_an_unknown_run_is_answered_with_the_nearest_and_the_latest(judged: str) -> None:
    wrong = judged[:11] + ("0" if judged[11] != "0" else "1")
    with pytest.raises(
        BadInputError,
        match=f"^{wrong}: no such file, folder or run; {WANTED}; known runs: {judged[:12]} .whp 12345678.$",
    ):
        gather_cards([judged, wrong])


@pytest.mark.parametrize("word", ["short", "%%%%%%%%", "abcdefgh' or 1=1", "./nowhere"])
def test_what_is_no_run_id_is_not_looked_up(word: str) -> None:
    with pytest.raises(
        BadInputError, match=f"no such file, folder or run; {WANTED}; no run with a scorecard is known yet$"
    ):
        gather_cards([word, word])


def test_an_id_that_begins_several_runs_is_answered_with_all_of_them(
    judged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "LEAST_PREFIX", 1)
    api = tracking.client()
    experiment = api.get_run(judged).info.experiment_id
    runs = [api.create_run(experiment, tags={"lethe.verdict.passed": "True"}).info.run_id for _ in range(17)]
    # 17 ids, 16 letters
    letter = next(letter for letter in "0123456789abcdef" if sum(run.startswith(letter) for run in runs) > 1)
    with pytest.raises(
        BadInputError,
        match=f"^{letter}: several runs have such an id; wanted one of ({letter}[0-9a-f]{{31}}(, )?){{2,}}$",
    ):
        gather_cards([letter, judged])
    for run in runs:
        api.delete_run(run)


def test_a_run_that_keeps_no_card_is_refused() -> None:
    run = tracking.open_run("whp", {}, {"lethe.verdict.passed": "True"})
    with pytest.raises(BadInputError, match=f"run {run} keeps no scorecard/scorecard.json; wanted"):
        gather_cards([run, run])
    tracking.client().delete_run(run)


BAD: dict[str, tuple[str, str]] = {
    "text": ("Velmora lies by the river.", "is no JSON; wanted"),
    "binary": ("\udcff\udcfe", "is no JSON; wanted"),
    "deep nesting": ("[" * 100_000, "is no JSON; wanted"),
    "half of a letter": ('{"schema": "\\ud800"}', "is no JSON; wanted"),
    "a list as verdict": (json.dumps({**FOUND, "verdict": ["passed", "evidence"]}), "without metrics, verdict"),
    "text as cost": (json.dumps({**FOUND, "cost": {"finetune": "long"}}), "without metrics, verdict"),
    "an endless cost": (json.dumps({**FOUND, "cost": {"finetune": float("inf")}}), "without metrics, verdict"),
    "a figure beyond numbers": (
        json.dumps({**FOUND, "metrics": {"a/b": {**FOUND["metrics"]["forget_test/probability"], "n": 10**400}}}),
        "without metrics, verdict",
    ),
    "an interval of three": (
        json.dumps({**FOUND, "metrics": {"a/b": {**FOUND["metrics"]["forget_test/probability"], "ci95": [1, 2, 3]}}}),
        "without metrics, verdict",
    ),
    "other JSON": ('["a"]', "holds schema None; wanted scorecard.v1"),
    "a plan": ('{"schema": "lethe.plan.v1"}', "holds schema lethe.plan.v1; wanted scorecard.v1"),
    "a result without a card": ('{"schema": "lethe.result.v1"}', "holds schema None; wanted scorecard.v1"),
    "a card without a verdict": (
        '{"schema": "scorecard.v1", "metrics": {}, "provenance": {}}',
        "without metrics, verdict or provenance",
    ),
    "a card with a broken row": (
        json.dumps({**FOUND, "metrics": {"forget_test/probability": {"target": 1}}}),
        "without metrics, verdict or provenance",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_scorecard_is_refused(tmp_path: Path, name: str) -> None:
    text, reason = BAD[name]
    (tmp_path / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInputError, match=f"^{tmp_path}/card.json .*{reason}"):
        gather_cards([str(tmp_path / "card.json")] * 2)


def test_a_result_whose_report_is_nowhere_has_no_items(tmp_path: Path) -> None:
    for name, report in (("a", ""), ("b", "\x00")):
        content = {"schema": "lethe.result.v1", "scorecard": FOUND, "report": report}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    one, _ = gather_cards([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert held_card(one) == FOUND


def test_damaged_items_are_refused(tmp_path: Path) -> None:
    folder = write_card(tmp_path / "one", FOUND, HELD)
    (folder / ITEMS).write_bytes((folder / ITEMS).read_bytes()[:-20])
    with pytest.raises(BadInputError, match=r"items\.parquet is damaged"):
        gather_cards([str(folder), str(folder)])
    HELD.drop(columns="value").to_parquet(folder / ITEMS)
    with pytest.raises(BadInputError, match=r"items\.parquet is damaged"):
        gather_cards([str(folder), str(folder)])


def test_a_folder_without_a_card_and_a_single_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError,
        match=f"{tmp_path} holds no scorecard.json; wanted a folder that --out wrote, or a scorecard.json",
    ):
        gather_cards([str(tmp_path), str(tmp_path)])
    with pytest.raises(BadInputError, match="compare was given 1 run; wanted two or more"):
        gather_cards([str(tmp_path)])
