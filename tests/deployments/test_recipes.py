"""Claims: every recipe is complete, says that it was not run here, and reads back as the settings that it names; the
table of what recipes need is what the arithmetic of `--dry-run` gives for shapes that are the models'.
"""

import re
import runpy
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from flows.cli import app
from flows.steps.settings import apply_file, apply_settings, differences, setting_names

ROOT = Path(__file__).parents[2]
MADE = runpy.run_path(str(ROOT / "deployments" / "recipes.py"))
RECIPES = {recipe.name: recipe for recipe in MADE["RECIPES"]}
PARAMETERS = {
    "meta-llama/Llama-2-7b-chat-hf": 6_738_415_616,
    "openai-community/gpt2": 124_439_808,
    "openai-community/gpt2-xl": 1_557_611_200,
}
"""As they are published."""


def test_every_file_is_a_recipe_and_every_recipe_a_file() -> None:
    assert sorted(RECIPES) == sorted(file.stem for file in MADE["FOLDER"].iterdir())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_every_setting_of_its_method_and_no_other(name: str) -> None:
    """Where a setting is new: `python deployments/recipes.py` writes it in."""
    recipe = RECIPES[name]
    config = MADE["settings"](recipe)
    written = yaml.safe_load(recipe.file.read_text())
    assert written == MADE["_plain"](asdict(config))
    assert set(differences(config, recipe.base)) < set(setting_names(config))
    assert MADE["completed"](recipe) == recipe.file.read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_names_does_not_follow_a_default_that_changes(name: str, tmp_path: Path) -> None:
    """A recipe read onto other settings gives the same."""
    recipe = RECIPES[name]
    moved = apply_settings(recipe.base, ["corpus.join_lines=false", "benchmarking.limit=7"])
    assert apply_file(moved, str(recipe.file)) == MADE["settings"](recipe)


def head(name: str) -> str:
    lines = RECIPES[name].file.read_text().splitlines()
    return "\n".join(line[1:].strip() for line in lines if line.startswith("#"))


@pytest.mark.parametrize("name", RECIPES)
def test_its_head_says_where_it_is_from_how_it_is_run_and_that_it_was_not(name: str) -> None:
    assert "not run here" in head(name)
    assert re.search(r"arXiv:\d{4}\.\d{5}", head(name))
    assert re.search(r"^Preflight: .*--dry-run", head(name), re.MULTILINE)
    words = command(name)
    assert words[words.index("--config") + 1] == str(RECIPES[name].file.relative_to(ROOT))
    assert words[words.index("--model") + 1] == RECIPES[name].model
    assert words[:2] == ["lethe", "edit" if RECIPES[name].method == "edit" else "unlearn"]
    assert {word for word in words if word.startswith("--")} <= options(words[1])


def command(name: str) -> list[str]:
    """Return the words of the command in a recipe's head, which goes on where a line ends with a backslash."""
    (found,) = re.findall(r"^Run: (.*(?<=\\)\n.*)$", head(name), re.MULTILINE)
    return shlex.split(found.replace("\\\n", " "))


def options(name: str) -> set[str]:
    """Return the options of a command, as the command line knows them."""
    group: Any = typer.main.get_command(app)
    return {option for each in group.commands[name].params for option in each.opts}


@pytest.mark.parametrize("model", PARAMETERS)
def test_shapes_have_as_many_weights_as_are_published(model: str) -> None:
    assert MADE["shape"](model).parameters == PARAMETERS[model]


def test_the_table_is_what_is_rendered() -> None:
    (shown,) = MADE["PLACE"].findall(MADE["PAGE"].read_text())
    assert shown == MADE["table"]()


def test_a_recipe_that_fits_no_gpu_is_shown_beside_one_that_does() -> None:
    rows = [row.split(" | ") for row in MADE["table"]().splitlines()[2:]]
    assert [row[5] for row in rows] == ["1", "3", "1", "1"]
    assert float(rows[0][3]) < MADE["GPU"] < float(rows[1][3])
