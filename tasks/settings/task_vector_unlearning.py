"""Settings of unlearning by a negated task vector, from text to report; torch is not imported here."""

from dataclasses import replace

from tasks.settings.evaluation import MethodConfig
from tasks.settings.finetuning import ReinforcementConfig
from tasks.settings.schema import settings
from tasks.settings.task_vector import TaskVectorConfig
from tasks.settings.training import LoraConfig


@settings
class TaskVectorUnlearningConfig(MethodConfig):
    """Negated task vectors (Ilharco et al. 2023, arXiv:2212.04089) from text to report."""

    reinforcement: ReinforcementConfig = ReinforcementConfig()
    """Training on the forget text: the model theta_ft."""
    vector: TaskVectorConfig = TaskVectorConfig()
    """How far back."""
    lora: LoraConfig = LoraConfig()
    """Whole weights, or an adapter that theta_ft is made of; theta moves back along its update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora.rank and self.lora.output != "merged":
            raise ValueError(f"lora.output is {self.lora.output!r}; wanted merged: a task vector ends in plain weights")


def task_vector_preset(name: str, seed: int = 0) -> TaskVectorUnlearningConfig:
    """Return a preset; the paper chooses the scale on held-out data and names no constant, so `paper` is the scale of
    the vector itself.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in ("default", "paper"):
        raise ValueError(f"preset is {name!r}; wanted one of default, paper")
    config = (
        TaskVectorUnlearningConfig(vector=TaskVectorConfig(scale=1.0))
        if name == "paper"
        else TaskVectorUnlearningConfig()
    )
    return replace(
        config,
        translation=replace(config.translation, seed=seed),
        reinforcement=replace(config.reinforcement, seed=seed),
        distillation=replace(config.distillation, seed=seed),
    )
