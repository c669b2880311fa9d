"""What models said about edits, on disk: tables of which every score is arithmetic, a row with its model each.

objects  model, request, role, number, object, log_p_nats, hits          (hits: a list of booleans, one a token)
written  model, request, number, text
texts    model, text, window, log_p_nats, tokens
lens     model, request, rank

Beside them, for a person to read, what was answered before and after.

answers  edit, change, kind, query, before, after
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import Artifact, EditScores
from tasks.storage.plain_files import read_json, write_json

if TYPE_CHECKING:
    from tasks.algorithms.measuring.edit_scores import EditRecords

MODEL = "model"
SCORES = "scores.json"
ANSWERS = "answers.json"
FILES = {"objects": "rows.parquet", "written": "written.parquet", "texts": "texts.parquet", "lens": "lens.parquet"}


def write_edit_records(folder: Path, records: "Mapping[str, EditRecords]") -> None:
    """Write the records of several models, such as `before` and `after`."""
    import pandas

    for name, file in FILES.items():
        rows = [{MODEL: model} | asdict(row) for model, found in records.items() for row in getattr(found, name)]
        columns = [MODEL, *(field.name for field in fields(_kinds()[name]))]
        pandas.DataFrame(rows, columns=columns).to_parquet(folder / file, index=False)


def read_edit_records(artifact: Artifact) -> "dict[str, EditRecords]":
    """Read the records of every model, as they were written."""
    from tasks.algorithms.measuring.edit_scores import EditRecords

    tables = {name: _read(store.path(artifact) / file, _kinds()[name]) for name, file in FILES.items()}
    models = dict.fromkeys(model for rows in tables.values() for model, _ in rows)
    return {
        model: EditRecords(**{name: tuple(row for own, row in rows if own == model) for name, rows in tables.items()})
        for model in models
    }


def _kinds() -> dict[str, type]:
    from tasks.algorithms.measuring.edit_scores import ObjectScore, TextScore
    from tasks.algorithms.measuring.edit_texts import WrittenText
    from tasks.algorithms.measuring.logit_lens import LensRank

    return {"objects": ObjectScore, "written": WrittenText, "texts": TextScore, "lens": LensRank}


def _read(file: Path, kind: type) -> list[tuple[str, Any]]:
    import pandas

    rows = pandas.read_parquet(file).to_dict("records")
    return [(row.pop(MODEL), kind(**{name: _plain(value) for name, value in row.items()})) for row in rows]


def _plain(value: Any) -> Any:
    """Return a list of parquet's as the tuple it was."""
    return tuple(value.tolist()) if hasattr(value, "tolist") and getattr(value, "ndim", 0) else value


def keep_scores(
    metrics: dict[str, dict[str, Any]],
    records: "dict[str, EditRecords]",
    edits: int,
    label: str,
    run: str | None,
    answers: Sequence[dict[str, str]] = (),
) -> EditScores:
    """Store scores of edits with the records behind them.

    Args:
        metrics: `edit/...` -> row of the card.
        records: Of each model.
        edits: How many were judged.
        label: What to call the edited model, or who edited.
        run: The tracked run that made them.
        answers: What a person is shown.
    """
    digest = store.put(
        "edit_scores", lambda folder: write_scores(folder, metrics, records, answers), sensitivity="forget"
    )
    after = {name: row["unlearned"] for name, row in metrics.items()}
    return EditScores(
        kind="edit_scores",
        digest=digest,
        sensitivity="forget",
        origin=run or "",
        edits=edits,
        efficacy=after.get("edit/es"),
        score=after.get("edit/s"),
        alteration=after.get("edit/alteration"),
        perplexity_ratio=after.get("edit/perplexity_ratio"),
        label=label,
    )


def write_scores(
    folder: Path,
    metrics: dict[str, dict[str, Any]],
    records: "dict[str, EditRecords]",
    answers: Sequence[dict[str, str]] = (),
) -> None:
    """Write scores with the records behind them, answers, and what could not be measured."""
    from tasks.algorithms.measuring.edit_figures import not_measured

    missing = [f"edit/{name}" for name in not_measured([name.partition("/")[2] for name in metrics])]
    write_json(folder / SCORES, {"schema": "lethe.edit_scores.v1", "metrics": metrics, "not_measured": missing})
    write_json(folder / ANSWERS, list(answers))
    write_edit_records(folder, records)


def read_answers(scores: Artifact) -> list[dict[str, str]]:
    """Read what was answered before and after, a row a query."""
    return read_json(store.path(scores) / ANSWERS)
