"""How a frozen model is asked; torch is not imported here."""

TEACHERS = ("cached", "live")
"""What the frozen model says comes from a file made beforehand, or from the model itself, batch by batch."""


def check_teacher(how: str) -> None:
    """Refuse a setting of `training.teacher` that is none.

    Raises:
        ValueError: If it is not one of `TEACHERS`.
    """
    if how not in TEACHERS:
        raise ValueError(f"training.teacher is {how!r}; wanted one of {', '.join(TEACHERS)}")
