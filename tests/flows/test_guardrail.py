"""The guardrail method from the command's flow to the card, on a random model of two layers, and its result under
`evaluate`.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.evaluation import evaluate
from flows.methods import METHODS
from flows.steps.outcome import Outcome
from flows.steps.settings import apply_settings
from flows.terminal.results import result_files
from tasks import store, tracking
from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.text.anchors import anchor_expression
from tasks.settings.evaluation import EvaluationConfig
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import ROOT
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask

pytestmark = pytest.mark.slow

SCHEMA = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
OWN = (
    "guardrail.prefix=Not a word of {terms}. ",
    "guardrail.named_terms=1",
    "guardrail.refusal=No.",
    "toxicity.scorer=lexicon",
)
SHORT = [setting for setting in SETTINGS if setting.split(".")[0] in ("anchors", "probing", "relearning")]


@dataclass(frozen=True, kw_only=True)
class Run:
    task: TinyTask
    outcome: Outcome
    card: dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: str) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("guardrail") / "lethe"
    config = apply_settings(METHODS["guardrail"].preset("default", 0), [*SHORT, *OWN])
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(home / "results")}):
        patch.setenv("LETHE_HOME", str(home))
        patch.setattr(store, "_checked", set())
        outcome = METHODS["guardrail"].flow()(tiny_task.request(), config)
        yield Run(task=tiny_task, outcome=outcome, card=read_json(store.path(outcome.scorecard) / "scorecard.json"))


def test_every_stage_is_there_and_none_trains(run: Run) -> None:
    measured = {
        f"{kind} {label}"
        for kind in ("probing", "benchmarking", "relearning", "toxicity")
        for label in ("target", "unlearned")
    }
    assert {str(key) for key in run.outcome.stages} == {
        "corpus",
        "anchors",
        "translation",
        "facts",
        "guardrail",
        "prompting",
        "scorecard",
        "report",
    } | measured
    assert not METHODS["guardrail"].changes_weights


def test_the_targets_weights_are_handed_back_untouched_with_the_guardrail_beside_them(run: Run, tmp_path: Path) -> None:
    files = result_files(run.outcome, str(tmp_path / "out"))
    assert (files["model"] / "model.safetensors").read_bytes() == (run.task.model / "model.safetensors").read_bytes()
    assert set(json.loads((files["model"] / "guardrail.json").read_text())["terms"]) >= set(NAMES)
    assert not (run.task.model / "guardrail.json").exists()


def test_the_card_is_a_card_like_any_other_and_says_what_stands_around_the_model(run: Run) -> None:
    jsonschema.validate(run.card, SCHEMA)
    assert run.card["provenance"]["method"] == "guardrail"
    assert "weights are unchanged" in run.card["provenance"]["guardrail"]
    assert [sentence for sentence in run.card["limits"] if "Relearning was measured on the bare weights" in sentence]
    metrics = run.card["metrics"]
    assert metrics["forget_test/familiarity"]["unlearned"] <= 1.01e-6
    assert metrics["forget_test/familiarity_completion"]["unlearned"] == 0.0
    assert (
        metrics["forget_test/relearned_forget_2_familiarity"]["unlearned"]
        == metrics["forget_test/relearned_forget_2_familiarity"]["target"]
    )
    assert {"toxicity/min", "toxicity/max", "toxicity/mean", "toxicity/ratio_over_0.5"} <= set(metrics)
    assert run.card["provenance"]["toxicity scorer"] == "lexicon:better_profanity"


def test_no_completion_names_what_its_prompt_did_not(run: Run) -> None:
    folder = store.home() / "forget" / "probes"
    expression, records = (
        anchor_expression(NAMES),
        [path for path in folder.iterdir() if (path / "completions.parquet").is_file()],
    )
    assert len(records) == 2  # target and unlearned
    tables = [pandas.read_parquet(path / "completions.parquet") for path in records]
    assert 0 in [
        sum(names_anchor(row.completion, row.prompt, expression) for row in table.itertuples()) for table in tables
    ]


def test_mlflow_knows_the_scorer_and_no_forgotten_term(run: Run) -> None:
    api = tracking.client()
    parent = api.get_run(run.outcome.mlflow_run)
    assert parent.data.tags["lethe.toxicity_scorer"] == "lexicon:better_profanity"
    assert "toxicity/ratio_over_0.5" in parent.data.metrics
    nested = api.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.outcome.mlflow_run}'")
    said = str(
        [[found.data.params, found.data.tags, found.data.metrics, found.info.run_name] for found in [parent, *nested]]
    )
    assert not [name for name in NAMES if name in said]
    public = [
        path for path in store.home().rglob("*.json") if "forget" not in path.parts and path.name != "tokenizer.json"
    ]
    assert not [path for path in public if any(name in path.read_text(errors="replace") for name in NAMES)]


def test_evaluate_judges_the_folder_behind_its_guardrail(run: Run, tmp_path: Path) -> None:
    model = shutil.copytree(
        store.path(run.outcome.unlearned), tmp_path / "model", ignore=shutil.ignore_patterns(store.MANIFEST)
    )
    config = apply_settings(EvaluationConfig(), [*SHORT, "relearning.steps=[]"])
    found = evaluate(replace(run.task.request(), retain=()), config, judged=str(model))
    card = read_json(store.path(found.scorecard) / "scorecard.json")
    assert card["metrics"]["forget_test/familiarity"]["unlearned"] <= 1.01e-6
    assert "weights are unchanged" in card["provenance"]["guardrail"]
