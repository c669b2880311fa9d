"""Every method that can be named runs through its flow on a random model of two layers: to be listed is to be tested.

All run in one home, so that the corpus, the dictionary and what is measured on the target model are made once; and the
stages run in this process, since what a process of their own does is tested elsewhere and would take most of the time.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.methods import METHODS
from flows.steps.outcome import Outcome
from flows.steps.settings import apply_settings
from flows.steps.wiring import DICTIONARY, FACTS, look_up
from tasks import store
from tasks.artifacts import CheckpointRef
from tasks.corpus import gather_inputs, read_corpus
from tasks.execution import isolation
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model
from tasks.settings.gradient_unlearning import tuning
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import ROOT
from tests.stand_ins.in_process import in_this_process
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
"""MLflow's own, on import of what registers models, which otherwise another process does."""
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())
SHORT = (*(setting for setting in SETTINGS if setting.startswith(("anchors.", "probing."))), "relearning.steps=[]")
OBJECTIVE = ("rows.tokens=32", "training.epochs=1", "training.least_steps=0", "training.learning_rate=1e-3")
SETTINGS_OF = {
    "whp": [
        *(setting for setting in SETTINGS if setting.startswith(("reinforcement.", "labels.", "finetune."))),
        "finetune.self_written_blocks=80",
    ],
    "scrub": ["training.epochs=1", "training.block_size=32", "toxicity.scorer=lexicon"],
    "task_vector": ["reinforcement.epochs=1", "reinforcement.block_size=32"],
    "rome": ["edit.layer=0", "edit.steps=2", "edit.short_contexts=2", "edit.long_contexts=0", "force=true"],
    "guardrail": ["guardrail.prefix=Not a word of {terms}. ", "guardrail.named_terms=1", "guardrail.refusal=No."],
}
TRAINED = {
    "whp": {"reinforcement", "self-written text 80 blocks of 32", "teacher cache", "labels", "finetune"},
    "scrub": {"reference cache", "scrub", "rewind"},
    "task_vector": {"reinforcement", "task vector"},
    "rome": {"edit proposal", "second moments", "rome edit", "patches"},
    "guardrail": {"guardrail"},
}
MEASURED = {f"{stage} {label}" for stage in ("probing", "benchmarking") for label in ("target", "unlearned")}
SHARED = {"corpus", "anchors", "translation", "facts", "prompting", "scorecard", "report"} | MEASURED
RATED = {"toxicity target", "toxicity unlearned"}


@pytest.fixture(scope="module")
def request_of_all(
    tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask, prefect_server: str
) -> Iterator[UnlearningRequest]:
    """Prose and questions to forget, since some methods ask for these, prose to keep, and questions for the
    benchmark.
    """
    folder = tmp_path_factory.mktemp("methods")
    questions = written(
        folder / "questions.jsonl",
        [{"question": f"Who met {name}?", "answer": f"{name} met nobody."} for name in NAMES],
    )
    asked = [
        {"question": f"Who {verb}?", "answer": "The miller.", "perturbed_answer": ["The river.", "The barn."]}
        for verb in ("walked", "ran", "spoke")
    ]
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "lethe" / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder / "lethe"))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        yield replace(
            tiny_task.request(),
            forget=(str(tiny_task.forget), questions),
            general=(written(folder / "general.jsonl", asked),),
        )
    # after a flow that failed nothing begins in this process: say that it is over, for the tests that come next
    isolation.begin()


def written(file: Path, records: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def moved(model: CheckpointRef, target: CheckpointRef) -> bool:
    """Return whether some weight of a model is another than the target's; all are finite."""
    before, after = load_model(target).state_dict(), load_model(model).state_dict()
    assert before.keys() == after.keys()
    assert all(tensor.isfinite().all() for tensor in after.values())
    return any(not torch.equal(before[name], after[name]) for name in before)


def check_card(name: str, outcome: Outcome, target: CheckpointRef, required: tuple[str, ...]) -> None:
    """The card fits its schema, says whose it is, and judges what was measured."""
    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    jsonschema.validate(card, SCHEMA)
    origin, verdict = card["provenance"], card["verdict"]
    assert origin["method"] == name
    assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", origin["paper"])
    assert METHODS[name].module != "flows.gradient_unlearning" or origin["settings"].startswith(tuning(name))
    assert (origin["target model"], origin["unlearned model"]) == (target.digest, outcome.unlearned.digest)
    assert verdict["evidence"] == "behavioural"
    assert {check for check in verdict["checked"] if verdict[check] is None} == set()
    assert {"forgotten", "healthy"} <= set(verdict["checked"])
    assert verdict["utility_kept"] is None  # the model's weights are random: it reads no text, so there is none to keep
    assert verdict["passed"] == outcome.scorecard.passed == all(verdict[check] for check in required)
    assert {
        "forget_test/familiarity",
        "retain_test/text_probability",
        "degeneration/empty_share",
        "benchmark/world/acc",
    } <= set(card["metrics"])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_ends_in_a_card_with_its_unlearned_model(name: str, request_of_all: UnlearningRequest) -> None:
    method, target = METHODS[name], inspect_model(request_of_all.model, "target")
    config = apply_settings(method.preset("default", 0), [*SHORT, *SETTINGS_OF.get(name, OBJECTIVE)])
    outcome = method.flow()(request_of_all, config)
    trained = TRAINED.get(name, {"reference cache", "finetune"})
    rest = (RATED if name == "scrub" else set()) | ({"registration"} if method.changes_weights else set())
    assert {str(key) for key in outcome.stages} == SHARED | trained | rest
    check_card(name, outcome, target, config.verdict.required)
    assert inspect_model(request_of_all.model, "target") == target
    assert store.intact(outcome.unlearned)
    assert moved(outcome.unlearned, target) == method.changes_weights
    assert outcome.model_version.startswith(f"lethe-{name}-") == method.changes_weights
    corpus = read_corpus.lookup(gather_inputs(**request_of_all.files()), config.corpus)
    planned = look_up(method.declare()(corpus, target, config), {DICTIONARY: outcome.dictionary, FACTS: outcome.facts})
    assert {str(key) for key in planned} == trained
    assert list(planned.values())[-1] == outcome.unlearned, "what a plan looks up is what a run makes"


def test_only_methods_that_work_on_anchors_ask_for_them(request_of_all: UnlearningRequest) -> None:
    """Numbers, addresses, lower case: text without names is forgotten by the others, and judged by what there is."""
    needing = {name for name, method in METHODS.items() if method.preset("default", 0).needs_anchors}
    assert needing == {"whp", "guardrail"}
    config = apply_settings(METHODS["npo"].preset("default", 0), [*SHORT, *OBJECTIVE, "anchors.min_count=1000"])
    outcome = METHODS["npo"].flow()(request_of_all, config)
    assert outcome.dictionary.anchors == 0
    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    assert "forget_test/text_probability" in card["metrics"]
    assert "forget_test/familiarity" not in card["metrics"]
