"""Plain words: every check in every outcome, every metric and split that a card may hold."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.algorithms.measuring.membership import ATTACKS
from tasks.reporting import wording
from tasks.settings.verdict import CHECKS

ROOT = Path(__file__).resolve().parents[3]


def verdict(state: bool | None, evidence: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(CHECKS, state),
        "evidence": evidence,
        "reasons": ["forgotten: it is 0.1: holds", "healthy: one", "healthy: two: three"],
    }


@pytest.mark.parametrize(
    ("state", "evidence"), list(itertools.product([True, False, None], ["gold", "proxy", "behavioural"]))
)
def test_every_check_is_explained_however_it_came_out(state: bool | None, evidence: str) -> None:
    rows = wording.check_rows(verdict(state, evidence))
    assert [row["name"] for row in rows] == [name.replace("_", " ") for name in CHECKS]
    assert all(row["meaning"].endswith(".") and row["state"] is state for row in rows)


def test_what_forgotten_means_depends_on_the_evidence() -> None:
    said = {
        wording.check_rows(verdict(state, evidence))[0]["meaning"]
        for state in (True, False)
        for evidence in ("gold", "proxy", "behavioural")
    }
    assert len(said) == 6


def test_each_check_has_its_own_reasons() -> None:
    reasons = {row["name"]: row["reasons"] for row in wording.check_rows(verdict(True, "gold"))}
    assert reasons == {
        "forgotten": ["it is 0.1: holds"],
        "healthy": ["one", "two: three"],
        "utility kept": [],
        "robust": [],
        "private": [],
    }


def test_metrics_are_grouped_by_split_with_their_meaning() -> None:
    found = {
        "novelty/surprise": {"unlearned": 1.0},
        "benchmark/world/acc": {"unlearned": 0.5},
        "forget_test/perplexity": {"unlearned": 3.0},
    }
    # what matters most comes first, what nobody has described last
    topic, benchmark, other = wording.metric_groups(found)
    assert (other["split"], other["title"]) == ("novelty", "novelty")
    assert (topic["split"], benchmark["split"]) == ("forget_test", "benchmark")
    assert benchmark["rows"] == [{"name": "world/acc", "meaning": "accuracy", "unlearned": 0.5}]
    assert topic["title"] == wording.SPLITS["forget_test"]


def test_every_metric_that_mlflow_is_told_of_has_a_meaning() -> None:
    listed = (ROOT / "mlflow" / "README.md").read_text().partition("## Metric names")[2]
    names = [name for name in re.findall(r"`([a-z0-9_/<>]+)`", listed) if name != "<split>/<metric>"]
    assert len(names) >= 20
    assert [name for name in names if not wording.meaning(name)] == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_membership_attack_has_a_meaning(attack: str) -> None:
    assert "0.5 not at all" in wording.meaning(f"{attack}_auc")


def test_an_unknown_metric_has_none() -> None:
    assert wording.meaning("surprise") == ""


def test_every_split_of_the_schema_has_a_title() -> None:
    schema = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
    splits = (
        re.match(r"\^\(([a-z_|]+)\)", schema["properties"]["metrics"]["propertyNames"]["pattern"]).group(1).split("|")
    )
    assert set(splits) <= set(wording.SPLITS)
