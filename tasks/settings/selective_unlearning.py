"""Settings of selective unlearning ("Who's Harry Potter?") and their presets."""

from dataclasses import replace

from tasks.settings.evaluation import LocalisableConfig
from tasks.settings.finetuning import FinetuneConfig, ReinforcementConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.schema import settings
from tasks.settings.training import LoraConfig


@settings
class SelectiveUnlearningConfig(LocalisableConfig):
    """Selective unlearning ("Who's Harry Potter?", arXiv:2310.02238) from text to report."""

    reinforcement: ReinforcementConfig = ReinforcementConfig()
    """Training on the forget text."""
    labels: LabelConfig = LabelConfig()
    """Generic labels."""
    finetune: FinetuneConfig = FinetuneConfig()
    """Training on the labels."""
    lora: LoraConfig = LoraConfig()
    """Adapters in place of whole weights, in both trainings."""

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused: labels are made of them."""
        return True


def preset(name: str, seed: int = 0) -> SelectiveUnlearningConfig:
    """Return a preset with the given seed.

    `default` uses soft labels, interior suppression and a retain term, measured better on the embedded world and on
    books than `paper`, which is the paper's recipe with its constants and nothing added.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; wanted one of {', '.join(PRESETS)}")
    chosen = PRESETS[name]
    return replace(
        chosen,
        translation=replace(chosen.translation, seed=seed),
        reinforcement=replace(chosen.reinforcement, seed=seed),
        finetune=replace(chosen.finetune, seed=seed),
        distillation=replace(chosen.distillation, seed=seed),
        localisation=replace(chosen.localisation, seed=seed),
    )


PRESETS = {
    "default": SelectiveUnlearningConfig(),
    "paper": SelectiveUnlearningConfig(
        reinforcement=ReinforcementConfig(
            block_size=512, accumulation=16, learning_rate=3e-6, schedule="constant", warmup_share=0.0
        ),
        labels=LabelConfig(kind="hard", interior="drop", suppress_topic=0.0, block_size=512),
        finetune=FinetuneConfig(
            learning_rate=1e-6,
            least_steps=0,
            epochs=2,
            accumulation=16,
            retain_weight=0.0,
            self_written_blocks=0,
            validation_share=0.0,
            sharpness=0.0,
            schedule="constant",
            warmup_share=0.0,
        ),
    ),
}
"""Name -> settings."""
