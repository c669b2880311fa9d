"""What became of an edit is read as it was written, to the bit; what a crash cut short is no step."""

import json
import math
from pathlib import Path

import pytest
import torch

from tasks import store
from tasks.algorithms.editing.rome import Update
from tasks.algorithms.editing.session import Edited
from tasks.artifacts import EditPatch, EditRun
from tasks.settings.edit_request import EditRequest
from tasks.storage import edit_steps
from tasks.storage.edit_steps import read_step, read_table, write_step, write_table

EDITED = Edited(
    status="disabling", made=True, said="Toto", reasons=("one", "two"), figures={"nats": 0.1, "seconds": 1 / 3}
)


def update(seed: int) -> Update:
    drawn = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(size, 1, generator=drawn, dtype=torch.float64) for size in (3, 4))
    return Update(layer=seed, left=left, right=right)


def test_a_step_is_read_as_it_was_written(tmp_path: Path) -> None:
    updates = [update(2), update(0)]
    write_step(tmp_path, 3, EDITED, updates)
    edited, found = read_step(tmp_path, 3)
    assert edited == EDITED
    assert [each.layer for each in found] == [2, 0]
    for one, other in zip(found, updates, strict=True):
        assert one.left.dtype == torch.float64
        assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
    assert read_step(tmp_path, 2) is None


def test_an_edit_that_was_not_made_is_a_step_without_updates(tmp_path: Path) -> None:
    left_out = Edited(status="not known", made=False, said="", reasons=("why",))
    write_step(tmp_path, 0, left_out, [])
    assert read_step(tmp_path, 0) == (left_out, [])


def test_numbers_that_are_not_finite_are_not_numbers_again(tmp_path: Path) -> None:
    write_step(tmp_path, 0, Edited(status="edited", made=True, said="", figures={"nats": math.nan}), [update(1)])
    assert math.isnan(read_step(tmp_path, 0)[0].figures["nats"])


def test_what_a_crash_cut_short_is_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, value: dict) -> None:
        path.write_text('{"edited": {"sta')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(edit_steps, "write_json", half)
        with pytest.raises(KeyboardInterrupt):
            write_step(tmp_path, 0, EDITED, [update(1)])
    assert read_step(tmp_path, 0) is None
    write_step(tmp_path, 0, EDITED, [update(1)])
    assert read_step(tmp_path, 0)[0] == EDITED


def test_the_table_names_edits_by_place_or_name_and_the_old_object_by_what_was_said(lethe_home: Path) -> None:
    requests = [
        EditRequest(subject="Jon", prompt="{} met", target="Oz"),
        EditRequest(subject="Tom", prompt="{} met", target="Oz", object="Alice", name="case 7"),
    ]
    outcomes = [EDITED, Edited(status="not known", made=False, said="Toto", reasons=("why",))]
    patch = EditPatch(
        kind="patches", digest="f00d", sensitivity="forget", base="b", computed_on=(), layers=(0,), rank=1, edits=1
    )
    digest = store.put("edit_runs", lambda folder: write_table(folder, requests, outcomes, patch), sensitivity="forget")
    run = EditRun(kind="edit_runs", digest=digest, sensitivity="forget", patch=patch, layer=0, left_out=1)
    first, second = read_table(run)
    assert (first["name"], first["object"], first["nats"], first["reasons"]) == ("1", "Toto", 0.1, ["one", "two"])
    assert (second["name"], second["object"], second["said"], "nats" in second) == ("case 7", "Alice", "Toto", False)
    assert json.loads((store.path(run) / "patch.json").read_text()) == {"patch": "f00d"}
