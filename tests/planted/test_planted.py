"""The harness end to end: one case of each kind, judged at every tier, from the cache the second time."""

import json
from pathlib import Path

import pytest

from tasks.settings.verdict import VerdictConfig
from tests.benchmarks.planted import GOOD, Judged, Sizes, judged_anew, run, write
from tests.planted.builders import PLANTS
from tests.planted.confusion import confusion
from tests.planted.judging import TIERS


@pytest.mark.slow
def test_no_bad_kind_passes_with_a_retrained_model_at_hand(flow_home: Path, tmp_path: Path) -> None:
    kept: list[Judged] = []
    found = run([0], [0], Sizes(), VerdictConfig(), keep=kept.append)
    cards = {(case.kind, case.tier): card for case, card in found}
    assert set(cards) == {(kind, tier) for kind in ("untouched", *PLANTS, GOOD) for tier in TIERS}
    assert [case for case, _ in found if case.tier == "gold" and case.kind != GOOD and case.passed] == []
    for kind in ("refusing", "suppressed", "recoverable"):
        back = cards[kind, "gold"]["metrics"]["forget_test/relearned_forget_10_probability"]
        assert back["unlearned"] >= 0.5 * back["target"], kind  # the knowledge was inside
        assert back["retrained"] <= 0.1 * back["target"]
    write(tmp_path / "found.json", kept[-1])
    again = judged_anew(tmp_path / "found.json", VerdictConfig())
    assert (
        confusion([case for case, _ in again], GOOD) == json.loads((tmp_path / "found.json").read_text())["confusion"]
    )
