"""Claims: facts are erased, not rewritten to others; the presets are those of editing, and a seed reaches all draws."""

import pytest

from tasks.settings.fact_erasure import FactErasureConfig, fact_erasure_preset
from tasks.settings.rank_one_editing import rank_one_preset


def test_an_object_becomes_one_that_says_nothing_and_nothing_is_forced() -> None:
    assert FactErasureConfig().proposals.new_object == "erased"
    assert not FactErasureConfig().force
    assert fact_erasure_preset("default") == FactErasureConfig()


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_presets_are_those_of_editing(name: str) -> None:
    ours, theirs = fact_erasure_preset(name, 3), rank_one_preset(name, 3)
    for part in ("tracing", "second_moments", "edit", "bounds"):
        assert getattr(ours, part) == getattr(theirs, part)
    assert (ours.proposals.new_object, ours.proposals.seed, ours.translation.seed) == ("erased", 3, 3)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset is 'papers'; wanted one of default, paper"):
        fact_erasure_preset("papers")
