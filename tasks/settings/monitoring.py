"""Settings of the monitor: how often a finished model is measured, and what counts as come back."""

from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.schema import settings


@settings
class MonitorConfig:
    """When a model is measured again, and from when on what it was to forget has come back."""

    every: int = 7
    """Days between two measurements where nothing has changed, >= 1; each has newly drawn prompts."""
    threshold: float = 0.3
    """Share of the familiarity of the model before, above which what was to be forgotten has come back, > 0."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"monitor.every is {self.every}; wanted a whole number of days >= 1")
        if self.threshold <= 0:
            raise ValueError(f"monitor.threshold is {self.threshold}; wanted a number above 0")


@settings
class MonitoringConfig(EvaluationConfig):
    """What is asked of a model that is watched; relearning and rounding are left out of it."""

    monitor: MonitorConfig = MonitorConfig()
    """When it is measured, and what counts as come back."""
