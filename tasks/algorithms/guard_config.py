"""How the guard that watches a model while it trains may be set; torch is not imported here."""

GUARDS = ("steer", "watch", "off")
"""What the guard may do while a model trains: refuse unhealthy checkpoints, only log what it finds, nothing."""


def check_guard(how: str) -> None:
    """Refuse a setting of `training.guard` that is none.

    Raises:
        ValueError: If it is not one of `GUARDS`.
    """
    if how not in GUARDS:
        raise ValueError(f"training.guard is {how!r}; wanted one of {', '.join(GUARDS)}")
