"""The whole flow with `--lora-rank`: a merged model and an adapter of it are the same model, and the adapter
comes off.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model
from tests.stand_ins.command import lethe
from tests.stand_ins.tiny import TinyTask

pytestmark = pytest.mark.slow

TRAINED = ("reinforcement", "labels", "teacher cache")


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The same request twice in one home: merged, then as an adapter."""

    merged: Path
    adapter: Path
    results: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask) -> Iterator[Runs]:
    folder, results = tmp_path_factory.mktemp("lora"), {}
    for output in ("merged", "adapter"):
        words = tiny_task.words(f"lora.output={output}", "finetune.learning_rate=1e-3")
        ended = lethe(
            *words,
            "--lora-rank",
            "4",
            "--out",
            folder / output,
            "--json",
            folder / f"{output}.json",
            home=folder / "lethe",
        )
        assert ended.returncode == 0, ended.stderr
        results[output] = json.loads((folder / f"{output}.json").read_text())
        assert ("Adapter" in ended.stdout) == (output == "adapter")
    yield Runs(merged=folder / "merged", adapter=folder / "adapter", results=results)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model = load_model(inspect_model(str(folder), "unlearned"))
    return {name: value.detach() for name, value in model.named_parameters()}


def test_the_merged_model_is_a_plain_one_that_differs_from_its_target(runs: Runs, tiny_task: TinyTask) -> None:
    model = AutoModelForCausalLM.from_pretrained(runs.merged / "model", local_files_only=True, use_safetensors=True)
    before = weights(tiny_task.model)
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == [
        name for name in before if "_proj" in name
    ]
    assert runs.results["merged"]["adapter"] is None


def test_the_adapter_is_the_same_model_on_an_untouched_base(runs: Runs, tiny_task: TinyTask) -> None:
    files = {path.name for path in (runs.adapter / "model").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "base.json", "tokenizer.json"} <= files
    assert not {"config.json", "model.safetensors"} & files
    one, two = weights(runs.adapter / "model"), weights(runs.merged / "model")
    assert [name for name in two if not torch.equal(one[name], two[name])] == []
    target = inspect_model(str(tiny_task.model), "target")
    told = runs.results["adapter"]["adapter"]
    assert told["adapter base"] == target.digest == runs.results["adapter"]["scorecard"]["provenance"]["adapter base"]
    assert told["adapter taken off by"] == "loading the base model, whose files were not changed, without the adapter"
    assert target.digest in (runs.adapter / "report.html").read_text()


def test_both_are_judged_alike_and_only_the_last_training_was_done_anew(runs: Runs) -> None:
    merged, adapter = runs.results["merged"], runs.results["adapter"]
    assert adapter["scorecard"]["metrics"] == merged["scorecard"]["metrics"]
    assert {adapter["stages"][stage] for stage in TRAINED} == {"Cached"}
    assert adapter["stages"]["finetune"] == "Completed"
    assert adapter["registered"]
