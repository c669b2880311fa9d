"""The rows `edit/...` of a scorecard: every score of edits, before and after; and what a model answered, to be read."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.settings.edit_request import EditRequest

if TYPE_CHECKING:
    from tasks.algorithms.measuring.edit_answers import Query
    from tasks.algorithms.measuring.edit_figures import EditFigure
    from tasks.algorithms.measuring.edit_scores import EditRecords

SPLIT = "edit"


def edit_rows(
    before: "EditRecords",
    after: "EditRecords",
    requests: Sequence[EditRequest],
    seconds: Mapping[int, float] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return `edit/<score>` -> row of the card: `target` is before, `unlearned` after, which the interval is of.

    Args:
        before: What the model said before any edit.
        after: What it said after them; of edits that stand alone the records of each, joined.
        requests: The edits.
        seconds: Place of a request -> what its edit took, in seconds.
    """
    from tasks.algorithms.measuring.edit_figures import edit_figures, perplexity_ratio

    ours = edit_figures(after, requests, seconds)
    theirs = edit_figures(before, requests)
    if before.texts and after.texts:
        ours["perplexity_ratio"] = perplexity_ratio(before.texts, after.texts)
    return {f"{SPLIT}/{name}": _row(theirs.get(name), figure) for name, figure in sorted(ours.items())}


def _row(before: "EditFigure | None", after: "EditFigure") -> dict[str, Any]:
    from tasks.reporting.comparative_figures import row

    values = {"unlearned": after.value} | ({"target": before.value} if before else {})
    return row(values, list(after.ci95), after.n)


def answer_rows(
    requests: Sequence[EditRequest], asked: "Sequence[Query]", before: Sequence[str], after: Sequence[str]
) -> list[dict[str, str]]:
    """Return a row a query: the edit, what it changes, what was asked, and both answers.

    Args:
        requests: The edits, with their present objects.
        asked: The queries.
        before: What the model said to each before the edits.
        after: What it said after them.
    """
    return [
        {
            "edit": requests[one.request].name or str(one.request + 1),
            "change": f"{requests[one.request].object} -> {requests[one.request].target}",
            "kind": one.kind,
            "query": one.prompt,
            "before": was,
            "after": now,
        }
        for one, was, now in zip(asked, before, after, strict=True)
    ]
