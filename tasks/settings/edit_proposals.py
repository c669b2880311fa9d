"""Settings of how the facts of a text become edits."""

from typing import Literal

from tasks.settings.rows import REFUSALS
from tasks.settings.schema import check_choices, settings

ERASED = ("unknown",)
"""What takes an erased object's place after any prompt; of several words, each has its turn."""


@settings
class EditProposalConfig:
    """Which facts are rewritten, and to what."""

    new_object: Literal["another", "generic", "erased"] = "another"
    """`another`: an object that the text has in the same place of another fact, or of the same kind, else the
    dictionary's translation; `generic`: the dictionary's translation of the object; `erased`: a word that says
    nothing, or a refusal where the fact is a question."""
    erased: tuple[str, ...] = ERASED
    """What takes an erased object's place, in turn."""
    refusals: tuple[str, ...] = REFUSALS
    """What takes an erased answer's place, in turn."""
    most: int = 100
    """Facts that are rewritten at most, evenly spaced over all of the text; >= 1."""
    seed: int = 0
    """Draws among several objects that would do."""

    def __post_init__(self) -> None:
        check_choices(self, "proposals")
        for name in ("erased", "refusals"):
            words = getattr(self, name)
            if not words or not all(word.strip() for word in words):
                raise ValueError(f"proposals.{name} holds nothing, or an empty text; wanted one or more texts")
        if self.most < 1:
            raise ValueError(f"proposals.most is {self.most}; wanted a whole number >= 1")
