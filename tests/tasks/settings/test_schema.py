"""Settings classes: their prose is found, that of ancestors too; words that are no choice are refused; nothing heavy is
imported for them.
"""

import dataclasses
import math
import sys
from typing import Any, Literal

import pytest

from tasks.settings.schema import check_choices, prose, settings
from tests.stand_ins.command import ROOT
from tests.stand_ins.waiting import run_to_end


@settings
class Training:
    """How it is done."""

    pace: Literal["slow", "fast"] = "slow"
    """How fast;
    `slow` is better.
    """
    steps: int = 1
    """Steps, >= 1."""
    silent: bool = False


@settings
class Finetuning(Training):
    """How it is done at the end."""

    # a reason
    steps: int = 3
    """Steps at the end, >= 1."""
    seed: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        """Nothing."""
        check_choices(self, "finetuning")


def test_prose_is_that_of_the_nearest_class_and_in_the_order_of_the_fields() -> None:
    own = {"pace": "How fast;\n`slow` is better.", "steps": "Steps, >= 1."}
    assert prose(Training) == own
    assert list(prose(Finetuning).items()) == list(
        (own | {"steps": "Steps at the end, >= 1.", "seed": "Seed."}).items()
    )


def test_a_settings_class_is_a_frozen_dataclass_whose_fields_are_given_by_name() -> None:
    assert Finetuning(seed=2) == dataclasses.replace(Finetuning(), seed=2)
    with pytest.raises(TypeError, match="positional"):
        Finetuning("slow")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Finetuning().seed = 1


@pytest.mark.parametrize("found", ["quick", "", 3, None, ["slow"]])
def test_a_word_that_is_no_choice_is_refused_by_its_full_name(found: Any) -> None:
    with pytest.raises(ValueError, match=r"^finetuning\.pace is ") as caught:
        Finetuning(pace=found)
    assert str(caught.value) == f"finetuning.pace is {found!r}; wanted one of slow, fast"
    with pytest.raises(ValueError, match=r"^pace is "):
        check_choices(Training(pace=found))


def test_settings_are_imported_without_libraries_and_without_reading_source() -> None:
    code = """
import importlib, pkgutil, sys, tasks.settings
for module in pkgutil.walk_packages(tasks.settings.__path__, "tasks.settings."):
    importlib.import_module(module.name)
from tasks.settings.schema import prose
print(prose.cache_info().currsize, "linecache" in sys.modules and len(sys.modules["linecache"].cache), *sys.modules)
"""
    ended = run_to_end([sys.executable, "-c", code], cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    described, sources, *loaded = ended.stdout.split()
    assert "tasks.settings.scrub" in loaded
    assert (described, sources) == ("0", "0")
    assert not {"torch", "transformers", "pydantic", "prefect", "numpy", "pandas", "yaml"} & set(loaded)


@settings
class Unchecked:
    """Settings without checks of their own."""

    count: int = 1
    share: float = 0.5
    several: tuple[float, ...] = ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 10**12}, r"count is 1e\+12; wanted a whole number up to 4294967295"),
        ({"count": -(10**20)}, r"count is -1e\+20; wanted"),
        ({"count": 10**400}, r"count is beyond all numbers; wanted"),
        ({"share": math.nan}, r"share is not a number \(nan\); wanted one"),
        ({"several": (1.0, math.nan)}, r"several is not a number"),
    ],
)
def test_numbers_that_no_setting_can_be_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Unchecked(**changes)
    assert Unchecked(count=2**32 - 1, share=math.inf).share == math.inf
