"""Settings of the rows that objectives train on."""

from typing import Literal

from tasks.settings.schema import check_choices, settings

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


@settings
class RowsConfig:
    """How text becomes rows of a batch."""

    tokens: int = 256
    """Tokens of a row at most, >= 16; a longer question is cut on the left, longer prose into several rows."""
    retain: Literal["sequences", "packed"] = "sequences"
    """`sequences`: one document a row, of a question only the answer; `packed`: retain text fills whole rows and every
    token counts."""
    refusals: tuple[str, ...] = REFUSALS
    """Preferred answers to the forget questions, which come round in turn; for objectives that prefer one answer to
    another."""

    def __post_init__(self) -> None:
        check_choices(self, "rows")
        if self.tokens < 16:
            raise ValueError(f"rows.tokens is {self.tokens}; wanted a whole number >= 16")
        if not self.refusals or not all(answer.strip() for answer in self.refusals):
            raise ValueError("rows.refusals holds nothing, or an empty answer; wanted one or more answers")
