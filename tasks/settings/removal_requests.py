"""What a removal request says: who is to be forgotten, by which model, why, and until when."""

import re
from datetime import date

from tasks.settings.schema import settings
from tasks.settings.unlearning_request import UnlearningRequest


@settings
class RemovalRequest:
    """A removal request as a person makes it."""

    subject: str
    """Who or what is to be forgotten, as people call it."""
    reason: str
    """Why: a law, a contract, a complaint."""
    due: str
    """Until when it is to be done, a day: YYYY-MM-DD."""
    text: UnlearningRequest
    """Which text, which model, and what else is at hand."""
    method: str = "whp"
    """How to unlearn, a name of `--method`."""
    asked_by: str = ""
    """Who asked for it; empty: whoever entered it."""
    approve: bool = False
    """Whether the alias `unlearned` waits until somebody approves of the result."""

    def __post_init__(self) -> None:
        for name in ("subject", "reason"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty; wanted some words")
        read_due(self.due)
        if not self.text.forget or not self.text.model:
            raise ValueError("the request names no text or no model; wanted `text.forget` and `text.model`")


def read_due(due: str) -> date:
    """Return the day until when a request is to be done.

    Raises:
        ValueError: If it is none, such as 31.12.2026 or 2026-02-30.
    """
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", due):  # others that Python takes are read in more than one way
            raise ValueError(due)
        return date.fromisoformat(due)
    except ValueError:
        raise ValueError(f"due {due!r} is no day; wanted one as YYYY-MM-DD, such as 2026-12-31") from None
