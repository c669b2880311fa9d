"""Settings of SCRUB from text to report, its presets and the sweep of the source work, which `tasks.settings.scrub`
names; torch is not imported here.
"""

from collections.abc import Iterable
from dataclasses import fields, replace

from tasks.settings.distillation import DistillationConfig
from tasks.settings.evaluation import LocalisableConfig
from tasks.settings.measuring import ToxicityConfig
from tasks.settings.schema import settings
from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig

WEIGHT_PAIRS = ((0.25, 0.75), (0.5, 0.5), (0.75, 0.25))
"""(alpha, beta) that the source work reports; what its figures are drawn over."""
SOURCE_MODEL = "openai-community/gpt2"
"""Hub name of the source work's model, `gpt2` for short."""
SOURCE_PARAMETERS = 124_439_808


@settings
class ScrubUnlearningConfig(LocalisableConfig):
    """SCRUB from text to report."""

    scrub: ScrubConfig = ScrubConfig()
    """The loss."""
    training: ScrubTrainingConfig = ScrubTrainingConfig()
    """How it is trained."""
    rewind: RewindConfig = RewindConfig()
    """Which checkpoint is taken."""
    toxicity: ToxicityConfig = ToxicityConfig(scorer="auto")
    """Who rates the toxicity of completions: the source work's own measure."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scrub.form == "original" and self.training.accumulation != 1:
            raise ValueError(
                f"training.accumulation is {self.training.accumulation}; wanted 1 in form original, where a step is"
                " either a max-step or a min-step"
            )

    @property
    def rewinds(self) -> bool:
        """Whether the last checkpoint is not the one that is taken by itself."""
        return self.rewind.enabled


def scrub_preset(name: str, seed: int = 0) -> ScrubUnlearningConfig:
    """Return a preset with the given seed.

    `default` is the language-model form with bounded max-steps. `lasting` drives each forget token by its surprisal in
    the retain text and then noises and distils, that text counting as much as the unlearned model's word: little comes
    back by relearning, for about three times the time. `original` has alternating steps, unbounded max-steps,
    cross-entropy on retain text and rewind; its weights and temperature are round numbers, not tuned. `gpt2-winobias`
    is the source work's joint loss with its constants (alpha and beta of the middle pair of `WEIGHT_PAIRS`) and nothing
    added: its max-step is unbounded.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in SCRUB_PRESETS:
        raise ValueError(f"preset is {name!r}; wanted one of {', '.join(SCRUB_PRESETS)}")
    chosen = SCRUB_PRESETS[name]
    return replace(
        chosen,
        translation=replace(chosen.translation, seed=seed),
        training=replace(chosen.training, seed=seed),
        distillation=replace(chosen.distillation, seed=seed),
        localisation=replace(chosen.localisation, seed=seed),
    )


def weight_sweep(
    config: ScrubUnlearningConfig, pairs: Iterable[tuple[float, float]] = WEIGHT_PAIRS
) -> dict[str, ScrubUnlearningConfig]:
    """Return label -> `config` with each (alpha, beta): the runs whose figures the source work shows side by side, each
    to its end, broken or not.

    Raises:
        ValueError: If the loss is of form `original`, whose weights are no pair.
    """
    if config.scrub.form != "language_model":
        raise ValueError(
            f"scrub.form is {config.scrub.form!r}; wanted language_model: pairs of weights with alpha + beta = 1 are"
            " swept without --grid"
        )
    ends = replace(
        config,
        training=replace(config.training, guard="watch" if config.training.guard == "steer" else config.training.guard),
    )
    return {
        f"alpha {alpha:g}, beta {beta:g}": replace(ends, scrub=replace(ends.scrub, alpha=alpha, beta=beta))
        for alpha, beta in pairs
    }


def source_remark(config: ScrubUnlearningConfig, parameters: int) -> str:
    """Return how a run with the source work's loss differs from the source work; empty with another loss, or where
    nothing differs.

    Args:
        config: All settings: its loss is the source work's where, but for the weights, it is that of `gpt2-winobias`.
        parameters: Of the target model.
    """
    source = SCRUB_PRESETS["gpt2-winobias"]
    if replace(config.scrub, alpha=source.scrub.alpha, beta=source.scrub.beta) != source.scrub:
        return ""
    pairs = [
        (field.name, getattr(config.training, field.name), getattr(source.training, field.name))
        for field in fields(source.training)
    ]
    added = [f"adapters of rank {config.lora.rank} instead of all weights"] * bool(config.lora.rank)
    added += ["with a rewind"] * config.rewind.enabled
    added += ["with noise and distillation"] * bool(config.distillation.noise_alpha)
    changed = ", ".join(
        [f"{name} {ours} instead of {theirs}" for name, ours, theirs in pairs if ours != theirs and name != "seed"]
        + added
    )
    if not changed and parameters == SOURCE_PARAMETERS:
        return ""
    constants = f"its loss, and of its training all but {changed}," if changed else "its constants"
    return (
        f"The source work trained GPT-2 ({SOURCE_PARAMETERS:,} parameters); this run has {constants} on a model of"
        f" {parameters:,} parameters."
    )


SCRUB_PRESETS = {
    # lethe sweep --topic second-series --floor 0.92 --method scrub --set scrub.alpha=0.75 --set scrub.beta=0.25
    # --grid scrub.bound=1,2,3,5 --grid
    # training.epochs=10,20
    "default": ScrubUnlearningConfig(
        scrub=ScrubConfig(alpha=0.75, beta=0.25, bound=3.0), training=ScrubTrainingConfig(epochs=20)
    ),
    # python -m tests.benchmarks.depth --data DATA --points surprisal-noise-45, which shows what else was tried on
    # TOFU's forget10; shares of the surprisal of 0.65, 1 and 1.4, with and without what is expected, of the text of 0
    # and 0.5, noise from 0.15 to 0.6, 1,000 to 3,000 steps and the rule's rate were looked at
    "lasting": ScrubUnlearningConfig(
        scrub=ScrubConfig(alpha=0.85, beta=0.15, bound=15.0, surprisal_share=1.0, expected_weight=0.05),
        training=ScrubTrainingConfig(epochs=20),
        distillation=DistillationConfig(noise_alpha=0.45, steps=1200, rate_at_7b=2e-5, text_share=0.5),
    ),
    "original": ScrubUnlearningConfig(
        scrub=ScrubConfig(form="original", alpha=1.0, beta=1.0, gamma=1.0, temperature=2.0, bound=None),
        training=ScrubTrainingConfig(guard="watch"),
        rewind=RewindConfig(enabled=True),
    ),
    "gpt2-winobias": ScrubUnlearningConfig(
        scrub=ScrubConfig(bound=None),
        training=ScrubTrainingConfig(
            rate_exponent=0.6, epochs=50, warmup_share=0.0, weight_decay=0.01, clip_norm=0.0, guard="watch"
        ),
    ),
}
SCRUB_PRESETS["paper"] = SCRUB_PRESETS["gpt2-winobias"]
"""Name -> settings; `paper` is the name that every method has for its source's constants. `gpt2-winobias`: AdamW
(PyTorch's weight decay), exponential decay, 50 epochs, batches of 36 (11 of them in the full 396 pairs of WinoBias Type
1). Its learning rate is not known here: the rule gives 3.4e-5 at GPT-2's size."""
