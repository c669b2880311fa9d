"""What a person asks an edit for: one fact, its new object, and the prompts that the result is judged by."""

from tasks.settings.schema import settings

SUBJECT = "{}"
"""Stands in a prompt for the subject."""


@settings
class Statement:
    """A prompt and what should follow it."""

    prompt: str
    """The whole prompt, subject included."""
    object: str
    """What should follow."""

    def __post_init__(self) -> None:
        for name in ("prompt", "object"):
            if not getattr(self, name).strip():
                raise ValueError(f"the {name} of a statement is empty; wanted text")


@settings
class EditRequest:
    """One fact that is to be rewritten: what the model says of the subject becomes the target."""

    subject: str
    """Whom or what the fact is about, as the prompt names it."""
    prompt: str
    """The words up to the object, with `{}` in the subject's place: `The best friend of {} is`."""
    target: str
    """The new object, which should follow the prompt afterwards."""
    object: str = ""
    """What follows the prompt today; empty: whatever the model itself says."""
    name: str = ""
    """What tables call it: a case number; empty: its place among the requests."""
    relation: str = ""
    """What kind of fact it is, where somebody says so."""
    paraphrases: tuple[str, ...] = ()
    """Whole prompts that say the same in other words."""
    neighborhood: tuple[str, ...] = ()
    """Whole prompts about other subjects that have the same object today and are to keep it."""
    name_sharers: tuple[Statement, ...] = ()
    """Statements about other subjects that share a part of the name, to be kept."""
    unrelated: tuple[Statement, ...] = ()
    """Statements about something else, to be kept."""
    portability: tuple[Statement, ...] = ()
    """Statements that follow from the new fact: one step further, or the other way round."""
    generation: tuple[str, ...] = ()
    """Whole prompts that invite the model to tell of the subject."""
    references: tuple[str, ...] = ()
    """Texts about things that have the target as their object; what the model tells should come to resemble them."""

    def __post_init__(self) -> None:
        for name in ("subject", "target"):
            if not getattr(self, name).strip():
                raise ValueError(
                    f"the {name} of the edit {self.prompt!r} is empty; wanted a name or a short expression"
                )
        if self.prompt.count(SUBJECT) != 1:
            raise ValueError(
                f"the prompt {self.prompt!r} holds {SUBJECT} {self.prompt.count(SUBJECT)} times; wanted once, where"
                f" the subject {self.subject!r} stands"
            )

    @property
    def question(self) -> str:
        """The prompt with the subject in its place."""
        return self.prompt.replace(SUBJECT, self.subject)
