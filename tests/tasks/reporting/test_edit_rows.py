"""Rows of edits are rows of a scorecard: what was before, what is after, and what that costs elsewhere."""

import json

import jsonschema
import pytest

from tasks.algorithms.measuring.edit_figures import LENS, SCORES
from tasks.algorithms.measuring.edit_scores import EditRecords, ObjectScore, TextScore
from tasks.reporting import wording
from tasks.reporting.edit_rows import edit_rows
from tasks.settings.edit_request import EditRequest
from tests.stand_ins.command import ROOT

REQUESTS = [EditRequest(subject=f"Name {at}", prompt="{} is", target="new", object="old") for at in range(2)]


def records(new_nats: float, text_nats: float | None = None) -> EditRecords:
    objects = tuple(
        ObjectScore(request=at, role="rewrite", number=0, object=kind, log_p_nats=nats, hits=(True,))
        for at in range(2)
        for kind, nats in (("new", new_nats), ("old", -1.0))
    )
    texts = () if text_nats is None else (TextScore(text=0, window=0, log_p_nats=text_nats, tokens=10),)
    return EditRecords(objects=objects, texts=texts)


def test_a_row_has_both_models_and_the_interval_of_the_one_after() -> None:
    rows = edit_rows(records(-2.0, -20.0), records(-0.5, -21.0), REQUESTS, seconds={0: 1.0, 1: 2.0})
    assert rows["edit/es"] == {"target": 0, "unlearned": 1, "retrained": None, "ci95": [1, 1], "n": 2}
    assert rows["edit/seconds"]["target"] is None and rows["edit/seconds"]["unlearned"] == 1.5
    assert rows["edit/perplexity"]["target"] == pytest.approx(2.71828**2, rel=1e-4)
    assert rows["edit/perplexity_ratio"]["unlearned"] == pytest.approx(2.71828**0.1, rel=1e-4)
    assert "edit/ps" not in rows and list(rows) == sorted(rows)
    assert "edit/perplexity_ratio" not in edit_rows(records(-2.0), records(-0.5), REQUESTS)


def test_rows_are_what_a_scorecards_schema_has_room_for() -> None:
    schema = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
    rows = edit_rows(records(-2.0, -20.0), records(-0.5, -21.0), REQUESTS, seconds={0: 1.0})
    jsonschema.validate(rows, schema["properties"]["metrics"] | {"$schema": schema["$schema"]})
    assert len(rows) > 8


def test_every_score_has_a_meaning_that_people_can_read() -> None:
    for name in (*SCORES, LENS, "s", "ge", "rs", "perplexity", "perplexity_ratio", "seconds"):
        assert wording.meaning(f"edit/{name}"), name
    assert wording.SPLITS["edit"]


def test_every_score_stands_in_the_list_of_what_is_logged() -> None:
    logged = (ROOT / "mlflow" / "README.md").read_text()
    for name in (*SCORES, LENS, "s", "ge", "rs", "perplexity_ratio", "seconds"):
        assert f"`{name}`" in logged, name
