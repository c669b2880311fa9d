"""How benchmarks over seeds are shown: means, extremes, and what the target and the retrained model have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from rich.table import Table


def over_seeds(cards: Sequence[dict[str, Any]], shown: Mapping[str, str]) -> Table:
    """Return the mean over seeds of every figure of the unlearned model, its least and largest value, and the other models' figures."""
    columns = ("figure", "target", "unlearned", "least, most", "x target", "least, most", "retrained", "x target")
    table = Table(*columns, title=f"{len(cards)} seeds", title_justify="left")
    for name, label in shown.items():
        rows = [card["metrics"][name] for card in cards if name in card["metrics"]]
        if rows:
            table.add_row(label, *_cells(rows))
    return table


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    unlearned = [row["unlearned"] for row in rows]
    ratios = [row["unlearned"] / row["target"] for row in rows if row["target"]]
    target, retrained = rows[0]["target"], rows[0]["retrained"]
    spread = [f"{min(values):.4g}, {max(values):.4g}" if values else "-" for values in (unlearned, ratios)]
    return [
        _number(target),
        _number(float(numpy.mean(unlearned))),
        spread[0],
        _number(float(numpy.mean(ratios)) if ratios else None),
        spread[1],
        _number(retrained),
        _number(retrained / target if retrained is not None and target else None),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
