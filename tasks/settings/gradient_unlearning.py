"""Settings of unlearning by a training objective, from text to report, and what was tuned for which."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pkgutil import resolve_name
from typing import Annotated, Any, get_type_hints

from tasks.settings.distillation import DistillationConfig
from tasks.settings.evaluation import LocalisableConfig
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.objective_training import UnlearningConfig
from tasks.settings.objectives.choice import AnyObjective
from tasks.settings.objectives.protocol import ObjectiveSettings
from tasks.settings.objectives.table import ObjectiveName, listed
from tasks.settings.rows import RowsConfig
from tasks.settings.schema import check_choices, fits, settings
from tasks.settings.training import LoraConfig


@settings
class GradientUnlearningConfig(LocalisableConfig):
    """Unlearning by a listed objective, from text to report."""

    method: ObjectiveName
    """Name of the objective."""
    objective: Annotated[Any, AnyObjective()] = None
    """Its settings, those of the objective that `method` names; none: the defaults of that one."""
    rows: RowsConfig = RowsConfig()
    """How text becomes rows of a batch."""
    training: UnlearningConfig = UnlearningConfig()
    """How the student is trained."""
    lora: LoraConfig = LoraConfig()
    """Whole weights, or an adapter. Its rate is right at rank 16: --set lora.rank=16 --grid
    training.least_steps=160,320 --grid lora.rate_factor=2,5,10, with npo, simnpo and undial."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self)
        kind = resolve_name(listed(self.method).settings)
        values = (
            asdict(self.objective)
            if is_dataclass(self.objective) and not isinstance(self.objective, kind)
            else self.objective
        )
        if values is None or isinstance(values, Mapping):
            object.__setattr__(self, "objective", objective_from(kind, dict(values or {}), self.method))
        if not isinstance(self.objective, kind):
            raise ValueError(
                f"objective is a {type(self.objective).__name__}; wanted the settings of {self.method} by name"
            )
        if self.objective.chooses_weights and self.lora.rank and self.lora.targets:
            raise ValueError(
                f"lora.targets is {', '.join(self.lora.targets)}, but {self.method} chooses its matrices; wanted no"
                " lora.targets"
            )
        if self.objective.chooses_weights and self.localisation.by != "all":
            raise ValueError(
                f"localisation.by is {self.localisation.by!r}, but {self.method} chooses its matrices; wanted all, or"
                " another method"
            )

    @property
    def loss(self) -> str:
        """Where the loss stands, as `module:Class`."""
        return listed(self.method).loss

    @property
    def chooses_weights(self) -> bool:
        """Whether the objective trains some matrices of its own choice."""
        return self.objective.chooses_weights


def objective_from(kind: type, settings: dict[str, Any], method: str) -> ObjectiveSettings:
    """Return an objective's settings from a mapping.

    Raises:
        ValueError: If it has no such setting, or a value does not fit.
    """
    names = [field.name for field in fields(kind)]
    if unknown := sorted(map(str, settings.keys() - set(names))):
        raise ValueError(f"method {method} has no setting {', '.join(unknown)}; wanted some of {', '.join(names)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    wanted = get_type_hints(kind)
    if odd := [name for name, value in values.items() if not fits(value, wanted[name])]:
        raise ValueError(f"objective.{odd[0]} is {values[odd[0]]!r}; wanted {wanted[odd[0]]}")
    return kind(**values)


def gradient_preset(method: str, name: str, seed: int = 0) -> GradientUnlearningConfig:
    """Return the settings of a method: `default`, tuned where the method is in `TUNED`, or `paper`: the constants of
    its source.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in ("default", "paper"):
        raise ValueError(f"preset is {name!r}; wanted one of default, paper")
    tuned = TUNED.get(TUNED_AS.get(method, method), {}) if name == "default" else {}
    training = replace(PAPER if name == "paper" else UnlearningConfig(), seed=seed, **tuned.get("training", {}))
    return GradientUnlearningConfig(
        method=method,
        objective=tuned.get("objective"),
        training=training,
        distillation=DistillationConfig(seed=seed),
        localisation=LocalisationConfig(seed=seed),
    )


def tuning(method: str) -> str:
    """Return where the default settings of a method are from, in words for the card."""
    tuned_as = TUNED_AS.get(method, method)
    if tuned_as not in TUNED:
        return "not tuned for this method: the defaults of UnlearningConfig and of its objective"
    return f"tuned on {TUNED_ON}{TUNED_ON_TOO.get(tuned_as, '')}" + (
        f" for {tuned_as}, which is the same objective by another name" if tuned_as != method else ""
    )


PAPER = UnlearningConfig(
    learning_rate=1e-5,
    least_steps=0,
    epochs=10,
    batch_blocks=32,
    retain_batch=32,
    validation_share=0.0,
    weight_decay=0.01,
    guard="watch",
)
"""How TOFU's repository and open-unlearning train every one of these methods on 7-billion-parameter models; it suits no
small model."""
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
    # rate_at_7b: --grid training.rate_at_7b=1e-5,1.5e-5. The rest on 280 of TOFU's questions that are in no forget
    # split, by hand, one seed: until 0.003, 0.01, 0.012; retain_weight 5, 6, 10; retain_batch 16, 32, 40
    "npo": {
        "objective": HELD | {"until": 0.01, "retain_weight": 6.0},
        "training": LONG | {"epochs": 8, "retain_batch": 32, "stop_probability": 0.012},
    },
    # --grid training.least_steps=80,160 --grid training.rate_at_7b=1e-5,1.5e-5 --grid objective.retain_weight=1,4
    # --budget 6
    "simnpo": {"objective": HELD | {"retain_weight": 1.0}, "training": LONG},
    # --grid objective.b=0.02 --grid objective.retain_weight=1,4 --grid training.rate_at_7b=2e-5,4e-5 --set
    # training.least_steps=160
    "dpo": PREFERENCE,
    # --grid training.rate_at_7b=1e-4,2e-4,3e-4,5e-4 --grid objective.alpha=3,4,5 --set training.least_steps=160
    # --budget 12
    "rmu": {"objective": {"alpha": 4.0}, "training": LONG | {"rate_at_7b": 2e-4}},
    # --grid objective.b=10,30 --grid training.least_steps=160 --grid training.rate_at_7b=1e-5,2e-5
    "undial": {"objective": HELD | {"b": 30.0}, "training": LONG | {"rate_at_7b": 2e-5}},
}
"""Method -> settings that differ from those above, the best of `lethe sweep --topic second-series --floor 0.92 --method
NAME` and the line above each."""
TUNED_ON = "second-series"
"""Topic of the embedded world that they were tuned on; none that figures are reported for."""
TUNED_ON_TOO = {"npo": " and on questions of TOFU's that are in none of its forget splits"}
"""Method -> what else it was tuned on, in words."""
TUNED_AS = {"idk": "dpo"}
"""Method -> the one whose tuned settings are its own, being the same objective by another name."""
