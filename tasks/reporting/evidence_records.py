"""What an evidence record says of a run: what was unlearned from which model and how, by digests; how it was judged,
by which thresholds; when, and by which code. It is for those who were not there: it holds no forgotten text, and no
place of this machine.
"""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from tasks import store
from tasks.artifacts import Artifact
from tasks.reporting import pages, wording
from tasks.reporting.cards import CARD, ITEMS
from tasks.reporting.judged_runs import JudgedRun
from tasks.storage.evidence_files import RECORD, read_evidence, write_evidence
from tasks.storage.signing_keys import signing_key
from tasks.tracking_server import without_secrets

KIND = "certificates"
"""Room in the store."""
THRESHOLDS = "verdict."
"""How the settings begin by which the verdict was reached."""
MODEL = " model"
"""How the card's origins call the digest of a model."""


@dataclass(frozen=True, kw_only=True)
class KeptEvidence:
    """A signed record in the store."""

    record: dict[str, Any]
    folder: Path
    """With `evidence.json` and `evidence.html`."""


def keep_evidence(run: JudgedRun) -> KeptEvidence:
    """Sign what a run has shown with the store's key, and keep it as a public artifact.

    Raises:
        BadInputError: If the file of the store's key holds something else.
    """
    key, record = signing_key(), evidence_record(run)
    page = evidence_page(record)
    digest = store.put(KIND, lambda folder: write_evidence(folder, record, page, key), sensitivity="public")
    folder = store.path(Artifact(kind=KIND, digest=digest, sensitivity="public"))
    return KeptEvidence(record=read_evidence(folder / RECORD, key.public_key()), folder=folder)


def about(evidence: str) -> str:
    """Return the first line of a record: what it is, and what not.

    Args:
        evidence: The tier, `gold`, `proxy` or `behavioural`.
    """
    return f"Evidence at its tier ({evidence}), not a proof of exact removal."


def evidence_record(run: JudgedRun) -> dict[str, Any]:
    """Return a run as a record, in values of JSON."""
    origin = run.card["provenance"]
    settings = {name: _without_place(value) for name, value in sorted(run.settings.items())}
    return {
        "about": about(run.card["verdict"]["evidence"]),
        "made": {"at": _moment(datetime.now(UTC).timestamp() * 1000), "lethe": importlib.metadata.version("lethe")},
        "method": str(origin.get("method", "")),
        "run": _run(run.record),
        "stages": [_stage(each) for each in run.stages],
        "digests": {
            "models": {name.removesuffix(MODEL): words for name, words in origin.items() if name.endswith(MODEL)},
            "data": _data(run.record),
            "scorecard": run.files[CARD],
            "items": run.files.get(ITEMS),
        },
        "thresholds": {
            name.removeprefix(THRESHOLDS): value for name, value in settings.items() if name.startswith(THRESHOLDS)
        },
        "config": {name: value for name, value in settings.items() if not name.startswith(THRESHOLDS)},
        "versions": origin["versions"],
        "scorecard": run.card,
    }


def evidence_page(record: Mapping[str, Any]) -> str:
    """Return the page that shows a record, with an empty element for the record itself."""
    card = record["scorecard"]
    return pages.render(
        "evidence.html.j2",
        record=record,
        card=card,
        claim=card.get("claim", ""),
        checks=wording.check_rows(card["verdict"]),
        groups=wording.metric_groups(card["metrics"], card["provenance"].get("toxicity scorer", "")),
    )


def _run(record: Any) -> dict[str, Any]:
    """Return who ran, when, and by which code."""
    tags = record.data.tags
    return {
        "id": record.info.run_id,
        "name": record.info.run_name,
        "status": record.info.status,
        "started": _moment(record.info.start_time),
        "ended": _moment(record.info.end_time),
        "request": tags.get("lethe.request"),
        "prefect_flow_run": tags.get("lethe.prefect_flow_run"),
        "git_commit": tags.get("mlflow.source.git.commit"),
        "git_dirty": {"true": True, "false": False}.get(tags.get("lethe.git_dirty", "")),
    }


def _stage(record: Any) -> dict[str, Any]:
    tags = record.data.tags
    return {
        "stage": tags["lethe.stage"],
        "id": record.info.run_id,
        "status": record.info.status,
        "started": _moment(record.info.start_time),
        "ended": _moment(record.info.end_time),
        "from_cache_of": tags.get("lethe.origin_run"),
    }


def _moment(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _data(record: Any) -> dict[str, list[str]]:
    """Return the keyed digests of the files of each split, in the order in which they were given."""
    digests: dict[str, list[str]] = {}
    for given in sorted(record.inputs.dataset_inputs, key=lambda given: _place(given.dataset.name)):
        split = next(tag.value for tag in given.tags if tag.key == "mlflow.data.context")
        digests.setdefault(split, []).append(given.dataset.digest)
    return digests


def _place(name: str) -> tuple[str, int]:
    """Return split and number of a data set, which is called by both."""
    split, _, number = name.rpartition(" ")
    return split, int(number) if number.isdecimal() else 0


def _without_place(value: str) -> str:
    """Return a setting without the folders above what it names, and without the password of an address."""
    if value.startswith("~") or PurePath(value).is_absolute():
        return PurePath(value).name
    return without_secrets(value) if "://" in value else value
