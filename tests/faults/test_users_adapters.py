"""Claims: an adapter that peft alone wrote is its base with it, where the base is a folder here; every other adapter is
refused plainly, and nothing is fetched or run for it (`plain_adapters`).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tasks.artifacts import BadInputError
from tasks.models.checkpoints import base_of, inspect_model, is_adapter
from tasks.models.loading import load_model, load_tokenizer

KIND = "users' adapters"
Property = Callable[[str, object], None]
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def rewrite(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


@pytest.fixture
def adapted(tmp_path: Path, tiny_llama: Any, tiny_tokenizer: Any, lethe_home: Path) -> Path:
    """A folder as peft writes it, whose base is a folder beside it, and what the two say together."""
    base = tmp_path / "base"
    tiny_llama(0).save_pretrained(base)
    tiny_tokenizer.save_pretrained(base)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True)
    model = get_peft_model(tiny_llama(0), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
        torch.save(model(IDS).logits, tmp_path / "said.pt")
    model.save_pretrained(tmp_path / "adapter")
    rewrite(tmp_path / "adapter", "adapter_config.json", base_model_name_or_path=str(base))
    return tmp_path / "adapter"


def test_a_plain_adapter_is_its_base_with_it(adapted: Path) -> None:
    checkpoint = inspect_model(str(adapted), "target")
    assert is_adapter(checkpoint)
    assert base_of(Path(checkpoint.location)).location == str(adapted.parent / "base")
    with torch.no_grad():
        found = load_model(checkpoint)(IDS).logits
    torch.testing.assert_close(found, torch.load(adapted.parent / "said.pt"), atol=1e-5, rtol=1e-5)
    assert load_tokenizer(checkpoint).is_fast
    assert inspect_model(str(adapted), "target").digest == checkpoint.digest


def test_its_digest_is_also_that_of_its_base(adapted: Path, tiny_llama: Any) -> None:
    before = inspect_model(str(adapted), "target").digest
    tiny_llama(7).save_pretrained(adapted.parent / "base")
    assert inspect_model(str(adapted), "target").digest != before


def test_a_base_beside_the_adapter_is_found(adapted: Path) -> None:
    rewrite(adapted, "adapter_config.json", base_model_name_or_path="../base")
    assert is_adapter(inspect_model(str(adapted), "target"))


BARRED: dict[str, tuple[dict[str, Any], str]] = {
    "a hub name": (
        {"base_model_name_or_path": "meta-llama/Llama-3.2-1B"},
        "'meta-llama/Llama-3.2-1B', which is no model",
    ),
    "no base": ({"base_model_name_or_path": None}, "an adapter whose base is None"),
    "itself": ({"base_model_name_or_path": "."}, "is no model folder here"),
    "IA3": ({"peft_type": "IA3"}, "more than A and B of some layers (IA3)"),
    "prompt tuning": ({"peft_type": "PROMPT_TUNING"}, "wanted plain LoRA"),
    "an embedding beside": ({"modules_to_save": ["embed_tokens"]}, "(modules_to_save)"),
    "DoRA": ({"use_dora": True}, "(use_dora)"),
    "a bias": ({"bias": "all"}, "(a bias)"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "a base that peft changed when it was made"),
    "code of its own": ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "(megatron_config)"),
}


def test_other_adapters_are_refused_plainly(adapted: Path, record_property: Property) -> None:
    settings = (adapted / "adapter_config.json").read_text()
    escaped = {}
    for name, (changes, wanted) in BARRED.items():
        (adapted / "adapter_config.json").write_text(settings)
        rewrite(adapted, "adapter_config.json", **changes)
        try:
            inspect_model(str(adapted), "target")
            escaped[name] = "was taken"
        except BadInputError as error:
            if wanted not in str(error):
                escaped[name] = str(error)
    record_property("tried", len(BARRED))
    record_property("held", len(BARRED) - len(escaped))
    assert not escaped


@pytest.mark.parametrize("content", [b"[]", b"{", b'"LORA"', b"[" * 5000, b"{}"])
def test_settings_that_are_none_are_refused(content: bytes, adapted: Path) -> None:
    (adapted / "adapter_config.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"adapter_config\.json cannot be read"):
        inspect_model(str(adapted), "target")


def test_tensors_that_are_no_factors_are_refused(adapted: Path) -> None:
    tensors = load_file(adapted / "adapter_model.safetensors")
    save_file(
        tensors | {"base_model.model.model.embed_tokens.weight": torch.zeros(2, 2)},
        adapted / "adapter_model.safetensors",
    )
    with pytest.raises(BadInputError, match=r"embed_tokens\.weight; wanted A and B of some layers alone"):
        inspect_model(str(adapted), "target")
    (adapted / "adapter_model.safetensors").unlink()
    (adapted / "adapter_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(BadInputError, match="wanted it as safetensors"):
        inspect_model(str(adapted), "target")
