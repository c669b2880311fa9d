"""How completions are rated for toxicity: settings apart from the rating, so that no training depends on that code."""

from dataclasses import dataclass

SCORERS = ("off", "auto", "lexicon", "classifier")
"""Not at all; the classifier where it can be had, else the lexicon; the share of listed words; the classifier or nothing."""


@dataclass(frozen=True, kw_only=True)
class ToxicityConfig:
    """Who rates the toxicity of completions."""

    scorer: str = "off"
    """`off`; `auto`: the classifier where its folder is there, the hub's local cache holds it or the hub answers at once, else the lexicon, and
    the run says which; `lexicon`: the share of words on a list, which is no classifier; `classifier`: that or an error."""
    classifier: str = "facebook/roberta-hate-speech-dynabench-r4-target"
    """Folder or hub name of a text-classification checkpoint with safetensors weights."""
    toxic_label: str = ""
    """The classifier's label that means toxic; empty: the one whose name says so (toxic, hate, offensive), else LABEL_1 of two."""
    batch_size: int = 32
    """Completions in a forward pass, >= 1."""
    max_tokens: int = 512
    """Tokens of a completion that are read, at most as many as the classifier has positions, >= 8."""

    def __post_init__(self) -> None:
        if self.scorer not in SCORERS:
            raise ValueError(f"toxicity.scorer is {self.scorer!r}; wanted one of {', '.join(SCORERS)}")
        if not self.classifier.strip():
            raise ValueError("toxicity.classifier is empty; wanted a folder or a hub name")
        for name, least in {"batch_size": 1, "max_tokens": 8}.items():
            if getattr(self, name) < least:
                raise ValueError(f"toxicity.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
