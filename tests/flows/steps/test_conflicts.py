"""Claims: the text of each request is read by the stages of its run, untracked, and its anchors with it; one whose text
is gone has no conflict, and keeps the others from none.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from flows.methods import METHODS
from flows.steps.bases import Base
from flows.steps.conflicts import conflicts_on
from flows.steps.settings import apply_settings
from tasks import tracking
from tasks.execution import isolation
from tasks.removals.conflicts import Conflict
from tasks.removals.records import Removal
from tasks.settings.removal_requests import RemovalRequest
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.tracking_server import experiment_id
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.removals import later, received
from tests.stand_ins.tiny import NAMES, PEOPLE, story


@pytest.fixture(autouse=True)
def home(flow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(isolation, "run_isolated", in_this_process)
    yield flow_home
    isolation.begin()


def asked(folder: Path, name: str, forget: str, retain: str) -> tuple[Removal, RemovalRequest]:
    files = {}
    for split, text in (("forget", forget), ("retain", retain)):
        file = folder / f"{name} {split}.txt"
        file.write_text(text)
        files[split] = (str(file),)
    text = UnlearningRequest(**files, model="m")
    return received(folder, name), RemovalRequest(subject="a", reason="b", due=later(), text=text)


def test_what_one_keeps_and_another_forgets_is_found(tmp_path: Path) -> None:
    texts = {
        "one": (story(NAMES), story(PEOPLE)),
        "two": (story(("Quillane", "Morvath", "Tessaly")), f"{story(PEOPLE)}\n\n{story(NAMES, passages=1)}"),
        "gone": (story(NAMES), story(PEOPLE)),
    }
    made = [asked(tmp_path, name, *text) for name, text in texts.items()]
    (tmp_path / "gone forget.txt").unlink()
    base = Base(
        digest="7a", model="m", requests=tuple(one for one, _ in made), asked={one.id: said for one, said in made}
    )
    config = apply_settings(METHODS["whp"].preset("default", 0), ["anchors.min_log_odds_z=0"])

    @flow(log_prints=False)
    def looking() -> list[Conflict]:
        return conflicts_on(base, dict.fromkeys(base.asked, config))

    (found,) = looking()
    assert (found.keeps, found.forgets, found.rows) == ("R-0002", "R-0001", 1)
    assert found.anchors >= 2
    assert tracking.client().search_runs([experiment_id(tracking.client())]) == []
