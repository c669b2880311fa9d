"""What other language models are asked for in a run, one frozen dataclass a stage: translations, prompts, verdicts on completions."""

import math
from dataclasses import dataclass
from typing import ClassVar

from tasks.algorithms.providers import ProviderConfig

FALLBACKS = ("none", "offline")
"""What becomes of a stage whose language model cannot be asked."""


@dataclass(frozen=True, kw_only=True)
class AskingConfig:
    """A language model, and what is done without it."""

    section: ClassVar[str] = ""
    """Where the settings stand."""
    option: ClassVar[str] = ""
    """The provider's option on the command line."""
    without: ClassVar[str] = ""
    """What a run goes on with where the model cannot be asked."""
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {}
    """Setting -> its least and, where there is one, its highest value."""
    provider: ProviderConfig = ProviderConfig()
    """The language model that is asked; `offline`: none."""
    fallback: str = "none"
    """What is done where the provider cannot be asked at all: `none` ends the run, `offline` goes on without it."""

    def __post_init__(self) -> None:
        if self.fallback not in FALLBACKS:
            raise ValueError(f"{self.section}.fallback is {self.fallback!r}; wanted one of {', '.join(FALLBACKS)}")
        for name, (least, most) in self.bounds.items():
            if not least <= getattr(self, name) <= (most or math.inf):
                wanted = f"from {least} to {most}" if most else f">= {least}"
                raise ValueError(f"{self.section}.{name} is {getattr(self, name)}; wanted a whole number {wanted}")


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(AskingConfig):
    """Who translates anchors: a user's own dictionary first, then the provider's model, and the offline translator whatever is left:
    ordinary words from pools, the same for all forms of a name.
    """

    section: ClassVar[str] = "translation"
    option: ClassVar[str] = "--translator"
    without: ClassVar[str] = "the offline translator"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {"batch": (1, 100), "context_characters": (0, None)}
    batch: int = 30
    """Anchors in one question, 1 to 100."""
    context_characters: int = 160
    """Characters of the sentence that shows how an anchor is used, >= 0; 0 shows none."""
    seed: int = 0
    """Order of the pools."""


@dataclass(frozen=True, kw_only=True)
class PromptingConfig(AskingConfig):
    """Who writes the prompts that invite models to speak of the topic: the provider's model, and rules whatever is left."""

    section: ClassVar[str] = "prompting"
    option: ClassVar[str] = "--prompt-writer"
    without: ClassVar[str] = "prompts that are written offline"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {"batch": (1, 50), "context_characters": (0, None)}
    batch: int = 10
    """Prompts asked for in one question, 1 to 50, and anchors shown for them."""
    context_characters: int = 160
    """Characters of the sentence that shows how an anchor is used, >= 0; 0 shows none."""


@dataclass(frozen=True, kw_only=True)
class JudgingConfig(AskingConfig):
    """Who rates how much of the topic a completion knows: the provider's model, or nobody."""

    section: ClassVar[str] = "judging"
    option: ClassVar[str] = "--judge"
    without: ClassVar[str] = "no judge"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {"batch": (1, 50), "characters": (50, None), "names": (0, None)}
    batch: int = 10
    """Completions in one question, 1 to 50; two whose score is known stand among them."""
    characters: int = 600
    """Characters that are shown of a prompt, its last, and of a completion, its first, >= 50."""
    names: int = 40
    """Names of the topic that the judge is told, the most frequent ones, >= 0."""
