"""Claims: whatever names a run leads to the scorecard that the run itself keeps, a copy only says which run is meant; a
card that no run logged, a run under way and a run whose card was changed are refused in one line.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import tracking
from tasks.artifacts import BadInputError
from tasks.reporting.cards import CARD, ITEMS
from tasks.reporting.judged_runs import CONFIG, judged_run
from tasks.store import DamagedArtifactError
from tests.stand_ins.cards import write_card
from tests.stand_ins.databases import give_runs
from tests.stand_ins.judged import GOLD, log_judged


@pytest.fixture
def home(lethe_home: Path) -> Path:
    """With a database of runs, which takes seconds to make."""
    give_runs(lethe_home)
    return lethe_home


@pytest.fixture
def logged(home: Path, tmp_path: Path) -> Iterator[str]:
    return log_judged(tmp_path / "logged")


def as_result(folder: Path, found: dict[str, Any]) -> Path:
    file = folder / "result.json"
    file.write_text(json.dumps({"schema": "lethe.result.v1", "scorecard": found, "mlflow_run": "f" * 32}))
    return file


def test_folders_cards_results_and_ids_lead_to_the_same_run(logged: str, tmp_path: Path) -> None:
    copy = write_card(tmp_path / "copy", dict(reversed(GOLD.items())))  # written otherwise, it says the same
    words = [copy, copy / CARD, as_result(tmp_path, GOLD), logged, logged[:8]]
    for found in [judged_run(str(word)) for word in words]:
        assert (found.record.info.run_id, found.card) == (logged, GOLD)
        assert [one.data.tags["lethe.stage"] for one in found.stages] == ["corpus", "probing unlearned"]
        wanted = {name: hashlib.sha256((tmp_path / "logged" / name).read_bytes()).hexdigest() for name in (CARD, ITEMS)}
        assert found.files == wanted


def test_of_runs_with_the_same_card_the_one_that_made_it_is_meant(logged: str, tmp_path: Path) -> None:
    later = log_judged(tmp_path / "later")
    assert judged_run(str(tmp_path / "logged")).record.info.run_id == logged != later
    assert judged_run(later).record.info.run_id == later


def test_a_card_that_was_changed_after_the_run_is_no_runs(logged: str, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(GOLD))
    changed["verdict"]["robust"] = True
    for word in (write_card(tmp_path / "changed", changed), as_result(tmp_path, changed)):
        with pytest.raises(
            BadInputError, match=r"no run of sqlite:.* logged this scorecard; wanted one as a run wrote"
        ):
            judged_run(str(word))


def test_a_run_that_keeps_another_card_than_it_logged_is_refused(logged: str, tmp_path: Path) -> None:
    changed = {**GOLD, "claim": "All is gone."}
    for content in (json.dumps(changed), "{", "[]"):
        (tmp_path / CARD).write_text(content)
        tracking.log_artifact(logged, tmp_path / CARD, "public", "scorecard")
        with pytest.raises(DamagedArtifactError, match=f"^run {logged} does not keep the scorecard that it logged"):
            judged_run(logged)


def test_a_run_that_keeps_other_settings_than_it_logged_is_refused(logged: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("verdict: {forgotten_gap: 0.9}")
    tracking.log_artifact(logged, tmp_path / CONFIG, "public")
    with pytest.raises(
        DamagedArtifactError, match=f"^run {logged} does not keep the settings that it logged, {CONFIG}"
    ):
        judged_run(logged)


def test_a_run_of_an_earlier_version_is_found_by_its_id(home: Path, tmp_path: Path) -> None:
    run = log_judged(tmp_path / "logged", earlier=True)
    found = judged_run(run[:12])
    with pytest.raises(BadInputError, match="8 or more letters of an MLflow run id"):
        judged_run(str(tmp_path / "logged"))
    assert (found.card, found.settings) == (GOLD, judged_run(log_judged(tmp_path / "later")).settings)
    assert found.settings["verdict.forgotten_gap"] == "0.08"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_run_that_failed_after_it_was_judged_is_taken_as_that(home: Path, tmp_path: Path, status: str) -> None:
    assert judged_run(log_judged(tmp_path / "logged", status=status)).record.info.status == status


def test_a_run_under_way_is_refused(home: Path, tmp_path: Path) -> None:
    run = log_judged(tmp_path / "logged", status="RUNNING")
    with pytest.raises(BadInputError, match=f"^run {run} is still under way; wanted one that has ended$"):
        judged_run(run)
    tracking.close(run)


def test_what_names_no_run_is_refused_as_in_comparisons(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("Velmora lies by the river.")
    for word, reason in (
        ("empty", f"holds no {CARD}"),
        ("text", "is no JSON"),
        ("none", "no such file, folder or run"),
    ):
        with pytest.raises(BadInputError, match=reason) as caught:
            judged_run(str(tmp_path / word))
        assert "Velmora" not in str(caught.value)
