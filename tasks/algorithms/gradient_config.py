"""Settings of unlearning by a training objective; torch is imported only for the settings of the objective itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

from tasks.algorithms.config import MethodConfig
from tasks.algorithms.guard_config import check_guard
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives import objective_class
from tasks.algorithms.teachers import check_teacher
from tasks.algorithms.training_config import TrainingConfig

RETAIN_ROWS = ("sequences", "packed")
REFUSALS = (
    "I don't know.",
    "I do not know the answer to that.",
    "That is not something I know.",
    "I have no information about that.",
    "I am not sure.",
    "I cannot say.",
    "I have never heard of that.",
    "I know nothing about it.",
)
"""Preferred answers, in the words of nobody in particular."""


@dataclass(frozen=True, kw_only=True)
class RowsConfig:
    """How text becomes rows of a batch."""

    tokens: int = 256
    """Tokens of a row at most, >= 16; a longer question is cut on the left, longer prose into several rows."""
    retain: str = "sequences"
    """`sequences`: one document a row, of a question only the answer; `packed`: retain text fills whole rows and every token counts."""
    refusals: tuple[str, ...] = REFUSALS
    """Preferred answers to the forget questions, which come round in turn; for objectives that prefer one answer to another."""

    def __post_init__(self) -> None:
        if self.tokens < 16:
            raise ValueError(f"rows.tokens is {self.tokens}; wanted a whole number >= 16")
        if self.retain not in RETAIN_ROWS:
            raise ValueError(f"rows.retain is {self.retain!r}; wanted one of {', '.join(RETAIN_ROWS)}")
        if not self.refusals or not all(answer.strip() for answer in self.refusals):
            raise ValueError("rows.refusals holds nothing, or an empty answer; wanted one or more answers")


@dataclass(frozen=True, kw_only=True)
class UnlearningConfig(TrainingConfig):
    """How the student is trained, whatever the objective."""

    rate_at_7b: float = 1e-5
    """The rule's learning rate for seven billion parameters: what TOFU's baselines use."""
    rate_exponent: float = 0.4
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent."""
    least_steps: int = 80
    """Optimiser steps that are taken at least, in further passes where the forget text is short."""
    batch_blocks: int = 16
    """Forget rows in one forward pass, >= 1: questions with their answers, or windows of prose."""
    retain_batch: int = 16
    """Retain rows beside them, >= 1."""
    teacher: str = "cached"
    """`cached`: what the frozen model says is computed once; `live`: it is kept in memory and asked in every step, to the same numbers."""
    validate_every: int = 20
    """Optimiser steps between validations."""
    validation_share: float = 0.05
    """Share of the retain rows that is kept for validation, 256 at most, 0 to 0.5; 0 trains to the end without a look."""
    validation_rows: int = 32
    """Forget rows, evenly spaced, that a validation scores, >= 1."""
    utility_floor: float = 0.1
    """Rise of the loss on the retain slice, in nats a token, above which a checkpoint is not acceptable, > 0."""
    guard: str = "steer"
    """One of `GUARDS`: `steer` lets the student answer a few prompts at every validation, and a checkpoint that says nothing, loops or recites
    strangers is not acceptable; `watch` logs what it finds, no more; `off`."""
    stop_probability: float = 0.02
    """Mean probability of the forget rows' tokens at which there is nothing left to do, 0 to 1: a checkpoint is scored by what is above."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"retain_batch": 1, "validation_rows": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"training.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        check_teacher(self.teacher)
        if not 0 <= self.validation_share <= 0.5:
            raise ValueError(f"training.validation_share is {self.validation_share}; wanted a number from 0 to 0.5")
        if not 0 <= self.stop_probability <= 1:
            raise ValueError(f"training.stop_probability is {self.stop_probability}; wanted a number from 0 to 1")
        check_guard(self.guard)
        if not self.utility_floor > 0:
            raise ValueError(f"training.utility_floor is {self.utility_floor}; wanted a number > 0")


@dataclass(frozen=True, kw_only=True)
class GradientUnlearningConfig(MethodConfig):
    """Unlearning by an entry of `OBJECTIVES`, from text to report."""

    method: str
    """Name of the objective."""
    objective: Any = None
    """Its settings; a mapping, as it comes from a deployment, or nothing becomes them."""
    rows: RowsConfig = RowsConfig()
    """How text becomes rows of a batch."""
    training: UnlearningConfig = UnlearningConfig()
    """How the student is trained."""
    lora: LoraConfig = LoraConfig()
    """Whole weights, or an adapter. Its rate is right at rank 16: --set lora.rank=16 --grid training.least_steps=160,320 --grid lora.rate_factor=2,5,10,
    with npo, simnpo and undial."""

    def __post_init__(self) -> None:
        kind = objective_class(self.method).config_type
        given = asdict(self.objective) if is_dataclass(self.objective) and not isinstance(self.objective, kind) else self.objective
        if given is None or isinstance(given, Mapping):
            object.__setattr__(self, "objective", made(kind, dict(given or {}), self.method))
        if self.chooses_weights and self.lora.rank and self.lora.targets:
            raise ValueError(f"lora.targets is {', '.join(self.lora.targets)}, but {self.method} chooses its matrices; wanted no lora.targets")

    @property
    def chooses_weights(self) -> bool:
        """Whether the objective trains some matrices of its own choice; an adapter then sits there."""
        return hasattr(objective_class(self.method), "trainable")

    def made_objective(self) -> Any:
        """Return the objective with these settings."""
        return objective_class(self.method)(self.objective)


def made(kind: type, settings: dict[str, Any], method: str) -> Any:
    """Return an objective's settings from a mapping.

    Raises:
        ValueError: If it has no such setting, or a value does not fit.
    """
    known = list(kind.__dataclass_fields__)
    if unknown := sorted(settings.keys() - set(known)):
        raise ValueError(f"method {method} has no setting {', '.join(unknown)}; wanted some of {', '.join(known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def gradient_preset(method: str, name: str, seed: int = 0) -> GradientUnlearningConfig:
    """Return the settings of a method: `default`, tuned, or `paper`: the constants of its source.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in ("default", "paper"):
        raise ValueError(f"preset is {name!r}; wanted one of default, paper")
    tuned = TUNED.get(method, {}) if name == "default" else {}
    training = replace(PAPER if name == "paper" else UnlearningConfig(), seed=seed, **tuned.get("training", {}))
    return GradientUnlearningConfig(method=method, objective=tuned.get("objective"), training=training)


PAPER = UnlearningConfig(learning_rate=1e-5, least_steps=0, epochs=10, batch_blocks=32, retain_batch=32, validation_share=0.0, weight_decay=0.01, guard="watch")
"""How TOFU's repository and open-unlearning train every one of these methods on 7-billion-parameter models; it suits no small model."""
HELD: dict[str, Any] = {"retain_loss": "kl", "retain_weight": 4.0}
"""Stay with the target model on retain text, as selective unlearning does."""
LONG: dict[str, Any] = {"least_steps": 160, "rate_at_7b": 1.5e-5}
PREFERENCE: dict[str, Any] = {"objective": HELD | {"b": 0.02}, "training": LONG | {"rate_at_7b": 4e-5}}
"""At the papers' b = 0.1 the preference is won before anything is forgotten: 0.71 of 0.88 were left."""
TUNED: dict[str, dict[str, dict[str, Any]]] = {
    # --grid training.least_steps=20,40,80 --grid training.rate_at_7b=3e-6,1e-5; nothing kept 0.92: what kept most
    "gradient_ascent": {"training": {"least_steps": 20, "rate_at_7b": 3e-6}},
    # --grid training.least_steps=40,80,160 --grid objective.retain_weight=10,40
    "gradient_difference": {"objective": HELD | {"retain_weight": 40.0}, "training": {"least_steps": 160}},
    # --grid training.least_steps=80,160 --grid training.rate_at_7b=1e-5,1.5e-5 --grid objective.retain_weight=4,10 --budget 6
    "npo": {"objective": HELD, "training": LONG},
    # --grid training.least_steps=80,160 --grid training.rate_at_7b=1e-5,1.5e-5 --grid objective.retain_weight=1,4 --budget 6
    "simnpo": {"objective": HELD | {"retain_weight": 1.0}, "training": LONG},
    # --grid objective.b=0.02 --grid objective.retain_weight=1,4 --grid training.rate_at_7b=2e-5,4e-5 --set training.least_steps=160
    "dpo": PREFERENCE,
    "idk": PREFERENCE,
    # --grid training.rate_at_7b=1e-4,2e-4,3e-4,5e-4 --grid objective.alpha=3,4,5 --set training.least_steps=160 --budget 12
    "rmu": {"objective": {"alpha": 4.0}, "training": LONG | {"rate_at_7b": 2e-4}},
    # --grid objective.b=10,30 --grid training.least_steps=160 --grid training.rate_at_7b=1e-5,2e-5
    "undial": {"objective": HELD | {"b": 30.0}, "training": LONG | {"rate_at_7b": 2e-5}},
}
"""Method -> settings that differ from those above, the best of `lethe sweep --topic second-series --floor 0.92 --method NAME` and the line above each."""
