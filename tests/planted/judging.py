"""A verdict from the evidence of one tier: what the others need is taken away before the figures are computed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks import store
from tasks.artifacts import AnchorTable, CorpusRef, ProbeRecords, RelearnRecords
from tasks.scorecard import score
from tasks.settings.verdict import VerdictConfig
from tasks.storage.plain_files import read_json
from tasks.storage.probe_records import Records, read_records, write_records

TIERS = ("gold", "proxy", "behavioural")
"""With a retrained model; with a holdout instead; with neither."""


def judged(
    tier: str,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    probes: Mapping[str, ProbeRecords],
    relearned: Mapping[str, Sequence[RelearnRecords]],
    config: VerdictConfig = VerdictConfig(),
    vocabulary: int = 0,
) -> dict[str, Any]:
    """Return the card of an unlearned model.

    Args:
        tier: One of `TIERS`.
        corpus: All splits.
        dictionary: Anchors.
        probes: `target`, `unlearned` and `retrained` -> what probing found.
        relearned: The same -> what relearning found, on each text.
        config: Thresholds.
        vocabulary: Tokens among which the models choose; 0: not known.
    """
    labels = [label for label in ("target", "unlearned", "retrained") if tier == "gold" or label != "retrained"]
    given = [replace(probes[label], label=label) for label in labels]
    given = [_without_holdout(record) for record in given] if tier != "proxy" else given
    again = [replace(record, label=label) for label in labels for record in relearned[label]]
    found = score.body(corpus, given, [], again, dictionary, config, {"method": "planted"}, {}, vocabulary=vocabulary)
    card: dict[str, Any] = read_json(store.path(found) / "scorecard.json")
    if card["verdict"]["evidence"] != tier:
        raise ValueError(f"the card rests on {card['verdict']['evidence']} evidence; wanted {tier}")
    return card


def _without_holdout(probe: ProbeRecords) -> ProbeRecords:
    records = read_records(probe)
    kept = records.sequences[records.sequences.split != "holdout"]
    digest = store.put(
        "probes",
        lambda folder: write_records(
            folder,
            Records(
                sequences=kept,
                tokens=records.tokens[records.tokens.sequence.isin(kept.sequence)],
                anchors=records.anchors[records.anchors.split != "holdout"],
                completions=records.completions[records.completions.split != "holdout"],
            ),
        ),
        sensitivity="forget",
    )
    return replace(probe, digest=digest)
