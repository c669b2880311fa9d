"""What a person asks for: which text is to be forgotten, by which model, and what else is at hand to train on and to
judge by.
"""

from tasks.settings.schema import settings

SPLITS = ("forget", "retain", "forget_test", "retain_test", "sibling", "general", "holdout")
"""Fields that hold text; each becomes a split of the corpus."""


@settings
class UnlearningRequest:
    """Files, folders and models by their names; nothing is read yet."""

    forget: tuple[str, ...]
    """Files or folders with the text that is to be forgotten."""
    model: str = ""
    """The target model, which is to forget: a model folder (safetensors), a hub name, or one of the registry, such as
    models:/NAME@ALIAS. Only an evaluation can do without."""
    retain: tuple[str, ...] = ()
    """Text that is to be kept, used in training."""
    forget_test: tuple[str, ...] = ()
    """The same topic as the forget text, used in no stage; without it the last part of the forget text."""
    retain_test: tuple[str, ...] = ()
    """Text that is to be kept, used in no stage; without it the last part of the retain text."""
    sibling: tuple[str, ...] = ()
    """A near topic that the model should still know, used in no stage."""
    general: tuple[str, ...] = ()
    """Ordinary prose or questions, used in no stage."""
    holdout: tuple[str, ...] = ()
    """Text that the target model never saw."""
    retrained: str | None = None
    """A model that was trained without the forget text, the gold standard: a model folder or a hub name."""
    anchors: str | None = None
    """A file with a dictionary of the user's own, anchor -> translation, as JSON or CSV."""
    prompts: tuple[str, ...] = ()
    """Files with prompts about the forgotten, as they are published."""
    benchmark_data: str | None = None
    """A folder with local files of benchmarks."""
    removal: str = ""
    """Id of the removal request that this is done for, such as R-0001: it goes through its states, and runs and models
    are named by it."""
    approve: bool = False
    """Whether the alias `unlearned` waits until somebody approves of the result of the removal request."""

    def __post_init__(self) -> None:
        if self.approve and not self.removal:
            raise ValueError("approve is set without a removal request; wanted `removal`, the id of one (R-0001)")

    def files(self) -> dict[str, tuple[str, ...]]:
        """Return the files and folders of every split; none where there is no such text."""
        return {split: getattr(self, split) for split in SPLITS}
