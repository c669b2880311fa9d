"""The stage: edits become a patch of the base and a table; what is not made is said; a run that was killed ends at
the same bits; MEMIT, earlier patches and a traced layer go the same way.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks import rome_edit as stage_module
from tasks import store
from tasks.artifacts import BadInputError, EditRun, TraceRecords
from tasks.execution import isolation
from tasks.execution.cache_keys import artifacts_in
from tasks.models.loading import load_model, load_tokenizer
from tasks.models.patch_files import read_edits, read_updates
from tasks.models.weights import weights_digest
from tasks.patches import apply_patches
from tasks.storage.edit_files import stored_edits
from tasks.storage.edit_steps import read_step, read_table
from tasks.storage.plain_files import read_json
from tests.stand_ins.edit_stages import BOUNDS, CONFIG, KNOWN, LAYER, UNKNOWN, Given, given_model, own_home

PLANTED = replace(CONFIG, clamp=1e6, learning_rate=1e3, stop_nats=0.0)
"""v* is driven as far as it goes: edits that disable the model."""


@pytest.fixture(scope="module")
def given(
    tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Callable[..., Any], word_tokenizer: Any
) -> Iterator[Given]:
    with own_home(tmp_path_factory.mktemp("home")):
        yield given_model(tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3), word_tokenizer)


@contextmanager
def called_with(key: str) -> Any:
    """Run a stage's body as the orchestrator does: with a key, and so with a workspace."""
    token = isolation._key.set(key)
    try:
        yield store.workspace(key)
    finally:
        isolation._key.reset(token)


def answers(model: Any, tokenizer: Any) -> list[str]:
    rows = [tokenizer(request.question)["input_ids"] for request in KNOWN]
    with torch.no_grad():
        said = [model(input_ids=torch.tensor([row])).logits[0, -1].argmax().item() for row in rows]
    return [tokenizer.decode([token]).strip() for token in said]


def patch_bytes(run: EditRun) -> bytes:
    return (store.path(run.patch) / "patch.safetensors").read_bytes()


def test_edits_become_a_patch_of_the_base_and_a_table(given: Given) -> None:
    run = given.edit((*KNOWN, UNKNOWN))
    assert (run.kind, run.sensitivity, run.layer, run.left_out) == ("edit_runs", "forget", LAYER, 1)
    assert (run.patch.edits, run.patch.rank, run.patch.layers, run.patch.computed_on) == (3, 3, (LAYER,), ())
    assert run.patch.base == weights_digest(given.target)
    assert stored_edits(run.patch) == list(KNOWN)
    rows = read_table(run)
    assert [row["made"] for row in rows] == [True, True, True, False]
    assert [row["name"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["object"] == rows[0]["said"] and rows[3]["object"] == "the Emerald City"
    assert rows[3]["status"] == "not known" and rows[3]["reasons"][0].endswith("wanted 'the Emerald City'")
    assert artifacts_in(run) == [run, run.patch]  # a run whose patch is gone is no cache hit


def test_the_patched_model_says_the_new_objects_and_the_base_is_as_it_was(given: Given) -> None:
    before = weights_digest(given.target)
    tokenizer = load_tokenizer(given.target)
    old = answers(load_model(given.target), tokenizer)
    patched = apply_patches.body(given.target, (given.edit(KNOWN[:1]).patch,), "edited")
    new = answers(load_model(patched), tokenizer)
    assert (old[0] != "Oz", new[0]) == (True, "Oz")
    assert weights_digest(given.target) == before


def test_a_run_that_was_killed_goes_on_after_its_last_edit_and_ends_at_the_same_bits(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed in the middle of writing the second edit, half of whose files are there."""
    alone = given.edit((KNOWN[0], UNKNOWN, *KNOWN[1:]))
    write, steps = stage_module.write_step, []

    def killed(folder: Path, number: int, *step: Any) -> None:
        write(folder, number, *step)
        if number == 2:
            (folder / f"{number:05}.json").rename(folder / f"{number:05}.tmp")
            raise KeyboardInterrupt

    with called_with("rome_edit-test") as workspace:
        monkeypatch.setattr(stage_module, "write_step", killed)
        with pytest.raises(KeyboardInterrupt):
            given.edit((KNOWN[0], UNKNOWN, *KNOWN[1:]))
        assert [read_step(workspace, number) is not None for number in range(4)] == [True, True, False, False]
        monkeypatch.setattr(
            stage_module,
            "write_step",
            lambda folder, number, *step: (steps.append(number), write(folder, number, *step)),
        )
        again = given.edit((KNOWN[0], UNKNOWN, *KNOWN[1:]))
    assert steps == [2, 3]  # what was finished is not done again
    assert patch_bytes(again) == patch_bytes(alone)
    assert again.patch.digest == alone.patch.digest
    drop = {"seconds"}
    rows = [[{k: v for k, v in row.items() if k not in drop} for row in read_table(run)] for run in (alone, again)]
    assert rows[0] == rows[1]


def test_a_planted_disabling_edit_is_caught_reported_and_not_in_the_patch(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of three edits is planted; the others meet the same bounds and are as if it had not been asked for."""
    from tasks.algorithms.editing.session import Session

    edit = Session.edit

    def planting(session: Session, request: Any) -> Any:
        session.config = PLANTED if request is planted else CONFIG
        return edit(session, request)

    planted = None
    without = given.edit((KNOWN[0], KNOWN[2]))
    read = stage_module.stored_edits

    def stored(edits: Any) -> Any:
        nonlocal planted
        requests = read(edits)
        planted = requests[1]
        return requests

    monkeypatch.setattr(stage_module, "stored_edits", stored)
    monkeypatch.setattr(Session, "edit", planting)
    run = given.edit(KNOWN)
    rows = read_table(run)
    assert [row["status"] for row in rows] == ["edited", "disabling", "edited"]
    assert [row["made"] for row in rows] == [True, False, True]
    assert "(bounds.largest_update)" in rows[1]["reasons"][0] and rows[1]["update_share"] > 5
    assert (run.left_out, run.patch.edits) == (1, 2)
    assert patch_bytes(run) == patch_bytes(without)


def test_where_none_is_made_the_reasons_are_said_and_the_edits_own_words_kept_apart(given: Given) -> None:
    """A message of the stage stands in Prefect's log; what it is about, among what is to be forgotten."""
    with pytest.raises(BadInputError, match=r"none of 1 edits was made: 1 not known; wanted facts") as caught:
        given.edit((UNKNOWN,))
    said, _, place = str(caught.value).partition("; what became of each stands in ")
    assert not any(word in said for word in (UNKNOWN.subject, UNKNOWN.target, UNKNOWN.object))
    assert Path(place).is_relative_to(store.home() / "forget")
    (row,) = read_json(Path(place) / "edits.json")
    assert row["reasons"][0].endswith("wanted 'the Emerald City'")
    with pytest.raises(BadInputError, match=r"none of 3 edits was made: 3 disabling; \|Delta W\| is .*; wanted at"):
        given.edit(KNOWN, PLANTED)
    with pytest.raises(BadInputError, match="no fact to rewrite; wanted text that states facts, or edits"):
        given.edit(())


def test_force_makes_what_is_not_known_and_what_is_disabling(given: Given) -> None:
    run = given.edit((KNOWN[0], UNKNOWN), PLANTED, force=True)
    rows = read_table(run)
    assert [(row["status"], row["made"]) for row in rows] == [("disabling", True), ("not known", True)]
    assert (run.left_out, run.patch.edits) == (0, 2)
    assert "wanted 'the Emerald City'" in rows[1]["reasons"][0]


def test_memit_goes_through_the_same_stage(given: Given) -> None:
    config = replace(CONFIG, algorithm="memit", memit_layers=3, memit_moment_weight=0.001)
    run = given.edit((*KNOWN[:2], UNKNOWN), config)
    assert (run.layer, run.patch.layers, run.patch.rank, run.patch.edits) == (LAYER, (0, 1), 2, 2)
    assert [row["made"] for row in read_table(run)] == [True, True, False]
    patched = load_model(apply_patches.body(given.target, (run.patch,), "edited"))
    assert answers(patched, load_tokenizer(given.target))[:2] == ["Oz", "Toto"]
    with pytest.raises(BadInputError, match=r"none of 2 edits was made: 2 disabling; "):
        given.edit(KNOWN[:2], replace(PLANTED, algorithm="memit"))


def test_edits_on_top_of_patches_are_made_on_the_patched_model(given: Given) -> None:
    """And after the same contexts as on the base, so that the model alone makes the difference."""
    first = given.edit(KNOWN[:1]).patch
    second = given.edit((replace(KNOWN[0], object="Oz", target="Toto"),), patches=(first,))
    assert second.patch.computed_on == (first.digest,)
    assert second.patch.base == first.base
    assert read_table(second)[0]["said"] == "Oz"
    patched = load_model(apply_patches.body(given.target, (first, second.patch), "edited"))
    assert answers(patched, load_tokenizer(given.target))[0] == "Toto"
    with pytest.raises(BadInputError, match="not known"):  # of the base
        given.edit((replace(KNOWN[0], object="Oz", target="Toto"),))


def test_one_after_the_other_is_what_stacking_one_on_the_other_is(given: Given) -> None:
    together = read_updates(given.edit(KNOWN[:2]).patch)[0]
    first = given.edit(KNOWN[:1]).patch
    on_top = read_updates(given.edit(KNOWN[1:2], patches=(first,)).patch)[0]
    dense = together.left @ together.right.T
    apart = read_updates(first)[0]
    torch.testing.assert_close(
        dense,
        apart.left @ apart.right.T + on_top.left @ on_top.right.T,
        rtol=1e-3,
        atol=1e-3 * dense.abs().max().item(),
    )


def test_the_layer_is_the_settings_else_the_traces(given: Given) -> None:
    traced = TraceRecords(kind="traces", digest="0" * 64, sensitivity="forget", facts=3, unknown=0, layer=0)
    assert given.edit(KNOWN[:1], traced=traced).layer == LAYER
    assert given.edit(KNOWN[:1], replace(CONFIG, layer=None), traced=traced).patch.layers == (0,)
    with pytest.raises(ValueError, match=r"edit\.layer is not set and nothing was traced"):
        given.edit(KNOWN[:1], replace(CONFIG, layer=None))
    with pytest.raises(ValueError, match="layer is 7; wanted 0 to 1"):
        given.edit(KNOWN[:1], replace(CONFIG, layer=7))


def test_a_table_whose_numbers_are_not_finite_is_json(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.algorithms.editing import session

    monkeypatch.setattr(
        session, "compare", lambda *given: {"perplexity_ratio": float("nan"), "changed_share": float("inf")}
    )
    run = given.edit(KNOWN[:1], bounds=BOUNDS, force=True)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    (row,) = json.loads((store.path(run) / "edits.json").read_text(), parse_constant=refuse)
    assert (row["perplexity_ratio"], row["changed_share"], row["status"]) == (None, None, "disabling")
    assert read_edits(store.path(run.patch))
