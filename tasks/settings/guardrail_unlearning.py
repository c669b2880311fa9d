"""Settings of the guardrail from text to report; torch is not imported here."""

from dataclasses import replace

from tasks.settings.evaluation import MethodConfig
from tasks.settings.guardrail import GuardrailConfig
from tasks.settings.schema import settings


@settings
class GuardrailUnlearningConfig(MethodConfig):
    """The guardrail baseline (arXiv:2403.03329) from text to report."""

    guardrail: GuardrailConfig = GuardrailConfig()
    """Prefix and filter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distillation.noise_alpha:
            raise ValueError(
                f"distillation.noise_alpha is {self.distillation.noise_alpha}; wanted 0: a guardrail changes no weights"
            )

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused: prefix and filter name them."""
        return True


def guardrail_preset(name: str, seed: int = 0) -> GuardrailUnlearningConfig:
    """Return a preset; `default` and `paper` are the same, since the paper names kinds of guardrails and no constants.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in ("default", "paper"):
        raise ValueError(f"preset is {name!r}; wanted one of default, paper")
    config = GuardrailUnlearningConfig()
    return replace(
        config,
        translation=replace(config.translation, seed=seed),
        distillation=replace(config.distillation, seed=seed),
    )
