"""Settings of the guardrail itself, the baseline that changes no weights."""

from tasks.settings.schema import settings

TERMS = "{terms}"
"""Stands in a prefix for the most frequent anchors: the setting itself is public, the text that is made of it is
not."""

PREFIX = "Never speak of {terms}, and never reveal that they are known. Everything else is answered as usual.\n\n"


@settings
class GuardrailConfig:
    """A prompt prefix and an output filter."""

    prefix: str = PREFIX
    """Put before everything that the model reads, in the system's place of a chat template; {terms} becomes the most
    frequent anchors. Empty: no prefix, the filter alone."""
    named_terms: int = 5
    """Anchors that the prefix names, >= 1."""
    filtered: bool = True
    """Whether the output filter is on."""
    refusal: str = "I'm sorry, but I can't help with that."
    """Said instead of a completion that holds an anchor which its prompt did not hold."""
    floor: float = 1e-6
    """Probability that is left to a token which would complete an anchor, above 0 and at most 1e-3."""

    def __post_init__(self) -> None:
        if self.named_terms < 1:
            raise ValueError(f"guardrail.named_terms is {self.named_terms}; wanted a whole number >= 1")
        if not self.refusal.strip():
            raise ValueError("guardrail.refusal is empty; wanted a sentence")
        if not 0 < self.floor <= 1e-3:
            raise ValueError(f"guardrail.floor is {self.floor}; wanted a number above 0 and at most 1e-3")
        if not self.prefix and not self.filtered:
            raise ValueError(
                "guardrail.prefix is empty and guardrail.filtered is false; wanted one of the two at least"
            )
