"""`lethe edit` and `lethe trace` on a small model whose facts are known: what is edited is said, others are left alone,
and nothing that cannot be edited is edited in silence.
"""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from safetensors.torch import load_file

from flows.rank_one_editing import EditingOutcome, rank_one_editing
from flows.single_editing import single_editing
from flows.tracing import trace
from tasks import store, tracking
from tasks.algorithms.editing.knowledge import answer_of
from tasks.algorithms.world.fact_edits import edit_requests
from tasks.algorithms.world.fact_text import FactText
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.artifacts import BadInputError
from tasks.execution import isolation
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import EditBounds, EditConfig, RankOneEditingConfig
from tasks.settings.tracing import TracingConfig
from tasks.storage.edit_files import write_edits
from tasks.storage.edit_records import SCORES
from tasks.storage.edit_steps import read_table
from tasks.storage.plain_files import read_json
from tests.stand_ins.command import ROOT, called
from tests.stand_ins.databases import give_runs
from tests.stand_ins.facts import SMALL_WORLD, TrainedFacts

WORLD = build_fact_world(SMALL_WORLD)
ASKED = edit_requests(WORLD, purpose="figures")
CONFIG = RankOneEditingConfig(
    tracing=TracingConfig(facts=6, draws=4), edit=EditConfig(short_contexts=4, long_contexts=4)
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """The model, its world's text, and facts to trace."""

    model: Path
    text: Path
    facts: Path
    known: tuple[EditRequest, ...]
    """Edits of facts that the model knows."""

    def request(self, *edits: EditRequest, **more: Any) -> EditingRequest:
        return EditingRequest(
            model=str(self.model), edits=edits, facts=(str(self.facts),), text=(str(self.text),), **more
        )


@pytest.fixture(scope="module")
def given(small_fact_model: TrainedFacts, tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("facts")
    text = FactText(WORLD)
    rows = [json.dumps({"text": text.document(number, -2).text}) for number in range(300)]
    (folder / "text.jsonl").write_text("\n".join(rows))
    write_edits(folder / "known.jsonl", edit_requests(WORLD, purpose="tuning")[:8])
    model, tokenizer = small_fact_model.load()
    subjects = {request.subject: request for request in ASKED}  # an edit of a small model is felt by all of a subject
    known = tuple(one for one in list(subjects.values())[:12] if answer_of(model, tokenizer, one).known)
    return Given(model=small_fact_model.folder, text=folder / "text.jsonl", facts=folder / "known.jsonl", known=known)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[Path]:
    """One for all: the facts that a model is traced and measured on are the same in each."""
    folder = tmp_path_factory.mktemp("editing") / "lethe"
    give_runs(folder)
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(folder / "results")}),
    ):
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        yield folder
    # after flows that failed nothing begins in this process: say that they are over, for the tests that come next
    isolation.begin()


@pytest.fixture
def running(home: Path) -> Iterator[Path]:
    before = signal.getsignal(signal.SIGINT)
    yield home
    signal.signal(signal.SIGINT, before)


def card_of(outcome: EditingOutcome) -> dict[str, Any]:
    return read_json(store.path(outcome.scorecard) / "scorecard.json")


def test_facts_are_rewritten_judged_kept_as_a_patch_and_scored_again_when_more_follow(
    given: Given, running: Path
) -> None:
    first = rank_one_editing(given.request(*given.known[:3]), CONFIG)
    rows = read_table(first.run)
    assert [(row["status"], row["made"], row["said"]) for row in rows] == [
        ("edited", True, request.object) for request in given.known[:3]
    ]
    card = card_of(first)
    jsonschema.validate(card, read_json(ROOT / "tests" / "schemas" / "scorecard.v1.json"))
    metrics = card["metrics"]
    assert (metrics["edit/es"]["target"], metrics["edit/es"]["unlearned"], metrics["edit/es"]["n"]) == (0.0, 1.0, 3)
    assert metrics["edit/ns"]["unlearned"] >= 0.7
    assert first.traced and first.run.layer == first.traced.layer

    before, after = (
        load_file(given.model / "model.safetensors"),
        load_file(store.path(first.edited) / "model.safetensors"),
    )
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == [f"transformer.h.{first.run.layer}.mlp.c_proj.weight"]
    assert (first.run.patch.edits, first.run.patch.rank, first.run.patch.computed_on) == (3, 3, ())

    again = rank_one_editing(given.request(*given.known[:3]), CONFIG)
    assert set(again.stages.values()) == {"Cached"}

    more = replace(given.request(given.known[3]), model=str(store.path(first.edited)))
    second = rank_one_editing(more, CONFIG)
    assert second.run.patch.computed_on == (first.run.patch.digest,)
    assert second.run.patch.base == first.run.patch.base
    assert card_of(second)["metrics"]["edit/es"]["n"] == 4

    report = (store.path(first.report) / "report.html").read_text()
    redacted = (store.path(first.redacted_report) / "report-redacted.html").read_text()
    for request in given.known[:3]:
        assert request.subject in report
        assert request.subject not in redacted
    run = tracking.client().get_run(first.mlflow_run)
    assert (run.info.status, run.data.tags["lethe.method"]) == ("FINISHED", "rome")
    assert run.data.metrics["edit/es"] == 1.0
    logged = {file.path for file in tracking.client().list_artifacts(first.mlflow_run, "forget/patch")}
    assert logged == {f"forget/patch/{name}" for name in ("patch.safetensors", "patch.json", "edits.jsonl")}


def test_what_the_model_does_not_know_is_said_and_left_alone(given: Given, running: Path) -> None:
    wrong = replace(given.known[1], object=given.known[1].target, target=given.known[1].object)
    outcome = rank_one_editing(given.request(given.known[0], wrong), CONFIG)
    rows = read_table(outcome.run)
    assert [(row["status"], row["made"]) for row in rows] == [("edited", True), ("not known", False)]
    assert rows[1]["reasons"] == [f"the model says {given.known[1].object!r}; wanted {wrong.object!r}"]
    assert (outcome.run.left_out, outcome.run.patch.edits) == (1, 1)
    assert any("were not made" in words for words in card_of(outcome)["limits"])
    with pytest.raises(
        BadInputError, match=r"none of 1 edits was made: 1 not known; wanted facts that the model knows"
    ):
        rank_one_editing(given.request(wrong), CONFIG)


def test_a_disabling_edit_is_reported_and_not_made_unless_forced(given: Given, running: Path) -> None:
    planted = replace(CONFIG, edit=replace(CONFIG.edit, clamp=200.0, learning_rate=30.0, steps=3, stop_nats=0.0))
    with pytest.raises(BadInputError, match=r"1 disabling; \|Delta W\| is .* of \|W\|; wanted at most"):
        rank_one_editing(given.request(given.known[0]), planted)
    forced = rank_one_editing(given.request(given.known[0], force=True), planted)
    (row,) = read_table(forced.run)
    assert (row["status"], row["made"]) == ("disabling", True)
    assert row["update_share"] > EditBounds().largest_update
    assert card_of(forced)["verdict"]["passed"] is False


def test_many_at_once(given: Given, running: Path) -> None:
    config = replace(CONFIG, edit=replace(CONFIG.edit, algorithm="memit", memit_layers=2, layer=0))
    outcome = rank_one_editing(given.request(*given.known[:4]), config)
    assert (outcome.run.patch.layers, outcome.traced) == ((0,), None)
    assert card_of(outcome)["metrics"]["edit/es"]["unlearned"] >= 0.75


def test_each_alone_hands_over_nothing(given: Given, running: Path) -> None:
    outcome = single_editing(given.request(*given.known[:4], each=True), CONFIG)
    metrics = read_json(store.path(outcome.scores) / SCORES)["metrics"]
    assert metrics["edit/es"]["unlearned"] == 1.0
    assert metrics["edit/es"]["n"] == outcome.scores.edits == 4
    assert not any(key.stage in ("patches", "registration") for key in outcome.stages)


def test_mend_is_refused_where_it_has_no_facts_to_learn_from(given: Given, running: Path) -> None:
    config = replace(CONFIG, edit=replace(CONFIG.edit, algorithm="mend"))
    with pytest.raises(BadInputError, match=r"MEND learns to edit from facts that are not edited; wanted --facts FILE"):
        single_editing(replace(given.request(given.known[0], each=True), facts=()), config)


def test_a_trace_finds_the_layer_and_its_neurons(given: Given, running: Path) -> None:
    outcome = trace(EditingRequest(model=str(given.model), edits=given.known[:5]), CONFIG)
    folder = store.path(outcome.traced)
    assert outcome.traced.facts == 5
    assert (folder / "average.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list(folder.glob("fact-*.png"))) == 5
    found = read_json(store.path(outcome.neurons) / "neurons.json")
    assert (found["layer"], len(found["facts"])) == (outcome.traced.layer, 5)
    assert all(row["gap"] <= 0.01 for row in found["facts"])


ONE = ("--subject", "Orla Finch", "--prompt", "{} lives in", "--target", "Harrow")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--subject", "Orla", "--prompt", "She lives in", "--target", "Oz"),
            "the subject 'Orla' is not in the prompt",
        ),
        (("--subject", "Orla", "--prompt", "{} lives in"), "--target missing; wanted --subject, --prompt, --target"),
        ((*ONE, "--erase"), "--erase and --target Harrow contradict each other"),
        (("--subject", "Orla", "--prompt", "{} lives in", "--target", "a " * 21), "tokens; wanted at most 20"),
        ((), "there is nothing to edit"),
        (
            (*ONE, "--each", "--out", "somewhere"),
            "--each makes every edit alone and hands no model over; wanted no --out",
        ),
        ((*ONE, "--on", "0123456789abcdef"), "the store has none that begins so"),
        ((*ONE, "--set", "edit.algorithm=fast"), "edit.algorithm is 'fast'; wanted one of rome, memit"),
        ((*ONE, "--preset", "best"), "preset is 'best'; wanted one of default, paper"),
    ],
)
def test_bad_input_is_one_line(given: Given, lethe_home: Path, words: tuple[str, ...], said: str) -> None:
    ended = called("edit", "--model", given.model, *words, home=lethe_home)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said in ended.stderr


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (('{"subject": "A", "prompt": "{} is", "target": "b"}', "{"), "edits.jsonl, line 2: "),
        (('{"subject": "A", "prompt": "{} is", "target": ""}',), "line 1: the target"),
        (
            (
                '{"subject": "A", "prompt": "{} is", "target": "b"}',
                '{"subject": "A", "prompt": "{} is", "target": "c"}',
            ),
            "are in conflict",
        ),
    ],
)
def test_bad_files_of_edits_are_one_line(
    given: Given, lethe_home: Path, tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    (tmp_path / "edits.jsonl").write_text("\n".join(lines))
    ended = called("edit", "--model", given.model, "--edits", tmp_path / "edits.jsonl", home=lethe_home)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said in ended.stderr


def test_an_architecture_that_cannot_be_edited_is_refused_with_the_list(
    given: Given, lethe_home: Path, tmp_path: Path
) -> None:
    for file in given.model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "mamba"}))
    ended = called("edit", "--model", tmp_path, *ONE, home=lethe_home)
    assert ended.returncode == 2
    assert "model type 'mamba' cannot be edited; wanted one of gpt2, " in ended.stderr
