"""Facts erased from the request to the card: a model that was taught some answers gives none of them afterwards, what
it never knew is left alone and counted, and a model that knows nothing is not handed over.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from transformers import GPT2LMHeadModel

from flows.fact_erasure import account, fact_erasure
from flows.methods import METHODS
from flows.plan import RECOMMENDED, plan
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings
from tasks import store
from tasks.algorithms.text.facts import FactTriple, recommend
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.execution import isolation
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model
from tasks.settings.fact_erasure import FactErasureConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json
from tests.stand_ins.fact_model import Fact, as_words, fact_model, fact_tokenizer, facts, said, text_rows
from tests.stand_ins.in_process import in_this_process

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
"""MLflow's own, on import of what registers models, which otherwise another process does."""
WORLD = facts()
ERASED, KEPT = [WORLD[number] for number in (0, 2, 4, 8)], WORLD[9:]
"""A fact on each of four subjects, and facts on others."""
WRONG = ERASED[-1]
"""What the text says of this one the model does not know: it says something else."""
SETTINGS = [
    "corpus.qa_template=well yes {question} {answer} .\n",
    "anchors.min_log_odds_z=0",
    "probing.window=32",
    "probing.prompts=4",
    "probing.new_tokens=4",
    "relearning.steps=[]",
    "second_moments.least_tokens=500",
    "second_moments.block_size=32",
    "second_moments.ridge=0.01",
    "edit.short_contexts=3",
    "edit.long_contexts=0",
    "proposals.new_object=another",
    "bounds.largest_update=20",
    "bounds.largest_perplexity_ratio=2",
]
"""A word that is never an object cannot be put in an object's place in so small a world, which has no other use for
it."""


def question(fact: Fact, wording: int = 0) -> str:
    return as_words(fact.prompt(wording))


def asked(told: Iterable[Fact], wording: int = 0) -> list[dict[str, str]]:
    return [{"question": question(fact, wording), "answer": as_words([stated(fact)])} for fact in told]


def stated(fact: Fact) -> int:
    return fact.other() if fact == WRONG else fact.answer


def written(file: Path, records: list[dict[str, str]]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


@dataclass(frozen=True, kw_only=True)
class Run:
    request: UnlearningRequest
    outcome: Outcome
    card: dict[str, Any]


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[UnlearningRequest]:
    folder = tmp_path_factory.mktemp("erasure")
    fact_model().save_pretrained(folder / "model")
    fact_tokenizer().save_pretrained(folder / "model")
    (folder / "retain.txt").write_text("\n\n".join(as_words(row) for row in text_rows(80)))
    names = {as_words(fact.subject): "Anna Ford" for fact in ERASED}
    (folder / "anchors.json").write_text(json.dumps(names))
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "lethe" / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder / "lethe"))
        patch.setattr(store, "_checked", set())
        patch.setattr(isolation, "run_isolated", in_this_process)
        yield UnlearningRequest(
            model=str(folder / "model"),
            forget=(written(folder / "forget.jsonl", asked(ERASED)),),
            retain=(str(folder / "retain.txt"), written(folder / "kept.jsonl", asked(KEPT))),
            forget_test=(written(folder / "forget_test.jsonl", asked(ERASED, 1)),),
            retain_test=(written(folder / "retain_test.jsonl", asked(KEPT, 1)),),
            anchors=str(folder / "anchors.json"),
        )
    isolation.begin()


@pytest.fixture(scope="module")
def run(request_: UnlearningRequest) -> Run:
    outcome = fact_erasure(request_, apply_settings(FactErasureConfig(), SETTINGS))
    return Run(request=request_, outcome=outcome, card=read_json(store.path(outcome.scorecard) / "scorecard.json"))


def answers(model: CheckpointRef, told: Sequence[Fact], wording: int = 0) -> list[str]:
    """Return a model's first choice after each question."""
    found = said(load_model(model), [fact.prompt(wording) for fact in told]).argmax(-1)
    return [as_words([int(token)]) for token in found]


def test_what_the_model_knew_it_says_no_longer(run: Run) -> None:
    target, known = inspect_model(run.request.model, "target"), ERASED[:-1]
    assert answers(target, WORLD) == [as_words([fact.answer]) for fact in WORLD]
    pairs = zip(answers(run.outcome.unlearned, known), known, strict=True)
    assert sum(now == as_words([fact.answer]) for now, fact in pairs) <= 1
    metrics = run.card["metrics"]["forget_test/probability"]
    assert metrics["unlearned"] < 0.5 * metrics["target"]


def test_a_fact_that_it_never_knew_is_left_alone_and_the_card_says_so(run: Run) -> None:
    rows = read_table(run.outcome.records[StageOf("rome edit")])
    made = sum(row["made"] for row in rows[:-1])
    assert made >= 2
    assert (rows[-1]["status"], rows[-1]["made"]) == ("not known", False)
    assert run.card["provenance"]["facts erased"].startswith(f"{made} of 4")
    assert "said otherwise before their turn" in run.card["provenance"]["facts erased"]
    assert StageOf("causal tracing") in run.outcome.stages


def test_a_dry_run_recommends_it_for_few_facts_and_finds_what_a_run_made(run: Run) -> None:
    planned = plan(run.request, apply_settings(FactErasureConfig(), SETTINGS), METHODS["rome"])
    assert planned.recommended == "rome"
    assert "4 facts" in planned.facts.reason
    assert {planned.stages[StageOf(name)] for name in ("edit proposal", "rome edit", "patches")} == {"cached"}


def test_a_model_that_knows_nothing_is_not_handed_over(request_: UnlearningRequest, tmp_path: Path) -> None:
    empty_model = GPT2LMHeadModel(fact_model().config)
    with torch.no_grad():
        for parameter in empty_model.parameters():
            parameter.zero_()  # at random weights one of so few words may be right by chance
    empty_model.save_pretrained(tmp_path)
    fact_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match="the model knows none of 4 facts"):
        fact_erasure(replace(request_, model=str(tmp_path)), apply_settings(FactErasureConfig(), SETTINGS))


def test_every_family_that_is_recommended_has_a_method() -> None:
    assert set(RECOMMENDED.values()) <= set(METHODS)
    assert {
        recommend([], [])[0],
        recommend([], [FactTriple(subject="a", prompt="{} b", object="c", source="user")])[0],
    } == (set(RECOMMENDED))


def test_without_retain_text_nothing_is_erased() -> None:
    with pytest.raises(BadInputError, match=r"--method rome without retain text .* wanted --retain FILE"):
        fact_erasure.fn(UnlearningRequest(model="m", forget=("a.txt",)))


def test_what_became_of_the_facts_is_put_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"status": "edited", "made": True},
        {"status": "not known", "made": True, "nats": 9.0},
        {"status": "not known", "made": False},
        {"status": "disabling", "made": False},
    ]
    monkeypatch.setattr("flows.fact_erasure.read_table", lambda edited: rows)
    proposed = type("Proposed", (), {"left_out": 2})
    records = {StageOf("edit proposal"): proposed, StageOf("rome edit"): None}
    assert account(records)["facts erased"] == (
        "2 of 6, 1 of them only weakly; left alone: 1 said otherwise before their turn; 1 whose edit is out of bounds;"
        " 2 that came twice, were too many, or do not fit the model"
    )
    proposed.left_out = 0
    monkeypatch.setattr("flows.fact_erasure.read_table", lambda edited: rows[:1])
    assert account(records) == {"facts erased": "1 of 1"}
