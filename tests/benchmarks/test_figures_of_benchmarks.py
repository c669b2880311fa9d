"""What each benchmark makes of its runs: by hand, and in the shape that its result on record has."""

import argparse
from collections.abc import Mapping
from typing import Any

import pytest

from tasks.algorithms.world.fact_world import build_fact_world
from tests.benchmarks import (
    adapters,
    anchor_recall,
    books,
    coverage,
    fact_model,
    figures,
    methods,
    over_seeds,
    planted,
    sweeps,
    teacher,
    tofu,
    topics,
)
from tests.benchmarks.results import RESULTS, read_result
from tests.benchmarks.tables import TABLES
from tests.planted.confusion import Case, confusion
from tests.stand_ins.facts import SMALL_WORLD, TrainedFacts


def columns(made: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """Return the ways to all figures below a row, mean, least and most apart: these depend on how many seeds there
    were.
    """
    return {way for row in made.values() for way in _ways(row)}


def _ways(value: Any) -> set[tuple[str, ...]]:
    if not isinstance(value, Mapping) or "mean" in value:
        return {()}
    return {(name, *way) for name, part in value.items() if name != "failed" for way in _ways(part)}


def has_the_shape_on_record(name: str, made: Mapping[str, Any]) -> bool:
    """Return whether every column of the result on record is one that the benchmark writes."""
    return all(columns(part.figures) <= columns(made) for part in read_result(RESULTS / f"{name}.json"))


def test_the_embedded_world() -> None:
    rows = [
        {"topic": "a", "seed": seed, "retain ratio": value, "passed": 1.0}
        for seed, value in enumerate((0.90, 0.92, 0.94))
    ]
    made = figures.over_runs(rows)
    # sd 0.02, t(0.975, 2) = 4.3027: 4.3027 * 0.02 / sqrt(3) = 0.04968
    assert made["retain ratio"] == pytest.approx(
        {"mean": 0.92, "low": 0.87032, "high": 0.96968, "least": 0.90, "most": 0.94, "wanted": ">= 0.90"}, abs=1e-5
    )
    assert list(made) == ["retain ratio", "passed"]
    assert set(made["retain ratio"]) == set(read_result(RESULTS / "figures.json")[0].figures["retain ratio"])


def test_real_data_over_seeds() -> None:
    cards = [
        {
            "metrics": {"sibling/perplexity": {"target": 20.0, "unlearned": value, "retrained": 30.0}},
            "verdict": {"passed": passed},
        }
        for value, passed in ((22.0, True), (26.0, False))
    ]
    made = over_seeds.over_seeds(cards, books.SHOWN)
    assert made == {
        "sibling/perplexity": {
            "target": 20.0,
            "unlearned": {"mean": 24.0, "least": 22.0, "most": 26.0},
            "ratio": {"mean": pytest.approx(1.2), "least": pytest.approx(1.1), "most": pytest.approx(1.3)},
            "retrained": 30.0,
            "retrained ratio": 1.5,
        },
        "passed": {"unlearned": {"mean": 0.5, "least": 0.0, "most": 1.0}},
    }
    assert has_the_shape_on_record("books", made)
    assert has_the_shape_on_record("tofu", made)


def test_metrics_that_are_shown_have_words_in_their_table() -> None:
    assert set(TABLES["books"].rows) == {*books.SHOWN, "passed"}
    assert set(TABLES["tofu"].rows) == {*tofu.SHOWN, "passed"}


def method_row(name: str, seed: int, left: float, shown: Mapping[str, str], **checks: bool | None) -> dict[str, Any]:
    figure = {"target": 0.8, "unlearned": left, "retrained": 0.01}
    held = dict.fromkeys(methods.CHECKS, True) | checks
    return {
        "method": name,
        "seed": seed,
        **dict.fromkeys(shown, figure),
        **dict.fromkeys(methods.RATIOS, 0.9),
        **held,
        "passed": all(held.values()),
        "seconds": 4.0,
    }


def test_methods_over_seeds() -> None:
    rows = [
        method_row("npo", 0, 0.1, methods.WORLD, private=False),
        method_row("npo", 1, 0.3, methods.WORLD, forgotten=False, robust=None, private=False),
    ]
    made = methods.over_seeds(rows, methods.WORLD)
    assert made["target"]["forget"] == {"mean": 0.8, "least": 0.8, "most": 0.8}
    assert made["npo"]["forget"] == {"mean": pytest.approx(0.2), "least": 0.1, "most": 0.3}
    counts = {name: made["npo"][name] for name in ("failed", "passed", "runs", "seconds")}
    # what was not measured did not fail
    assert counts == {"failed": {"forgotten": 1}, "passed": 0, "runs": 2, "seconds": 4.0}
    assert has_the_shape_on_record("methods", made)
    assert has_the_shape_on_record(
        "methods_tofu", methods.over_seeds([method_row("npo", 0, 0.1, methods.TOFU)], methods.TOFU)
    )


def test_adapters_beside_whole_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(name: str, given: Any, seed: int, settings: list[str], shown: dict[str, str]) -> dict[str, Any]:
        return method_row(name, seed, 0.3 if "lora.rank=16" in settings else 0.1, shown)

    monkeypatch.setattr(adapters, "measure", measured)
    monkeypatch.setattr(adapters, "world_request", lambda topic, seed: {})
    made = {"npo": adapters.measured("npo", argparse.Namespace(topic="series", seed=0, rank=16, settings=[]))}
    assert [made["npo"][way]["forget"]["mean"] for way in ("adapters", "whole weights")] == [0.3, 0.1]
    assert has_the_shape_on_record("adapters", made)


def test_sweeps_are_read_from_what_the_command_writes_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = {"settings": ["training.least_steps=160", "lora.rate_factor=5"], "forget": 0.1, "retain_ratio": 0.95}
    monkeypatch.setattr(sweeps, "swept", lambda *words: {"trials": [trial], "target_forget": 0.9})
    made = sweeps.adapter_rates(["npo"])
    assert made == {"`npo`, 160 steps, 5 times the rate": {"left": 0.1, "target": 0.9, "kept": 0.95}}
    assert has_the_shape_on_record("adapter_rates", made)


def test_weights_of_scrub(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    ending = {"retain_kl_nats": 2.0, "forget_kl_nats": 3.0, "stereotype_preference": 0.5, "healthy": False}
    reasons = [
        "degeneration/empty_share is 0.2000, wanted <= 0.0500: fails",
        "degeneration/distinct_2 is 0.9000, wanted >= 0.5000: holds",
    ]
    value = {
        "baseline": ending | {"healthy": None, "reasons": []},
        "runs": [{"run": "alpha 0.5, beta 0.5", "last_loss_nats": -1.0, **ending, "reasons": reasons}],
    }
    monkeypatch.setattr(sweeps, "swept", lambda *words: value)
    made = sweeps.scrub_weights(tmp_path)
    assert made["alpha 0.5, beta 0.5"]["reasons"] == reasons[0]
    assert (made["before"]["last_loss_nats"], made["before"]["reasons"]) == (None, None)
    assert has_the_shape_on_record("scrub_weights", made)


def test_topics_of_the_world() -> None:
    rows = [
        {"seed": seed, "part": "planets", "target": 0.8, "unlearned": left, "retrained": 0.7, "passed": False}
        for seed, left in enumerate((0.08, 0.16))
    ]
    made = topics.of_world(rows)
    assert made["planets"]["left"] == {
        "mean": pytest.approx(0.15),
        "least": pytest.approx(0.1),
        "most": pytest.approx(0.2),
    }
    assert (made["planets"]["passed"], made["planets"]["runs"]) == (0, 2)
    assert has_the_shape_on_record("topics", made)


def test_two_books() -> None:
    left = {"Alice alone": 0.1, "both books": 0.2}
    rows = [
        {"seed": 0, "forgotten": label, "part": "Alice: a", "target": 0.4, "unlearned": value}
        for label, value in left.items()
    ]
    made = topics.of_books(rows)
    assert made == {
        "Alice: a": {
            "target": {"mean": 0.4, "least": 0.4, "most": 0.4},
            "Alice alone": {"mean": 0.25},
            "both books": {"mean": 0.5},
        }
    }
    assert has_the_shape_on_record("topics_books", made)


def test_coverage_over_seeds() -> None:
    parts = [
        {"part": "a", "forgotten": label, "target": 0.8, "unlearned": left, "retrained": 0.1}
        for label, left in zip(coverage.WAYS.values(), (0.2, 0.3), strict=True)
    ]
    measured = [
        {"seed": seed, "coverage": {"share": share, "told": 40}, "parts": parts}
        for seed, share in enumerate((0.8, None, 0.9))
    ]
    assert coverage.found_over_seeds(measured) == {
        "share": {"least": 0.8, "most": 0.9},
        "told": {"least": 40, "most": 40},
    }
    made = coverage.left_over_seeds(measured[:1])
    assert made == {
        "a": {
            "target": {"mean": 0.8, "least": 0.8, "most": 0.8},
            "the book alone": {"mean": 0.2},
            "with what the model tells": {"mean": 0.3},
            "retrained": {"mean": 0.1, "least": 0.1, "most": 0.1},
        }
    }
    assert has_the_shape_on_record("coverage", made)
    assert has_the_shape_on_record("coverage_found", coverage.found_over_seeds(measured))


def test_anchors_of_a_novel() -> None:
    found = anchor_recall.Figures(listed=10, shown=20, missed=["a"], wrong=["b", "c"], seconds=1.0)
    made = {"baum_wizard_of_oz": anchor_recall.recorded("baum_wizard_of_oz", found)}
    assert (made["baum_wizard_of_oz"]["recall"], made["baum_wizard_of_oz"]["precision"]) == (pytest.approx(0.9), 0.9)
    assert made["baum_wizard_of_oz"]["rules improved on it"] is True
    assert has_the_shape_on_record("anchor_recall", made)


def test_planted_models_by_kind() -> None:
    cases = [
        Case(
            seed=0,
            topic="a",
            kind=kind,
            tier=tier,
            passed=kind == planted.GOOD,
            failed=() if kind == planted.GOOD else ("robust",),
        )
        for kind in ("blanked", planted.GOOD)
        for tier in ("gold", "proxy", "behavioural")
    ]
    made = planted.by_kind(confusion(cases, planted.GOOD))
    shown = {
        name: made["blanked"][name] for name in ("wanted", "cases", "gold", "proxy", "behavioural", "runs", "failed")
    }
    assert shown == {
        "wanted": "fail",
        "cases": 1,
        "gold": 0,
        "proxy": 0,
        "behavioural": 0,
        "runs": 3,
        "failed": {"robust": 3},
    }
    assert (made[planted.GOOD]["wanted"], made[planted.GOOD]["gold"], made[planted.GOOD]["failed"]) == ("pass", 1, {})
    assert has_the_shape_on_record("planted", made)


def test_a_training_step_in_three_ways() -> None:
    steps = zip(teacher.WAYS, (4.0, 5.0, 3.0), (200.0, 100.0, 100.0), strict=True)
    rows = [
        ("npo", way, teacher.Step(seconds=seconds, megabytes=megabytes, weights=1.0), 41.0)
        for way, seconds, megabytes in steps
    ]
    made = teacher.over_ways(rows, argparse.Namespace(vocabulary=8192, layers=12, hidden=1024, rank=8), 167_800_000)
    (row,) = made.values()
    assert list(made) == ["`npo`, adapters of rank 8, 168M"]
    assert row["head share"] == pytest.approx(8192 / (8192 + 12 * 12 * 1024))
    assert row["cached"] == {
        "seconds": 3.0,
        "megabytes": 100.0,
        "seconds of textbook": 0.75,
        "megabytes of textbook": 0.5,
        "seconds of live": 0.6,
        "megabytes of live": 1.0,
        "seconds to make": 41.0,
    }
    assert has_the_shape_on_record("teacher", made)
    assert has_the_shape_on_record("teacher_gpu", made)
    assert teacher.readable(1_230_000_000) == "1.2B"


def test_fact_models_over_seeds() -> None:
    one = {"known": 1.0, "known held out": 0.9, "total": 0.8, "last": 0.6, "earlier": 0.1, "seconds": 100.0}
    found = [one | {"layer": 1, "facts": 60}, one | {"layer": 0, "facts": 60, "last": 0.7}]
    made = fact_model.over_seeds(found)
    assert made["last"] == pytest.approx({"mean": 0.65, "least": 0.6, "most": 0.7})
    assert made["layers"] == "0, 1"
    assert TABLES["fact_model"].cells({"gpt2": made}) == [
        [
            "GPT-2 form",
            "1.000 (1.000, 1.000)",
            "0.900 (0.900, 0.900)",
            "0.800 (0.800, 0.800)",
            "0.650 (0.600, 0.700)",
            "0, 1",
            "0.100 (0.100, 0.100)",
            "100",
        ]
    ]
    assert set(fact_model.VARIANTS) == set(TABLES["fact_model"].rows)


def test_what_a_fact_model_restores_is_a_share_of_the_effect(small_fact_model: TrainedFacts) -> None:
    """The last layer's state at the prompt's end is the answer itself; those of the subject are looked at alone."""
    found = fact_model.traced(*small_fact_model.load(), build_fact_world(SMALL_WORLD), 12)
    assert found["facts"] == 12
    assert len(found["layers"]) == 2
    assert found["layer"] == 0
    assert found["last"] == max(found["layers"]) > 0.15
    assert abs(found["layers"][1]) < 1e-4, "after the last layer no other position reads it"
    assert found["earlier"] < 0.3
