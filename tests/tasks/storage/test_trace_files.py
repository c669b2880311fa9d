"""Traces are read as they were written, more than ten of them in their order; what is not finite is null."""

import math
from pathlib import Path

import pytest
import torch

from tasks import store
from tasks.algorithms.editing.causal_tracing import Trace
from tasks.algorithms.editing.effects import Effect
from tasks.artifacts import TraceRecords
from tasks.storage.trace_files import (
    TracedFact,
    edited_layer,
    read_effects,
    read_grids,
    read_traced_facts,
    write_traces,
)

FACTS = [
    TracedFact(
        subject=f"José {number}",
        prompt="{} met",
        object="Tom",
        tokens=("José", f" {number}", " met"),
        span=(0, 2),
        clean=0.5,
        corrupted=0.25,
    )
    for number in range(12)
]
TRACES = [
    Trace(
        clean=0.5,
        corrupted=0.25,
        restored={"mlp": torch.full((2, 3), float(number)), "hidden": torch.rand(2, 3)},
        subject=(0, 2),
    )
    for number in range(12)
]
EFFECT = Effect(state="mlp", role="last subject token", layer=1, mean=0.2, low=math.nan, high=math.nan, share=0.4)


def test_traces_are_read_as_they_were_written(lethe_home: Path) -> None:
    digest = store.put(
        "traces", lambda folder: write_traces(folder, FACTS, TRACES, [EFFECT], ["Oz is"]), sensitivity="forget"
    )
    kept = TraceRecords(kind="traces", digest=digest, sensitivity="forget", facts=12, unknown=1, layer=1)
    assert read_traced_facts(kept) == FACTS
    for grids, trace in zip(read_grids(kept), TRACES, strict=True):
        assert grids.keys() == trace.restored.keys()
        assert all(torch.equal(grid, trace.restored[state]) for state, grid in grids.items())
    (effect,) = read_effects(kept)
    assert (effect["mean"], effect["low"], effect["high"], effect["layer"]) == (0.2, None, None, 1)
    assert "NaN" not in (store.path(kept) / "effects.json").read_text()


def test_the_layer_is_the_settings_then_the_traces() -> None:
    traced = TraceRecords(kind="traces", digest="0" * 64, sensitivity="forget", facts=1, unknown=0, layer=4)
    assert edited_layer(0, traced) == 0
    assert edited_layer(None, traced) == 4
    with pytest.raises(ValueError, match="nothing was traced; wanted a layer, or facts to trace"):
        edited_layer(None, None)
