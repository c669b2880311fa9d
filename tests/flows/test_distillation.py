"""A method with noise and distillation after it, from the request to the card, on a random model of two layers: the
method's own model is made as ever, another one is handed over, and a plan says so beforehand.

The stages run in this process, as those of `test_methods` do.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.methods import METHODS
from flows.plan import plan
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings
from flows.sweep import sweep
from tasks import store
from tasks.artifacts import BadInputError
from tasks.execution import isolation
from tasks.models.loading import load_model
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import ROOT
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
"""MLflow's own, on import of what registers models, which otherwise another process does."""
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
SHORT = [
    *(setting for setting in SETTINGS if setting.startswith(("anchors.", "probing."))),
    "relearning.steps=[]",
    "rows.tokens=32",
    "training.epochs=1",
    "training.least_steps=0",
    "distillation.steps=6",
    "distillation.block_size=32",
    "distillation.self_written_blocks=80",
    "distillation.validate_every=3",
]
ON = "distillation.noise_alpha=0.2"
WRITTEN = "self-written text 80 blocks of 32"
ADDED = {WRITTEN, "teacher cache of retain text", "teacher cache of forget text", "distillation"}


@dataclass(frozen=True, kw_only=True)
class Runs:
    request: UnlearningRequest
    plain: Outcome
    """Of the method alone."""
    noised: Outcome
    """Of the same with noise and distillation after it."""


def config(*settings: str) -> Any:
    return apply_settings(METHODS["npo"].preset("default", 0), [*SHORT, *settings])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: None) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("distilled") / "lethe"
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        flow, request = METHODS["npo"].flow(), tiny_task.request()
        yield Runs(request=request, plain=flow(request, config()), noised=flow(request, config(ON)))
    # after a flow that failed nothing begins in this process: say that it is over, for the tests that come next
    isolation.begin()


def test_the_methods_own_stages_are_those_of_a_run_without_it(runs: Runs) -> None:
    before, after = ({str(key) for key in outcome.stages} for outcome in (runs.plain, runs.noised))
    assert after - before == ADDED
    assert runs.noised.records[StageOf("finetune")] == runs.plain.unlearned
    again = {str(key) for key, state in runs.noised.stages.items() if state == "Cached"}
    assert {"corpus", "anchors", "translation", "facts", "reference cache", "finetune", "probing target"} <= again


def test_another_model_is_handed_over_and_the_card_says_how_it_came_about(runs: Runs) -> None:
    plain, noised = (load_model(outcome.unlearned).state_dict() for outcome in (runs.plain, runs.noised))
    assert any(not torch.equal(plain[name], noised[name]) for name in plain)
    assert runs.noised.unlearned == runs.noised.records[StageOf("distillation")]
    card = read_json(store.path(runs.noised.scorecard) / "scorecard.json")
    jsonschema.validate(card, SCHEMA)
    assert card["provenance"]["unlearned model"] == runs.noised.unlearned.digest
    assert card["provenance"]["distilled"] == "alpha 0.2, beta 0.1, 6 steps (arXiv:2506.06278)"
    assert card["provenance"]["self-written text"].endswith(" pieces by the target model, up to 80 blocks of 32 tokens")
    assert "distilled" not in read_json(store.path(runs.plain.scorecard) / "scorecard.json")["provenance"]
    assert set(card["cost"]) >= ADDED
    page = (store.path(runs.noised.report) / "report.html").read_text()
    assert "unlearned before distillation" in page


def test_what_the_model_wrote_itself_stands_beside_the_retain_text_and_names_nobody(runs: Runs) -> None:
    documents = read_documents(runs.noised.records[StageOf("self-written text", "80 blocks of 32")], "retain")
    written = [document.text for document in documents if document.source.startswith("self-written")]
    assert len(documents) > len(written) > 10
    assert not [text for text in written if any(name in text for name in NAMES)]


def test_a_plan_shows_the_stages_and_whether_they_are_there(runs: Runs) -> None:
    found = plan(runs.request, config(ON), METHODS["npo"])
    assert {str(key): state for key, state in found.stages.items() if str(key) in ADDED} == dict.fromkeys(
        ADDED, "cached"
    )
    other = plan(runs.request, config("distillation.noise_alpha=0.4"), METHODS["npo"])
    states = {str(key): state for key, state in other.stages.items()}
    assert (states[WRITTEN], states["distillation"]) == ("cached", "to run")
    guessing = plan(runs.request, config(ON, "distillation.forget_text=false"), METHODS["npo"])
    states = {str(key): state for key, state in guessing.stages.items()}
    assert "teacher cache of forget text" not in states
    assert (states["teacher cache of retain text"], states["distillation"]) == ("cached", "to run")
    with_text = plan(runs.request, config(ON, "distillation.text_share=0.5"), METHODS["npo"])
    states = {str(key): state for key, state in with_text.stages.items()}
    assert (states["teacher cache of retain text"], states["distillation"]) == ("cached", "to run")
    plain = plan(runs.request, config(), METHODS["npo"])
    assert not {str(key) for key in plain.stages} & ADDED
    assert plain.needs["disk"][0] < other.needs["disk"][0]


def test_a_plan_refuses_what_its_run_would(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="a distillation is on retain text, there is none"):
        plan(replace(runs.request, retain=()), config(ON, "distillation.self_written_blocks=0"), METHODS["npo"])


def test_without_retain_text_the_model_writes_all_of_it(runs: Runs) -> None:
    outcome = METHODS["npo"].flow()(replace(runs.request, retain=()), config(ON, "distillation.self_written_blocks=8"))
    documents = read_documents(outcome.records[StageOf("self-written text", "8 blocks of 32")], "retain")
    assert len(documents) >= 8
    assert {document.source.split()[0] for document in documents} == {"self-written"}
    assert outcome.unlearned == outcome.records[StageOf("distillation")]


def test_a_sweep_over_the_noise_scores_what_is_distilled(runs: Runs) -> None:
    grid = {"distillation.noise_alpha": ("0", "0.2", "0.9")}
    swept = sweep(runs.request, config(), method="npo", grid=grid, floor=0.01)
    found = {trial.settings[0].partition("=")[2]: trial.retain_ratio for trial in swept.trials}
    assert len({*found.values()}) == 3
