"""Settings of what is read out of text: documents, anchors, facts."""

from typing import Literal

from tasks.settings.schema import check_choices, settings


@settings
class CorpusConfig:
    """How input text is cleaned, cut and rendered."""

    test_share: float = 0.15
    """Share of the characters of each forget and retain file that is kept for testing where no test files are given; 0
    to 0.5."""
    qa_template: str = "Question: {question}\nAnswer: {answer}\n"
    """How a question becomes text for a model without a chat template; holds {question} and, after it, {answer}."""
    chat: Literal["auto", "off"] = "auto"
    """`auto`: a model with a chat template is asked through it, training on the answer alone; `off`: always
    `qa_template`."""
    strip_gutenberg: bool = True
    """Cut the Project Gutenberg header and licence."""
    join_lines: bool = True
    """Join the hard-wrapped lines of a paragraph."""
    normalise: bool = True
    """Unicode NFC, and one kind of line end."""

    def __post_init__(self) -> None:
        if not 0 <= self.test_share <= 0.5:
            raise ValueError(f"corpus.test_share is {self.test_share}; wanted a number from 0 to 0.5")
        check_choices(self, "corpus")
        _, question, rest = self.qa_template.partition("{question}")
        if not question or "{answer}" not in rest:
            raise ValueError(
                f"corpus.qa_template is {self.qa_template!r}; wanted {{question}} and, after it, {{answer}}"
            )


@settings
class AnchorConfig:
    """Which terms of the forget text become anchors."""

    pipeline: str = "auto"
    """spaCy pipeline: a name or folder; `auto` takes en_core_web_sm where it is installed, else the project's own."""
    min_count: int = 3
    """Occurrences that a term needs in the forget text, >= 1."""
    min_log_odds_z: float = 1.0
    """z-score of the log-odds against the background that a term needs, in standard deviations."""
    max_anchors: int = 1500
    """Anchors kept, the most frequent first; >= 1. The paper's dictionary for seven novels holds about 1,500."""

    def __post_init__(self) -> None:
        for name in ("min_count", "max_anchors"):
            if getattr(self, name) < 1:
                raise ValueError(f"anchors.{name} is {getattr(self, name)}; wanted a whole number >= 1")


@settings
class FactConfig:
    """How a language model reads facts out of the text; patterns need no settings. Without a provider for translation
    none is asked.
    """

    passages: int = 40
    """Passages of the forget text, and of the test text, that the model reads at most, evenly spaced over a longer one;
    >= 0, 0 asks none."""
    passage_characters: int = 1200
    """Characters of a passage at least; it ends with a paragraph where one ends before twice as many; >= 100."""
    batch: int = 4
    """Passages in one question, 1 to 20."""

    def __post_init__(self) -> None:
        for name, least in {"passages": 0, "passage_characters": 100}.items():
            if getattr(self, name) < least:
                raise ValueError(f"facts.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        if not 1 <= self.batch <= 20:
            raise ValueError(f"facts.batch is {self.batch}; wanted a whole number from 1 to 20")
