"""Stage `review`: the dictionary as a person has amended it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tasks import store, tracking
from tasks.algorithms.text.anchors import Anchor, count_terms
from tasks.artifacts import AnchorTable, CorpusRef
from tasks.execution.stage import stage
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import write_dictionary
from tasks.storage.documents import StoredTexts
from tasks.storage.plain_files import read_json


@stage("review", isolated=False)
def amend_dictionary(
    dictionary: AnchorTable,
    corpus: CorpusRef,
    wanted: dict[str, str],
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> AnchorTable:
    """Keep the anchors that are wanted, with the translations that are wanted; what is new or changed is marked as the
    user's.
    """
    with tracking.stage_run(run, "review") as nested:
        stored = {row["term"]: row for row in read_json(store.path(dictionary) / "dictionary.json")}
        counts = count_terms(StoredTexts(corpus, ("forget",), corpus_config.qa_template), wanted)
        rows = [_row(term, generic, stored.get(term), counts) for term, generic in wanted.items()]
        digest = store.put("dictionaries", lambda folder: write_dictionary(folder, rows), sensitivity="forget")
        changes = {
            "kept": sum(row in stored.values() for row in rows),
            "of the user": sum(row["translator"] == "user" for row in rows),
        }
        tracking.log_metrics(
            nested,
            {
                **{name: float(count) for name, count in changes.items()},
                "dropped": float(len(stored.keys() - wanted.keys())),
            },
        )
        return AnchorTable(
            kind="dictionaries",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            anchors=len(rows),
            pipeline=dictionary.pipeline,
        )


def _row(term: str, generic: str, stored: Mapping[str, Any] | None, counts: Counter[str]) -> dict[str, Any]:
    if stored:
        return dict(stored) if stored["generic"] == generic else {**stored, "generic": generic, "translator": "user"}
    return {
        **asdict(Anchor(term=term, kind="THING", count=counts[term], log_odds_z=0.0, origin="user")),
        "generic": generic,
        "translator": "user",
    }
