"""The stages that rewrite facts, which stories share: whoever edits declares them, and what the edits are to be."""

from typing import Any

from flows.steps.wiring import Call
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.causal_tracing import trace_facts
from tasks.rome_edit import rome_edit
from tasks.second_moments import measure_second_moments
from tasks.settings.fact_erasure import FactErasureConfig
from tasks.settings.rank_one_editing import RANK_ONE, EditConfig, RankOneEditingConfig


def require_patches(config: EditConfig) -> None:
    """Refuse an editor that only serves to be compared with.

    Raises:
        BadInputError: If it is one.
    """
    if config.algorithm not in RANK_ONE:
        raise BadInputError(
            f"edit.algorithm is {config.algorithm}, which makes single edits to be compared with and no model; wanted"
            f" {' or '.join(RANK_ONE)}, or lethe edit --each"
        )


def declare_edit(
    target: CheckpointRef,
    corpus: Any,
    edits: Any,
    facts: Any,
    config: RankOneEditingConfig | FactErasureConfig,
    patches: tuple[EditPatch, ...] = (),
    force: bool = False,
) -> Call:
    """Declare the stages up to the patch: the trace, unless the layer is set, second moments, and the edit.

    Raises:
        BadInputError: If the editor makes none.
    """
    require_patches(config.edit)
    traced = None if config.edit.layer is not None else Call(trace_facts, target, facts, config.tracing)
    moments = Call(measure_second_moments, target, corpus, config.second_moments, config.corpus)
    how = (config.edit, config.bounds, config.second_moments, config.corpus)
    return Call(rome_edit, target, edits, moments, corpus, traced, *how, force, patches)
