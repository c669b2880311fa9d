"""Settings of how edits are judged."""

from tasks.settings.schema import settings


@settings
class EditEvaluationConfig:
    """How much is asked to judge edits."""

    unrelated: int = 100
    """Unrelated facts whose greedy answers are compared with those before the edit, at most, >= 0: for every edit where
    each stands alone, for all together where one model holds them all."""
    generations: int = 10
    """Texts about the subject that the model is to write for an edit at most, >= 0; 0 leaves their entropy and their
    likeness to reference texts out."""
    generation_tokens: int = 100
    """Tokens that are added to each of them, >= 3. The paper's 100 count the prompt."""
    generation_top_k: int = 5
    """The next token is drawn from so many likeliest ones, >= 1: 5 as in the paper's code; 1 is greedy, which loops in
    small models."""
    text_tokens: int = 50_000
    """Tokens of ordinary text whose perplexity is compared, at most, >= 0; where there are more, evenly spaced windows
    are taken."""
    single_text_tokens: int = 1_000
    """The same for each edit where every one stands alone, >= 0."""
    window: int = 256
    """Tokens of such a window, >= 16."""
    answers: int = 3
    """Edits of which a person is shown what the model answered before and answers now, at most, >= 0."""
    answer_tokens: int = 12
    """Tokens of such an answer at most, >= 1."""
    seed: int = 0
    """Seed of what is drawn."""

    def __post_init__(self) -> None:
        for name, least in {
            "unrelated": 0,
            "generations": 0,
            "generation_tokens": 3,
            "generation_top_k": 1,
            "text_tokens": 0,
            "single_text_tokens": 0,
            "window": 16,
            "answers": 0,
            "answer_tokens": 1,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"edit_evaluation.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
