"""Three nights of scheduled re-unlearning, and the disk that is used after them: servers and a worker by `lethe up`,
the deployment `scheduled-reunlearning`, a model of two layers.

    python -m tests.benchmarks.nights

The first night has two new requests, the second nothing to do, the third a new base and a verdict that is not passed.
Then `lethe gc` frees what is older than no day at all. Wanted: on the second night no tracked run, and at most ten
seconds from Running to the final state.
"""

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from prefect.client.schemas.objects import FlowRun  # noqa: E402 - the environment comes first

from tasks.removals.records import today  # noqa: E402
from tests.benchmarks.serving import Service, service  # noqa: E402
from tests.stand_ins.removals import later  # noqa: E402
from tests.stand_ins.tiny import SETTINGS, story  # noqa: E402
from tests.stand_ins.tiny_models import make_llama  # noqa: E402

NAME = "scheduled-reunlearning"
OTHERS = ("Quillane", "Morvath", "Tessaly", "Underwick")
SHORT = (
    *(setting for setting in SETTINGS if setting.startswith(("anchors.", "probing.", "reinforcement."))),
    "relearning.steps=[]",
    "verdict.required=[forgotten]",
)
EASY, HARD = "verdict.forgotten_ratio=1000", "verdict.forgotten_ratio=0"
ROOMS = {"mlflow.db": "MLflow's rows", "mlflow-artifacts": "MLflow's artifacts"}
"""Below LETHE_HOME."""


def enter(running: Service, forget: Path) -> None:
    """Enter a removal request."""
    task = running.task
    words = ["--subject", "a book", "--reason", "a contract", "--due", later(), "--method", "task_vector"]
    files = ["--forget", str(forget), "--retain", str(task.retain), "--model", str(task.model)]
    running.lethe("request", "add", *words, *files)


def night(running: Service, verdict: str, days: int) -> dict[str, Any]:
    """Let a night go by; return what is there after it."""
    before = len(running.runs())
    day = (today() + timedelta(days=days)).isoformat()
    asked = running.begin(NAME, {"settings": [*SHORT, verdict], "today": day})
    ended = running.end_of(asked)
    listed, models = running.lethe("request", "list")["requests"], running.models()
    return {
        "state": ended.state_name,
        "requests": ", ".join(one["state"] for one in listed),
        "tracked runs": len(running.runs()) - before,
        "versions": sum(one["versions"] for one in models.values()),
        **{alias: pointed(models, alias) for alias in ("candidate", "unlearned")},
        **_seconds(ended),
    }


def pointed(models: Mapping[str, Mapping[str, int]], alias: str) -> str:
    """Return which version an alias points to, of every registered model."""
    return ", ".join(str(model.get(alias, "none")) for model in models.values()) or "none"


def _seconds(ended: FlowRun) -> dict[str, float]:
    """Return the seconds from asking to Running, and from there to the end."""
    if not (ended.created and ended.start_time and ended.end_time):
        raise RuntimeError(f"{ended.name} has no times")
    waited = (ended.start_time - ended.created).total_seconds()
    return {"until running": waited, "seconds": (ended.end_time - ended.start_time).total_seconds()}


def disk(running: Service) -> dict[str, float]:
    """Return the megabytes of a store by kind, and of Prefect's database."""
    home = running.home
    found = {words: megabytes(home / name) for name, words in ROOMS.items()}
    prefect = megabytes(Path(running.variables.get("PREFECT_HOME", str(home.parent / "prefect"))))
    store = megabytes(home) - sum(found.values())
    return {"store": store, **found, "Prefect's": prefect}


def megabytes(place: Path) -> float:
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def collected(running: Service) -> dict[str, dict[str, Any]]:
    """Free twice what can be; return the disk before and after, and what every run holds that stays."""
    rows = {"before": disk(running)}
    for row in ("after", "again"):
        said = running.lethe("gc", "--older-than", "0")
        kept = said["runs"]
        held = [one["store_bytes"] + one["mlflow_bytes"] for one in kept]
        per_run = sum(held) / len(held) / 1e6 if held else None
        rows[row] = {"freed": said["bytes"] / 1e6, "runs": len(kept), "a run": per_run, **disk(running)}
    return rows


def main() -> None:
    """Measure, record and print."""
    asked = recording.parser(__doc__).parse_args()
    record = recording.begin(asked.results)
    with service(Path(tempfile.mkdtemp(prefix="lethe-nights-")), [NAME]) as running:
        other = running.home.parent / "other.txt"
        other.write_text(story(OTHERS), encoding="utf-8")
        for forget in (running.task.forget, other):
            enter(running, forget)
        rows = {"first": night(running, EASY, 0), "second": night(running, EASY, 1)}
        make_llama(1).save_pretrained(running.task.model)
        rows["third"] = night(running, HARD, 40)
        record.write("nights", rows)
        record.write("disk", collected(running))


if __name__ == "__main__":
    main()
