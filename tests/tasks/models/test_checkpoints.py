"""Claims: a model that asks for code of its own is refused by name before anything is loaded, unless the library knows
its type; damaged and hostile files of a model are refused with the file's name.
"""

import json
import shutil
from pathlib import Path

import pytest
from transformers import GPT2LMHeadModel

from tasks.artifacts import BadInputError
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model, load_tokenizer
from tests.stand_ins.fact_model import fact_model, fact_tokenizer

HEADERS = {
    "a list": b"[]",
    "no tensor": b'{"a": 1}',
    "a shape of words": b'{"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}}',
    "nested": b"[" * 5000,
    "too large": b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}',
}
MARK = "import pathlib; pathlib.Path({!r}).touch()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fact_model().save_pretrained(tmp_path / "model")
    fact_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def with_code(folder: Path, model_type: str) -> Path:
    """Let a model's config name code beside it, which leaves a mark where it is run; return the mark."""
    mark = folder.parent / "ran"
    (folder / "own.py").write_text(MARK.format(str(mark)))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": model_type, "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    return mark


def test_code_of_a_models_own_is_refused_by_name(folder: Path, lethe_home: Path) -> None:
    mark = with_code(folder, "other")
    with pytest.raises(BadInputError, match=r"names code of the model's own \(auto_map\), which is never"):
        inspect_model(str(folder), "target")
    assert not mark.exists()


def test_a_type_that_the_library_knows_is_loaded_with_its_code(folder: Path, lethe_home: Path) -> None:
    mark = with_code(folder, "gpt2")
    checkpoint = inspect_model(str(folder), "target")
    assert isinstance(load_model(checkpoint), GPT2LMHeadModel)
    load_tokenizer(checkpoint)
    assert not mark.exists()


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_weights_are_refused(name: str, folder: Path, lethe_home: Path) -> None:
    header = HEADERS[name]
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    with pytest.raises(BadInputError, match=r"model\.safetensors is damaged"):
        inspect_model(str(folder), "target")


def test_a_header_of_any_claimed_length_is_refused(folder: Path, lethe_home: Path) -> None:
    (folder / "model.safetensors").write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(BadInputError, match=r"model\.safetensors is damaged"):
        inspect_model(str(folder), "target")


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, '"x"'])
def test_a_config_that_is_no_object_is_refused(content: str, folder: Path, lethe_home: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(BadInputError, match=r"config\.json .* wanted a JSON object"):
        inspect_model(str(folder), "target")


def test_parameters_are_counted_from_the_files_that_are_loaded(folder: Path, lethe_home: Path) -> None:
    count = inspect_model(str(folder), "target").parameters
    assert count == sum(parameter.numel() for parameter in fact_model().parameters())
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert inspect_model(str(folder), "target").parameters == count


def test_shards_that_are_missing_are_named(folder: Path, lethe_home: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(
        BadInputError, match=r"index\.json names model-00002-of-00002\.safetensors; wanted files beside"
    ):
        inspect_model(str(folder), "target")
