"""Settings of erasing facts by rank-one edits; torch is not imported here."""

from dataclasses import replace

from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.evaluation import MethodConfig
from tasks.settings.rank_one_editing import EditBounds, EditConfig, SecondMomentConfig, rank_one_preset
from tasks.settings.schema import settings
from tasks.settings.tracing import TracingConfig


@settings
class FactErasureConfig(MethodConfig):
    """Facts rewritten to say nothing, one by one (ROME, Meng et al. 2022, arXiv:2202.05262), from text to report."""

    proposals: EditProposalConfig = EditProposalConfig(new_object="erased")
    """What takes the place of what the text states."""
    tracing: TracingConfig = TracingConfig()
    """Where facts are looked for."""
    second_moments: SecondMomentConfig = SecondMomentConfig()
    """What is known of the layers' keys."""
    edit: EditConfig = EditConfig()
    """How facts are rewritten."""
    bounds: EditBounds = EditBounds()
    """What an edit may do beside."""
    force: bool = False
    """Whether an edit is made that the model did not know the fact of, or that is out of bounds."""


def fact_erasure_preset(name: str, seed: int = 0) -> FactErasureConfig:
    """Return a preset: `default`, or `paper`, the constants of the paper's code, whose edits are to another object.

    Raises:
        ValueError: If there is no such preset.
    """
    editing, config = rank_one_preset(name, seed), FactErasureConfig()
    return replace(
        config,
        proposals=replace(config.proposals, seed=seed),
        tracing=editing.tracing,
        second_moments=editing.second_moments,
        edit=editing.edit,
        bounds=editing.bounds,
        translation=replace(config.translation, seed=seed),
        distillation=replace(config.distillation, seed=seed),
    )
