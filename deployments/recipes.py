"""The recipes of `recipes/`, and the table of what they need in `README.md`.

    python deployments/recipes.py

writes into each recipe the settings that it does not name yet, as its preset has them today, and makes the table anew.
What a recipe names stays as it is, so that a default that changes later changes no recipe. Comments stand at the head.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from flows.methods import METHODS
from flows.steps.needs import GIGABYTE, ModelShape, Needs, editing_needs, model_shape, unlearning_needs
from flows.steps.settings import apply_file
from tasks.settings.rank_one_editing import RankOneEditingConfig, rank_one_preset

FOLDER = Path(__file__).parent / "recipes"
PAGE = Path(__file__).parent / "README.md"
PLACE = re.compile(r"(?<=<!-- table: recipes -->\n).*?(?=<!-- end -->)", re.DOTALL)
GPU = 80.0
"""Gigabytes of one, as the A100 and the H100 have them."""
EDIT = "edit"
"""In place of a method: `lethe edit`."""

GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "meta-llama/Llama-2-7b-chat-hf": {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    },
    "openai-community/gpt2": {**GPT2, "n_embd": 768, "n_layer": 12, "n_head": 12},
    "openai-community/gpt2-xl": {**GPT2, "n_embd": 1600, "n_layer": 48, "n_head": 25},
}
"""Hub name -> what its config.json says of its shape."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run on a model that is not here."""

    name: str
    """Of its file, without ending."""
    method: str
    """In `METHODS`, or `EDIT`."""
    preset: str
    """Where settings come from that the file does not name."""
    model: str
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Split -> tokens that the table counts with."""
    text: str
    """The same in words."""
    advice: str
    """Machine that the source work recommends."""

    @property
    def file(self) -> Path:
        """Where its settings stand."""
        return FOLDER / f"{self.name}.yaml"

    @property
    def base(self) -> Any:
        """All settings of its preset."""
        return rank_one_preset(self.preset) if self.method == EDIT else METHODS[self.method].preset(self.preset, 0)


RECIPES = (
    Recipe(
        name="llama-2-7b-chat-whp",
        method="whp",
        preset="paper",
        model="meta-llama/Llama-2-7b-chat-hf",
        tokens={"forget": 1_000_000},
        text="1,000,000 tokens to forget",
        advice="8 cores, 256 GB, four A100 or H100, 100 GB of disk",
    ),
    Recipe(
        name="gpt2-winobias-scrub",
        method="scrub",
        preset="gpt2-winobias",
        model="openai-community/gpt2",
        tokens={"forget": 5_500, "retain": 5_500},
        text="the 396 pairs of WinoBias, about 5,500 tokens a side",
        advice="none of its own",
    ),
    Recipe(
        name="gpt2-xl-rome",
        method=EDIT,
        preset="default",
        model="openai-community/gpt2-xl",
        text="any",
        advice="8 cores, 64 GB, one GPU, 50 GB of disk",
    ),
)


def settings(recipe: Recipe) -> Any:
    """Return all settings of a recipe."""
    return apply_file(recipe.base, str(recipe.file))


def completed(recipe: Recipe) -> str:
    """Return a recipe's file with every setting of its method: its head, then those that it names and, as the preset
    has them, those that it does not.
    """
    text = recipe.file.read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    return head + yaml.safe_dump(_plain(asdict(settings(recipe))), sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def shape(model: str) -> ModelShape:
    """Return the shape of one of `MODELS`; its weights are counted where none are: on torch's meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**MODELS[model])
    with torch.device("meta"):
        weights = AutoModelForCausalLM.from_config(config).parameters()
    return model_shape(config, sum(each.numel() for each in weights))


def needs(found: ModelShape, tokens: Mapping[str, int], config: Any) -> Needs:
    """Return what `--dry-run` would say of a recipe."""
    if isinstance(config, RankOneEditingConfig):
        return editing_needs(found)
    return unlearning_needs(found, tokens, config)


def table() -> str:
    """Return a row a recipe, and one for the recipe with adapters without them."""
    rows: list[Sequence[str]] = [
        ("recipe", "weights", "text", "memory, GB", "disk, GB", f"GPUs of {GPU:g} GB", "the source work recommends")
    ]
    rows.append(["---"] * len(rows[0]))
    for recipe in RECIPES:
        found, config = shape(recipe.model), settings(recipe)
        rows.append(_row(f"[{recipe.name}](recipes/{recipe.file.name})", recipe, found, config))
        if getattr(config, "lora", None) and config.lora.rank:
            whole = replace(config, lora=replace(config.lora, rank=0))
            rows.append(_row("the same, all weights (`lora.rank=0`)", recipe, found, whole))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str, recipe: Recipe, found: ModelShape, config: Any) -> Sequence[str]:
    needed = needs(found, recipe.tokens, config)
    sizes = (f"{needed.memory:.1f}", f"{needed.disk:.1f}", f"{math.ceil(needed.memory / GPU)}")
    return (name, f"{found.parameters / GIGABYTE:.2f} billion", recipe.text, *sizes, recipe.advice)


def main() -> None:
    """Complete the recipes and make the table anew."""
    for recipe in RECIPES:
        recipe.file.write_text(completed(recipe), encoding="utf-8")
    made = table()
    PAGE.write_text(PLACE.sub(lambda _: made, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
