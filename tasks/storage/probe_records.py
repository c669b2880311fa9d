"""Probe records on disk: what one pass over a model's splits found, as tables of which every figure is arithmetic.

sequences   sequence, split, variant, item, cluster, tokens, zlib_bytes, truncated
tokens      sequence, log_p, hit, mean_log_p, std_log_p      (nats; one row a scored token, in order)
anchors     split, cluster, term, joint, first, interior     (probabilities)
completions split, item, kind, cluster, prompt, truth, completion, answer, teacher_nats
verdicts    row, score                                        (of a judge, in an artifact of its own: 0 to 3, NaN where
there is none)
"""

import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import Artifact

if TYPE_CHECKING:
    import numpy
    import pandas

    from tasks.algorithms.measuring.probing import ProbeItem, Prompt

RATINGS = "toxicity.parquet"
"""Table of a `ToxicityRecords`: split, item, kind, cluster, score; a row a completion."""
STATISTICS = ("log_p", "hit", "mean_log_p", "std_log_p")


@dataclass(frozen=True, kw_only=True)
class Records:
    """The tables of one model."""

    sequences: "pandas.DataFrame"
    tokens: "pandas.DataFrame"
    anchors: "pandas.DataFrame"
    completions: "pandas.DataFrame"

    def statistics(self) -> "list[numpy.ndarray]":
        """Return for every sequence its tokens' four numbers, (tokens, 4) float32."""
        import numpy

        values = self.tokens[list(STATISTICS)].to_numpy(numpy.float32)
        return numpy.split(values, numpy.cumsum(self.sequences.tokens.to_numpy())[:-1])


def write_records(folder: Path, records: Records) -> None:
    """Write the tables, one columnar file each."""
    for name in ("sequences", "tokens", "anchors", "completions"):
        getattr(records, name).to_parquet(folder / f"{name}.parquet", index=False)


def read_records(artifact: Artifact, part: str = "") -> Records:
    """Read the tables of an artifact, or those in one of its folders."""
    import pandas

    folder = store.path(artifact) / part
    return Records(
        **{
            name: pandas.read_parquet(folder / f"{name}.parquet")
            for name in ("sequences", "tokens", "anchors", "completions")
        }
    )


def read_completions(artifact: Artifact) -> "pandas.DataFrame":
    """Read the table `completions` alone."""
    import pandas

    return pandas.read_parquet(store.path(artifact) / "completions.parquet")


def write_verdicts(folder: Path, rows: list[int], scores: list[float]) -> None:
    """Write a judge's scores of some rows of `completions`; NaN: it gave none that can be read."""
    import pandas

    pandas.DataFrame({"row": rows, "score": scores}).astype({"row": int, "score": float}).to_parquet(
        folder / "verdicts.parquet", index=False
    )


def read_verdicts(artifact: Artifact) -> dict[int, int]:
    """Read row of `completions` -> score, for those that have one."""
    import pandas

    rows = pandas.read_parquet(store.path(artifact) / "verdicts.parquet").dropna()
    return dict(zip(rows.row.tolist(), rows.score.astype(int).tolist(), strict=True))


def read_ratings(artifact: Artifact) -> "pandas.DataFrame":
    """Read the rated completions of a model."""
    import pandas

    return pandas.read_parquet(store.path(artifact) / RATINGS)


def token_tables(
    items: "list[ProbeItem]", scores: "list[numpy.ndarray]", tokenizer: Any
) -> "dict[str, pandas.DataFrame]":
    """Return the tables `sequences`, `tokens` and `anchors` of scored items."""
    import numpy
    import pandas

    rows = [
        {name: getattr(item, name) for name in ("split", "variant", "item", "cluster", "truncated")}
        | {
            "tokens": len(table),
            "zlib_bytes": len(zlib.compress(tokenizer.decode(item.sequence.ids[item.sequence.start :]).encode())),
        }
        for item, table in zip(items, scores, strict=True)
    ]
    columns = ["split", "variant", "item", "cluster", "truncated", "tokens", "zlib_bytes"]
    sequences = pandas.DataFrame(rows, columns=columns).rename_axis("sequence").reset_index()
    values = numpy.concatenate(scores) if scores else numpy.empty((0, 4), numpy.float32)
    numbers = numpy.repeat(numpy.arange(len(items), dtype=numpy.int32), [len(table) for table in scores])
    tokens = pandas.DataFrame({"sequence": numbers} | dict(zip(STATISTICS, values.T, strict=True)))
    return {"sequences": sequences, "tokens": tokens, "anchors": _anchors(items, scores)}


def _anchors(items: "list[ProbeItem]", scores: "list[numpy.ndarray]") -> "pandas.DataFrame":
    import pandas

    from tasks.algorithms.measuring.familiarity import anchor_probabilities

    rows = [
        (item.split, item.cluster, span.term, *values)
        for item, table in zip(items, scores, strict=True)
        if item.anchors
        for span, values in zip(
            _scored_anchors(item, len(table)),
            anchor_probabilities(table[:, 0], item.sequence.start, item.anchors),
            strict=True,
        )
    ]
    return pandas.DataFrame(rows, columns=["split", "cluster", "term", "joint", "first", "interior"])


def _scored_anchors(item: "ProbeItem", scored: int) -> list[Any]:
    start = item.sequence.start
    return [span for span in item.anchors if span.start >= start and span.end - start <= scored]


def completion_table(
    prompts: "list[Prompt]", completions: list[str], answers: list[str], teacher_nats: list[float]
) -> "pandas.DataFrame":
    """Return the table `completions`."""
    import pandas

    columns = ["split", "item", "kind", "cluster", "prompt", "truth"]
    frame = pandas.DataFrame([asdict(prompt) for prompt in prompts], columns=columns)
    return frame.assign(completion=completions, answer=answers, teacher_nats=teacher_nats)
