"""Settings of the task vector itself."""

from tasks.settings.schema import settings


@settings
class TaskVectorConfig:
    """How far the target model goes back along what the forget text taught it."""

    # lethe sweep --topic second-series --floor 0.92 --method task_vector --grid vector.scale=0.5,1,1.25,1.5,2
    scale: float = 1.25
    """a in theta - a (theta_ft - theta), dimensionless, >= 0; at 0 nothing changes."""

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"vector.scale is {self.scale}; wanted a number >= 0")
