"""Claims: the example alerts are applied to a server and fire: on a verdict that is not passed, on a request past its
due date, and on nothing else; a second call changes them.
"""

import http.server
import json
import runpy
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from prefect import flow
from prefect.automations import Automation
from prefect.events import emit_event
from prefect.runtime import flow_run

from flows.steps.overdue import tell_overdue
from flows.steps.verdict_state import FAILED, PASSED
from tasks.removals.records import Removal, made_now, today
from tests.stand_ins.waiting import wait_for

ALERTS = runpy.run_path(str(Path(__file__).parents[2] / "deployments" / "automations.py"))


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Address of a webhook, and what it was told."""
    told: list[dict[str, str]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nothing on the terminal."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def removal(name: str, due: date, state: str) -> Removal:
    parts = dict.fromkeys(("entry", "target", "base", "model", "forget", "details"), "a" * 8)
    return Removal(id=name, history=(made_now(state),), due=due, method="whp", approve=False, **parts)


def test_an_address_is_wanted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LETHE_ALERT_URL", "chat.example")
    assert ALERTS["main"]() == 2
    assert "wanted http" in capsys.readouterr().err


@pytest.mark.slow
def test_both_alerts_fire_once_each(flow_home: Path, hook: tuple[str, list[dict[str, str]]]) -> None:
    url, told = hook
    ALERTS["apply"]("http://127.0.0.1:9/")
    ALERTS["apply"](url)  # the second call is the one that counts
    assert [Automation.read(name=name).name for name in ALERTS["ALERTS"]] == list(ALERTS["ALERTS"])

    said = 'Verdict not passed, evidence gold, checks that fail: "robust"'

    @flow(name="judges")
    def judges() -> str:
        of_run = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}
        emit_event(event=PASSED, resource=of_run, payload={"message": "passed"})
        emit_event(event=FAILED, resource=of_run, payload={"message": said})
        return flow_run.name

    name = judges()
    yesterday = today() - timedelta(days=1)
    late = [
        removal("R-0001", yesterday, "failed"),
        removal("R-0002", yesterday, "verified"),
        removal("R-0003", today(), "received"),
        removal("R-0004", yesterday, "cancelled"),
    ]
    assert tell_overdue(late, today()) == ["R-0001"]
    wait_for(lambda: len(told) == 2, "both alerts", seconds=120)
    texts = sorted(alert["text"] for alert in told)
    assert [set(alert) for alert in told] == [{"text"}, {"text"}]
    late_one = f"Lethe: R-0001 was due on {yesterday.isoformat()} and is failed"
    assert texts == sorted([f"Lethe, {name}: {said}", late_one])
