"""`lethe patch`: shown, applied, stacked, taken out to the bit, exported; never another model than was asked for."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from peft import PeftModel

from flows.patching import PatchedModel
from flows.terminal.patches import handed_over
from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.models.patched_models import LIST
from tasks.models.weights import folder_digest
from tasks.patches import apply_patches
from tests.reference.patches import added
from tests.stand_ins.command import called
from tests.stand_ins.patches import as_folder, logits, put_patch, random_update, reloaded

WEIGHT = "transformer.h.0.mlp.c_proj.weight"


@dataclass(frozen=True, kw_only=True)
class Given:
    """A base and three patches, each computed on those before it."""

    home: Path
    folder: Path
    base: CheckpointRef
    patches: tuple[EditPatch, ...]

    def lethe(self, *words: str | Path) -> CompletedProcess[str]:
        """Call `lethe patch`."""
        return called("patch", *words, home=self.home)

    def made(self, out: str, *words: str | Path) -> dict[str, Any]:
        """Call it, and return its result; the model is in folder `out`."""
        result = self.folder / f"{out}.json"
        ended = self.lethe(*words, "--out", self.folder / out, "--json", result)
        assert ended.returncode == 0, ended.stderr
        return {**json.loads(result.read_text()), "said": ended.stdout}


def as_given(home: Path, folder: Path, model: Any, tokenizer: Any) -> Given:
    base = as_folder(model, tokenizer, folder / "base")
    patches: tuple[EditPatch, ...] = ()
    for seed in (1, 2, 3):
        patches = (*patches, put_patch(base, random_update(seed), on=patches, edits=seed))
    return Given(home=home, folder=folder, base=base, patches=patches)


@pytest.fixture
def given(lethe_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> Given:
    return as_given(lethe_home, tmp_path, tiny_gpt2(0), tiny_tokenizer)


@pytest.fixture
def running(flow_home: Path, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any) -> Iterator[Given]:
    """Where flows can run; the command's own handler of Ctrl-C goes again."""
    before = signal.getsignal(signal.SIGINT)
    yield as_given(flow_home, tmp_path, tiny_gpt2(0), tiny_tokenizer)
    signal.signal(signal.SIGINT, before)


def test_patches_are_applied_taken_out_stacked_and_exported(running: Given) -> None:
    base, (first, second, third) = running.base.location, running.patches
    whole = running.made("whole", "apply", first.digest[:10], second.digest, third.digest, "--model", base)
    assert [patch["digest"] for patch in whole["patches"]] == [patch.digest for patch in running.patches]
    assert (whole["base"]["weights"], whole["edits"], whole["score_again"]) == (first.base, 6, False)
    before, after = reloaded(running.folder / "base"), reloaded(running.folder / "whole")
    own = [random_update(seed) for seed in (1, 2, 3)]
    wanted = added(before.state_dict()[WEIGHT].T, [(update.left, update.right) for update in own])
    torch.testing.assert_close(after.state_dict()[WEIGHT].T.double(), wanted, atol=1e-6, rtol=0)
    assert (logits(after) - logits(before)).abs().max() > 1e-2

    left = running.made("left", "revert", second.digest[:10], "--model", running.folder / "whole")
    never = running.made("never", "apply", first.digest, third.digest, "--model", base)
    for name in ("model.safetensors", LIST, "config.json", "tokenizer.json"):
        assert (running.folder / "left" / name).read_bytes() == (running.folder / "never" / name).read_bytes()
    for result in (left, never):
        assert result["score_again"]
        assert result["notes"] == [
            f"patch {third.digest[:16]} was computed on other patches than it now stands on ({first.digest[:16]})"
        ]
        assert "Score every edit left again: 4." in result["said"]

    back = running.made("back", "stack", second.digest, "--model", running.folder / "left")
    assert [patch["digest"] for patch in back["patches"]] == [first.digest, third.digest, second.digest]
    assert len(back["notes"]) == 2
    bare = running.made("bare", "revert", first.digest, third.digest, second.digest, "--model", running.folder / "back")
    assert (bare["patches"], "No patch is left: this is the base." in bare["said"]) == ([], True)
    assert folder_digest(running.folder / "bare") == first.base
    assert not (running.folder / "bare" / LIST).exists()

    exported = running.made("adapter", "export", first.digest, second.digest, third.digest, "--format", "peft")
    assert exported["model"] == str(running.folder / "adapter")
    beside = PeftModel.from_pretrained(before, str(running.folder / "adapter"))
    torch.testing.assert_close(logits(beside), logits(after), atol=1e-5, rtol=0)

    run = tracking.client().get_run(whole["mlflow_run"])
    assert (run.data.params["base"], run.data.metrics["edits"], run.info.status) == (first.base, 6.0, "FINISHED")
    noted = tracking.client().get_run(left["mlflow_run"]).data.tags["lethe.score_again"]
    assert third.digest[:16] in noted
    assert "Velmora" not in json.dumps([run.data.params, run.data.tags])


def test_a_patch_is_shown_with_what_it_edits_and_what_it_belongs_to(given: Given, tmp_path: Path) -> None:
    first, second, _ = given.patches
    ended = given.lethe("show", second.digest[:8], "--json", tmp_path / "patch.json")
    assert ended.returncode == 0, ended.stderr
    shown = " ".join(ended.stdout.split())
    norm = f"{random_update(2).norm:.4g}"
    for words in (second.digest[:16], norm, "Velmora 1", "Ostrin [1]", first.base[:16], given.base.location):
        assert words in shown
    assert f"Computed on {first.digest[:16]}" in shown
    value = json.loads((tmp_path / "patch.json").read_text())
    assert (value["digest"], value["computed_on"], value["layers"][0]["rank"]) == (second.digest, [first.digest], 1)
    assert [row["target"] for row in value["requests"]] == ["Ostrin [1]"] * 2


def test_what_does_not_belong_together_is_one_line_and_exit_status_2(
    given: Given, tmp_path: Path, tiny_gpt2: Any, tiny_tokenizer: Any
) -> None:
    first, second, _ = given.patches
    other = as_folder(tiny_gpt2(5), tiny_tokenizer, tmp_path / "other").location
    base = given.base.location
    full = tmp_path / "full"
    full.mkdir()
    (full / "model.safetensors").touch()
    cases = {
        ("apply", first.digest, "--model", other): (first.base[:16], folder_digest(Path(other))[:16]),
        ("apply", "nowhere", "--model", base): ("patch nowhere: there is no such folder",),
        ("apply", first.digest, first.digest, "--model", base): ("comes twice",),
        ("apply", first.digest, "--model", str(tmp_path / "nothing")): ("there is no such folder",),
        ("apply", first.digest, "--model", base, "--out", str(full)): ("full is not empty",),
        ("revert", first.digest, "--model", base): ("is not in the model; wanted one of its patches: none",),
        ("export", first.digest, "--format", "gguf"): ("--format gguf: unknown; wanted peft",),
        ("export", first.digest, "--base", other): ("has the weights",),
        ("show", base): ("is no patch: no patch.safetensors there",),
    }
    for words, messages in cases.items():
        ended = given.lethe(*words)
        assert (ended.returncode, ended.stdout) == (2, ""), words
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        for message in messages:
            assert message in ended.stderr, ended.stderr
    assert not (given.home / "checkpoints").exists()
    shutil.rmtree(base)
    ended = given.lethe("export", second.digest)
    assert ended.returncode == 2
    assert f"{base}, where it was last seen, is not there; wanted its folder, as --base" in ended.stderr


def test_what_is_handed_over_is_looked_at(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = apply_patches.body(given.base, given.patches, "edited")
    made = PatchedModel(
        model=edited,
        base=given.base,
        weights=given.patches[0].base,
        patches=given.patches,
        mlflow_run="",
        flow_run="",
        flow_run_name="",
    )
    copy = handed_over(made, str(tmp_path / "copy"))
    assert folder_digest(copy) == folder_digest(store.path(edited)) != made.weights
    assert not (copy / store.MANIFEST).exists()
    copyfile = shutil.copyfile

    def of_the_base(source: Path, target: Path) -> Path:
        return copyfile(Path(given.base.location) / source.name if source.suffix == ".safetensors" else source, target)

    monkeypatch.setattr(shutil, "copyfile", of_the_base)
    with pytest.raises(BadInputError, match="are not those that its patches gave"):
        handed_over(made, str(tmp_path / "wrong"))
