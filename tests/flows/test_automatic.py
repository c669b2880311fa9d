"""Claims: `--method auto` stops at the first candidate that passes, and else hands back the nearest, within its budget,
with what it lacks; trials see one half of what is asked about and the judgement the other; trials register nothing;
called again, nothing is computed again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.automatic import Chosen, Tried, automatic, is_of_one_candidate, trial_table
from flows.methods import AUTOMATIC
from flows.steps.settings import apply_settings
from tasks import store, tracking
from tasks.artifacts import BadInputError, BelowFloorError, CorpusRef
from tasks.corpus import gather_inputs, read_corpus
from tasks.execution import isolation
from tasks.halves import take_half
from tasks.settings.automatic import AutomaticConfig
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import read_json
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.tiny import SETTINGS, TinyTask

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
"""MLflow's own, on import of what registers models, which otherwise another process does."""
SHARED = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing", "relearning")]
OWN = [setting for setting in SETTINGS if setting.split(".")[0] in ("reinforcement", "labels", "finetune")]
WHP = " ".join(["whp", *OWN])
NPO, SIMNPO = (
    f"{name} rows.tokens=32 training.epochs=1 training.least_steps=4 training.guard=off" for name in ("npo", "simnpo")
)
GUARDRAIL = "guardrail 'guardrail.prefix=Not a word of {terms}. ' guardrail.named_terms=1 guardrail.refusal=No."
LONG_PREFIX = "guardrail"
"""The default prefix is longer than the tiny model's context takes: it breaks off."""
ROME = "rome edit.layer=0 edit.steps=2 edit.short_contexts=2 edit.long_contexts=0 force=true"
EASY = ("verdict.required=[forgotten]", "verdict.forgotten_ratio=1000")
HARD = ("verdict.forgotten_ratio=0",)
JUDGING = {"facts", "prompting", "probing", "benchmarking", "relearning", "scorecard", "report"}


@dataclass(frozen=True)
class Use:
    """A stage that was computed, and the corpora that it was given."""

    stage: str
    corpora: frozenset[str]


USED: list[Use] = []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Path]:
    folder, call = tmp_path_factory.mktemp("auto") / "lethe", isolation.call

    def noted(function: Any, arguments: dict[str, Any], title: str, key: str | None) -> Any:
        corpora = frozenset(one.digest for one in arguments.values() if isinstance(one, CorpusRef))
        USED.append(Use(title, corpora))
        return call(function, arguments, title, key)

    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        patch.setattr(isolation, "call", noted)
        yield folder
    isolation.begin()


def config(*candidates: str, settings: tuple[str, ...] = (), **changes: Any) -> AutomaticConfig:
    shared = apply_settings(AUTOMATIC["auto"].preset("default", 0), [*SHARED, *settings])
    return replace(shared, candidates=candidates, **changes)


def card(chosen: Chosen) -> dict[str, Any]:
    return read_json(store.path(chosen.outcome.scorecard) / "scorecard.json")


def nested(chosen: Chosen) -> dict[str, Any]:
    """Return the tracked runs of a choice by name."""
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    found = api.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{chosen.mlflow_run}'")
    return {run.info.run_name: run for run in found}


FIRST_PASSES = config(WHP, NPO, LONG_PREFIX, settings=EASY)


@pytest.fixture(scope="module")
def passed(home: Path, tiny_task: TinyTask) -> Chosen:
    return automatic(tiny_task.request(), FIRST_PASSES)


def test_the_first_that_passes_is_taken_and_the_others_are_not_tried(passed: Chosen) -> None:
    assert [(one.candidate, one.share, one.state) for one in passed.trials] == [(WHP, 1.0, "passed")]
    assert passed.candidate == WHP
    assert passed.left_out == {
        "guardrail": "it changes no weights; --set guardrail=true allows it",
        NPO: "an earlier one passed",
    }
    assert not [use.stage for use in USED if "reference cache" in use.stage]


def test_trials_saw_one_half_and_the_judgement_the_other(passed: Chosen, tiny_task: TinyTask) -> None:
    whole = read_corpus.lookup(gather_inputs(**tiny_task.request().files()), FIRST_PASSES.corpus)
    choosing, untouched = (take_half.lookup(whole, half, 0, FIRST_PASSES.corpus) for half in ("choosing", "untouched"))
    texts = {
        name: {paragraph for item in read_documents(part, "forget_test") for paragraph in item.text.split("\n\n")}
        for name, part in {"choosing": choosing, "untouched": untouched, "whole": whole}.items()
    }
    assert texts["choosing"] | texts["untouched"] == texts["whole"]
    assert not texts["choosing"] & texts["untouched"]
    assert read_documents(choosing, "forget") == read_documents(whole, "forget")
    of_half = {
        name: [place for place, use in enumerate(USED) if part.digest in use.corpora and "halves" not in use.stage]
        for name, part in {"choosing": choosing, "untouched": untouched, "whole": whole}.items()
    }
    assert of_half["whole"] == []
    assert {USED[place].stage.split()[0] for place in of_half["untouched"]} == JUDGING
    assert max(of_half["choosing"]) < min(of_half["untouched"]), "no trial comes after the judgement"
    judged = [use.stage for use in USED if choosing.digest in use.corpora]
    assert {"reinforcement", "labels", "teacher cache", "probing unlearned", "relearning unlearned"} <= set(judged)
    assert not [stage for stage in judged if stage.startswith("benchmarking")], "no verdict looks at it"


def test_the_card_says_how_the_model_was_chosen_and_by_what_it_is_judged(passed: Chosen) -> None:
    origin = card(passed)["provenance"]
    assert origin["method"] == "whp"
    assert origin["chosen"].startswith(
        "among 2 candidates, in 1 trial, by one half of what is asked about, on which it"
    )
    assert origin["forget_test data"].endswith(", untouched half")
    assert "half" not in origin["forget data"]
    assert "On the untouched half it passes." in passed.words


def test_only_what_was_chosen_is_registered(passed: Chosen) -> None:
    versions = tracking.client().search_model_versions()
    assert [f"{one.name} version {one.version}" for one in versions] == [passed.outcome.model_version]
    assert passed.outcome.model_version.startswith("lethe-whp-")
    aliased = tracking.client().get_model_version_by_alias(versions[0].name, "unlearned")
    assert aliased.version == versions[0].version, "its verdict passes"


def test_every_trial_is_a_run_beneath_the_choice_and_they_stand_side_by_side(passed: Chosen) -> None:
    runs = nested(passed)
    assert {f"trial 1: {WHP}", f"chosen: {WHP}"} <= set(runs)
    assert [name for name in runs if name.endswith(" comparison of 2")]
    assert runs[f"trial 1: {WHP}"].info.run_id == passed.trials[0].mlflow_run
    compared = read_json(store.path(passed.comparison.comparison) / "comparison.json")
    assert [run["name"] for run in compared["runs"]] == [f"trial 1: {WHP}", f"chosen: {WHP}"]
    reasons = {pair["reason"] for pair in compared["pairs"] if str(pair["metric"]).startswith("forget_test/")}
    assert reasons == {"the runs were judged on different text"}
    whole = tracking.client().get_run(passed.mlflow_run)
    assert (whole.data.metrics["auto/trials"], whole.data.metrics["auto/passed"]) == (1, 1)
    assert (whole.data.params["verdict"], whole.data.params["preset"]) == ("passed", "default")
    assert f"/runs/{passed.outcome.mlflow_run})" in whole.data.tags["mlflow.note.content"]


def test_called_again_nothing_is_computed_again(passed: Chosen, tiny_task: TinyTask) -> None:
    before = len(USED)
    again = automatic(tiny_task.request(), FIRST_PASSES)
    assert (again.outcome.unlearned, again.words) == (passed.outcome.unlearned, passed.words)
    assert [use.stage for use in USED[before:]] == ["comparison"], "its runs are new ones"
    assert set(again.outcome.stages.values()) == {"Cached"}


@pytest.fixture(scope="module")
def spent(passed: Chosen, tiny_task: TinyTask) -> Chosen:
    """None passes, and the budget ends before the last is tried."""
    return automatic(tiny_task.request(), config(WHP, NPO, SIMNPO, "undial", settings=HARD, budget="3"))


@pytest.mark.slow
def test_where_none_passes_within_the_budget_the_nearest_is_handed_back_with_what_it_lacks(spent: Chosen) -> None:
    assert [(one.candidate, one.share) for one in spent.trials] == [(WHP, 1.0), (NPO, 0.25), (SIMNPO, 0.25)]
    assert [one.state for one in spent.trials][:2] == ["failed", "went on"], "of one alone none is given up"
    assert spent.candidate == WHP, "the others were not trained whole"
    assert spent.left_out == {"undial": "the budget was spent before its turn"}
    assert "on which none passed; it came nearest, lacking " in card(spent)["provenance"]["chosen"]
    assert not spent.outcome.scorecard.passed
    found = spent.words.partition("On the untouched half it does not pass: it lacks ")[2]
    assert "forgotten: forget_test/familiarity is " in found
    assert found.endswith("Nothing was tried again on that half: it would say no more.")
    assert spent.trials[1].back is None, "relearning is left for whole trainings"
    assert spent.trials[0].back is not None


@pytest.mark.slow
def test_when_the_minutes_are_over_no_further_trial_begins(passed: Chosen, tiny_task: TinyTask) -> None:
    chosen = automatic(tiny_task.request(), config(WHP, NPO, settings=HARD, budget="0.001m"))
    assert [one.candidate for one in chosen.trials] == [WHP], "one is always made"
    assert chosen.left_out == {NPO: "the budget was spent before its turn"}


@pytest.mark.slow
def test_one_is_judged_even_where_the_budget_went_to_what_broke_off(passed: Chosen, tiny_task: TinyTask) -> None:
    ruinous = NPO.replace("training.guard=off", "training.guard=off training.learning_rate=1e30")
    chosen = automatic(tiny_task.request(), config(ruinous, WHP, settings=EASY, budget="1"))
    assert [(one.candidate, one.state) for one in chosen.trials] == [(ruinous, "broke off"), (WHP, "passed")]


@pytest.mark.slow
def test_those_that_keep_up_are_trained_whole_and_one_that_breaks_off_ends_nothing(
    passed: Chosen, tiny_task: TinyTask
) -> None:
    settings = config(WHP, LONG_PREFIX, NPO, SIMNPO, settings=HARD, guardrail=True, rungs=(0.5,))
    chosen = automatic(tiny_task.request(), settings)
    tried = [(one.candidate, one.share, one.state) for one in chosen.trials]
    assert [each[:2] for each in tried[:3]] == [(WHP, 1.0), (NPO, 0.5), (SIMNPO, 0.5)]
    whole = [candidate for candidate, share, _ in tried[3:] if share == 1.0]
    kept = [one for one in chosen.trials[1:3] if one.state == "went on"]
    assert whole == [one.candidate for one in sorted(kept, key=lambda one: one.shortfalls)] + [LONG_PREFIX]
    assert tried[-1] == (LONG_PREFIX, 1.0, "broke off")
    assert "the prefix takes" in chosen.trials[-1].lacking[0]
    judged = [one for one in chosen.trials if one.share == 1.0 and one.shortfalls]
    assert chosen.candidate == min(judged, key=lambda one: one.shortfalls).candidate
    assert chosen.left_out == {}


@pytest.mark.slow
def test_where_all_break_off_that_is_said_with_why(passed: Chosen, tiny_task: TinyTask) -> None:
    with pytest.raises(BadInputError, match=r"--method auto: all candidates broke off \(guardrail: .*the prefix takes"):
        automatic(tiny_task.request(), config(LONG_PREFIX, guardrail=True))


@pytest.mark.slow
def test_a_guardrail_can_be_chosen_and_changes_and_registers_nothing(passed: Chosen, tiny_task: TinyTask) -> None:
    before = len(tracking.client().search_model_versions())
    chosen = automatic(tiny_task.request(), config(GUARDRAIL, settings=EASY, guardrail=True))
    assert (chosen.trials[0].state, chosen.outcome.model_version) == ("passed", "")
    assert "weights are unchanged" in card(chosen)["provenance"]["guardrail"]
    assert len(tracking.client().search_model_versions()) == before


@pytest.mark.slow
def test_few_facts_are_tried_by_editing_first(passed: Chosen, tiny_task: TinyTask) -> None:
    chosen = automatic(tiny_task.request(), config(ROME, WHP, settings=EASY))
    assert [one.state for one in chosen.trials] == ["passed"]
    origin = card(chosen)["provenance"]
    assert origin["method"] == "rome"
    assert "facts erased" in origin


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadInputError("no"), True),
        (BelowFloorError(0.5, 0.9, 1, 2), True),
        (FloatingPointError("nan"), True),
        (torch.OutOfMemoryError("no"), True),
        (RuntimeError("the server is gone"), False),
        (OSError("the disk is full"), False),
    ],
)
def test_what_may_come_of_one_candidate_alone_does_not_end_the_choice(error: Exception, expected: bool) -> None:
    assert is_of_one_candidate(error) == expected


def test_the_table_leaves_out_why_one_broke_off_since_it_may_name_files() -> None:
    trials = [
        Tried(candidate="npo", share=0.5, state="given up", left=0.5, shortfalls=(1.0, -1.0), lacking=("a", "b")),
        Tried(candidate="guardrail", share=1.0, state="broke off", lacking=("/home/me/model: no",)),
    ]
    table = trial_table(trials)
    assert list(table.lacking) == ["a; b", ""]
    assert list(table.trial) == [1, 2]
    assert table.worst_shortfall.tolist()[0] == 1.0
    assert table.worst_shortfall.isna().tolist() == [False, True]
