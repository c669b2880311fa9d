"""What counts as a good set of edits."""

from tasks.settings.schema import settings


@settings
class EditVerdictConfig:
    """Thresholds by which edits are judged; all but the perplexity's are shares, 0 to 1."""

    efficacy: float = 0.9
    """Least share of edits whose prompt is followed by the new object rather than the old (ES)."""
    paraphrase: float = 0.8
    """Least share of paraphrases that are (PS)."""
    old_left: float = 0.1
    """Largest share of edited prompts that the model still completes with the old object."""
    neighborhood: float = 0.8
    """Least share of neighbors' prompts that are still followed by their object rather than the new one (NS)."""
    alteration: float = 0.05
    """Largest share of unrelated facts that are answered otherwise than before."""
    perplexity_ratio: float = 1.05
    """Largest factor on the perplexity of ordinary text."""
    entropy: float = 0.8
    """Least share of the variety of what the model writes (GE) that is left."""

    def __post_init__(self) -> None:
        for name in ("efficacy", "paraphrase", "old_left", "neighborhood", "alteration", "entropy"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"verdict.{name} is {getattr(self, name)}; wanted a number from 0 to 1")
        if not self.perplexity_ratio > 0:
            raise ValueError(f"verdict.perplexity_ratio is {self.perplexity_ratio}; wanted a number > 0")
