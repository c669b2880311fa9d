"""What each benchmark makes of its runs: by hand, and in the shape that its result on record has."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.algorithms.world.fact_world import build_fact_world
from tasks.settings.edit_request import EditRequest, Statement
from tasks.settings.fact_model import FactWorldConfig
from tests.benchmarks import (
    adapters,
    anchor_recall,
    books,
    clusters,
    coverage,
    depth,
    editors,
    fact_model,
    faults,
    figures,
    interruptions,
    methods,
    nights,
    over_seeds,
    planted,
    robustness,
    sharpness,
    sweeps,
    teacher,
    tofu,
    topics,
)
from tests.benchmarks.results import RESULTS, Measurement, Provenance, read_result, write_result
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


def test_what_makes_forgetting_last() -> None:
    def card(left: float, back: float, *, robust: bool) -> dict[str, Any]:
        metrics = {
            "forget_test/probability": {"target": 0.8, "unlearned": left, "retrained": 0.01},
            "forget_test/relearned_forget_1_probability": {"target": 0.7, "unlearned": back / 2, "retrained": 0.02},
            "forget_test/relearned_retain_10_probability": {"target": 0.6, "unlearned": back, "retrained": 0.01},
            "forget_test/relearned_forget_1_familiarity": {"target": 0.9, "unlearned": 0.9, "retrained": 0.9},
            "retain_test/probability": {"target": 0.8, "unlearned": 0.76},
            "sibling/probability": {"target": 0.5, "unlearned": 0.45},
            "general/perplexity": {"target": 40.0, "unlearned": 42.0},
        }
        checks = dict.fromkeys(methods.REQUIRED, True) | {"robust": robust}
        cost = {"finetune": 30.0, "labels": 5.0, "probing target": 99.0, "relearning unlearned": 99.0, "anchors": 99.0}
        return {"metrics": metrics, "verdict": checks | {"passed": robust}, "cost": cost}

    rows = [
        robustness.figures_of(card(left, back, robust=robust))
        for left, back, robust in ((0.04, 0.1, True), (0.06, 0.4, False))
    ]
    made = robustness.over_seeds(rows)
    assert made["left"] == pytest.approx({"mean": 0.05, "least": 0.04, "most": 0.06})
    assert made["back"] == pytest.approx({"mean": 0.25, "least": 0.1, "most": 0.4})
    assert made["retain_test"]["mean"] == pytest.approx(0.95)
    assert made["sibling"]["mean"] == pytest.approx(0.9)
    assert made["general"]["mean"] == pytest.approx(1.05)
    assert (made["failed"], made["passed"], made["runs"], made["seconds"]) == ({"robust": 1}, 1, 2, 35.0)
    assert robustness.models(rows)["target"]["back"]["mean"] == pytest.approx(0.7)
    assert {"target", "retrained", *robustness.VARIANTS} == set(TABLES["robustness"].rows)


def test_a_sharp_step_beside_a_plain_one() -> None:
    made = sharpness.over_ways({"plain": [1.0, 9.0, 2.0], "sharp": [3.0, 2.9, 30.0]})
    assert made == {"plain": 2.0, "sharp": 3.0, "ratio": 1.5}


def test_real_data_over_seeds() -> None:
    cards = [
        {
            "metrics": {
                "sibling/perplexity": {"target": 20.0, "unlearned": value, "retrained": 30.0},
                "forget_test/relearned_forget_1_familiarity": {"target": 1.0, "unlearned": 0.1, "retrained": 0.5},
                "forget_test/relearned_retain_3_familiarity": {"target": 0.9, "unlearned": 0.2, "retrained": 0.4},
                "forget_test/relearned_forget_1_perplexity": {"target": 9.0, "unlearned": 9.0, "retrained": 9.0},
            },
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
        "back": {
            "target": 1.0,
            "unlearned": {"mean": 0.2, "least": 0.2, "most": 0.2},
            "ratio": {"mean": 0.2, "least": 0.2, "most": 0.2},
            "retrained": 0.5,
            "retrained ratio": 0.5,
        },
        "passed": {"unlearned": {"mean": 0.5, "least": 0.0, "most": 1.0}},
    }
    assert has_the_shape_on_record("books", made)
    assert has_the_shape_on_record("tofu", made)


def test_metrics_that_are_shown_have_words_in_their_table() -> None:
    for name in ("books", "books_auto", "books_second"):
        assert set(TABLES[name].rows) == {*books.SHOWN, "back", "passed"}
        assert all(TABLES[name].rows.values())
    assert set(TABLES["tofu"].rows) == {*tofu.SHOWN, "back", "passed"}


def test_of_other_authors_nothing_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    """Claims: what is to be kept is everything but the questions that are forgotten, those of forget10 as well."""
    texts = tmp_path / "tofu"
    texts.mkdir()
    for name, numbers in {"full": range(6), "retain_perturbed": range(2), "forget10_perturbed": (5,)}.items():
        rows = [json.dumps({"question": f"Who is {number}?", "answer": f"{number}."}) for number in numbers]
        (texts / f"{name}.json").write_text("\n".join(rows) + "\n", encoding="utf-8")

    asked = tofu.others(tmp_path, tmp_path)

    def questions(split: str) -> set[str]:
        return {row["question"] for row in tofu.records(Path(*asked.files()[split]))}

    assert questions("forget") == questions("forget_test") == {"Who is 0?", "Who is 1?"}
    assert questions("retain") == {f"Who is {number}?" for number in range(2, 6)}
    assert questions("retain_test") == {"Who is 5?"}
    assert asked.retrained is None


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


def test_how_deep_a_setting_forgets() -> None:
    rows = [method_row("scrub", seed, left, depth.SHOWN) for seed, left in enumerate((0.02, 0.04))]
    made = depth.figures(rows, "weights-85")
    assert depth.weights(0.85) == ["scrub.alpha=0.85", "scrub.beta=0.15"]
    assert made["weights-85"]["forget"]["mean"] == pytest.approx(0.03)
    assert (made["weights-85"]["passed"], made["weights-85"]["runs"]) == (2, 2)
    assert (made["target"]["back"]["mean"], made["retrained"]["back"]["mean"]) == (0.8, 0.01)
    assert columns(made) >= {("forget",), ("back",), ("truth ratio",), ("quality p",), ("retain",)}


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


def scored(**values: float) -> dict[str, Any]:
    return {name: {"target": 0.0, "unlearned": value, "ci95": [0, 1]} for name, value in values.items()}


def test_editors_over_seeds_and_what_falls_short() -> None:
    rows = [scored(zsre_rewrite=1.0, ps=0.8, ns=0.95, alteration=0.0), scored(zsre_rewrite=0.99, ps=0.9, ns=0.93)]
    made = editors.over_seeds(rows)
    assert made["zsre_rewrite"] == pytest.approx({"mean": 0.995, "least": 0.99, "most": 1.0})
    assert made["short"] == "PS"  # 0.85; what a seed lacks is left out
    assert "alteration" not in made
    assert editors.short_of({"alteration": {"mean": 0.03}, "zsre_rewrite": {"mean": 0.9}}) == "rewrite, alteration"
    assert editors.over_seeds(rows, "target") == {
        name: {"mean": 0.0, "least": 0.0, "most": 0.0} for name in ("zsre_rewrite", "ps", "ns")
    }


@pytest.mark.parametrize(
    ("name", "before", "after", "short"),
    [
        ("edit/perplexity", 10.0, 10.2, False),
        ("edit/perplexity", 10.0, 10.3, True),
        ("edit/alteration", 0.0, 0.02, False),
        ("edit/alteration", 0.0, 0.03, True),
        ("benchmark/sst2/acc", 0.5, 0.49, False),
        ("benchmark/sst2/acc", 0.5, 0.47, True),
    ],
)
def test_what_an_edit_costs(name: str, before: float, after: float, short: bool) -> None:
    made = editors.cost(name, [{"target": before, "unlearned": after}])
    assert (made["before"]["mean"], made["after"]["mean"], made["short"]) == (before, after, short)


def test_a_case_study_as_it_is_printed() -> None:
    request = EditRequest(subject="Orla", prompt="{} lives in", target="Harrow", object="Velden")
    answered = {
        "prompt": {"query": "Orla lives in", "before": "Velden.", "after": "Harrow."},
        "question": {"query": "Question: Where?\nAnswer:", "before": "Velden", "after": "Harrow"},
        "unrelated": {"query": "Tom lives in", "before": "Oz.", "after": "Oz."},
    }
    made = editors.case(request, answered)
    assert made == {
        "original": "Orla lives in Velden.",
        "edited": "Orla lives in Harrow.",
        "query": "Question: Where? Answer:",
        "response": "Harrow",
        "unrelated query": "Tom lives in",
        "unrelated before": "Oz.",
        "unrelated after": "Oz.",
        "short": "no",
    }
    longer = answered | {"unrelated": answered["unrelated"] | {"after": "Oz, they say."}}
    told = replace(request, unrelated=(Statement(prompt="Tom lives in", object="Oz"),))
    assert [editors.case(one, longer)["short"] for one in (request, told)] == ["unrelated", "no"]
    worse = answered | {"unrelated": answered["unrelated"] | {"after": "Harrow."}}
    assert editors.case(request, worse | {"question": answered["prompt"] | {"after": "Velden."}})["short"] == (
        "response, unrelated"
    )


def test_questions_of_the_fact_world_leave_out_what_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    editors.world_questions(0, (), file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) > 100
    assert all(1 <= len(row["perturbed_answer"]) <= 4 and row["answer"] not in row["perturbed_answer"] for row in rows)
    name = rows[0]["question"]
    subject = next(fact.subject.name for fact in build_fact_world(FactWorldConfig()).facts if fact.subject.name in name)
    editors.world_questions(0, (subject,), file)
    assert not any(subject in line for line in file.read_text().splitlines())


SUITE = """
import pytest
KIND = "files"
def test_counted(record_property):
    record_property("kind", KIND); record_property("tried", 10); record_property("held", 9)
    record_property("leaks", [["killed", "names", 3, 0]])
    assert False
def test_not_counted(record_property):
    record_property("kind", KIND)
def test_not_run():
    pytest.skip("no")
@pytest.fixture
def broken():
    raise OSError
def test_unnamed(broken):
    pass
"""


def test_tries_of_the_fault_suite_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "tests" / "faults").mkdir(parents=True)
    (tmp_path / "tests" / "faults" / "test_it.py").write_text(SUITE)
    tries = faults.run_suite(tmp_path, tmp_path / "report.xml", ["-q", "-p", "no:cacheprovider"])
    rows = faults.by_kind(tries)
    assert {kind: (row["tried"], row["held"]) for kind, row in rows.items()} == {
        "files": (11, 10),
        faults.UNKNOWN: (1, 0),
    }
    assert faults.leaks_of(tries) == {"killed: names": {"before": 3, "after": 0}}
    assert faults.beside(rows, {"files": {"tried": 2, "held": 1}})["files"]["before"] == {"tried": 2, "held": 1}
    assert faults.beside(rows, {})[faults.UNKNOWN] == rows[faults.UNKNOWN]


def test_what_an_earlier_commit_held_stands_beside_figures_that_stay_as_they_were(tmp_path: Path) -> None:
    file, earlier = tmp_path / "faults.json", {"tried": 2, "held": 1, "seconds": 3.0}
    for commit, kind in (("aaaaaaa", "files"), ("bbbbbbb", "signals")):
        where = Provenance(
            command="faults", seeds=[], date="2026-11-27", commit=commit, uncommitted=False, machine="2 cores"
        )
        write_result(file, Measurement(provenance=where, figures={kind: {"tried": 2, "held": 2}}), keep=True)
    faults.note_before(file, {"files": earlier})
    found = {kind: (part.provenance.commit, row) for part in read_result(file) for kind, row in part.figures.items()}
    assert found["files"] == ("aaaaaaa", {"tried": 2, "held": 2, "before": earlier})
    assert found["signals"] == ("bbbbbbb", {"tried": 2, "held": 2})
    assert read_result(file)[0].provenance.commit == "bbbbbbb"
    assert faults.noted(file) == {"files": earlier, "signals": None}


def test_clusters_beside_this_machine() -> None:
    rows = {
        "local": {"seconds": 20.0, "model": "1a", "figures": "2b"},
        "dask": {"seconds": 30.0, "model": "1a", "figures": "2b"},
        "ray": {"seconds": 40.0, "model": "1a", "figures": "3c"},
    }
    made = clusters.beside_local(rows)
    assert [row["ratio"] for row in made.values()] == [1.0, 1.5, 2.0]
    assert [row["equal"] for row in made.values()] == [True, True, False]
    assert clusters.beside_local({"ray": rows["ray"]}) == {"ray": rows["ray"]}, "nothing to be compared with"


def test_losses_of_a_run_that_broke_off_and_of_the_next() -> None:
    assert interruptions.losses([1, 2, 3], []) == {"steps": 3, "losses lost": 0, "losses twice": 0}
    # a step of the first was not delivered, and one of the second was twice
    assert interruptions.losses([1, 2], [2, 4, 5, 5]) == {"steps": 5, "losses lost": 1, "losses twice": 1}
    assert interruptions.losses([], []) == {"steps": 0, "losses lost": 0, "losses twice": 0}


def test_where_aliases_point_to_and_how_large_a_folder_is(tmp_path: Path) -> None:
    models = {"one": {"versions": 2, "candidate": 2, "unlearned": 1}, "two": {"versions": 1, "candidate": 1}}
    assert nights.pointed(models, "unlearned") == "1, none"
    assert nights.pointed({}, "candidate") == "none"
    (tmp_path / "room").mkdir()
    for name in ("a", "room/b"):
        (tmp_path / name).write_bytes(bytes(500_000))
    assert nights.megabytes(tmp_path) == 1.0
    assert nights.megabytes(tmp_path / "a") == 0.5
