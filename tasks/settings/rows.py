"""Settings of the rows that objectives train on."""

from dataclasses import dataclass

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
