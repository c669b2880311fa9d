"""What every settings class is: a frozen dataclass that shows its prose and its choices wherever settings are filled in
or checked.

Standard library only: pydantic, which makes Prefect's form, finds `__pydantic_config__` on the class and calls back.
Source is read then, never at import.
"""

import ast
import functools
import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, dataclass_transform, get_args, get_origin

from tasks.settings.syntax import tree_of

T = TypeVar("T")
LARGEST = 2**32 - 1
"""The largest seed that every library takes, and more than there can be of anything."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def settings(kind: type[T]) -> type[T]:
    """Make a class of settings: a frozen, keyword-only dataclass.

    Its schema has the string under each field as that one's description, and refuses a misspelt key, which would else
    pass unread. A number that is none, or larger than any count, is refused where the class' own checks let it pass.
    """
    kind.__post_init__ = _with_ranges(getattr(kind, "__post_init__", None))
    settings_class = dataclass(frozen=True, kw_only=True)(kind)
    settings_class.__pydantic_config__ = {"extra": "forbid", "json_schema_extra": _describe}
    return settings_class


def _with_ranges(own: Callable[[Any], None] | None) -> Callable[[Any], None]:
    @functools.wraps(own or _require_ranges)
    def check(config: Any) -> None:
        if own:  # it names its section
            own(config)
        if type(config).__post_init__ is check:  # and not that of an ancestor, before all is checked
            _require_ranges(config)

    return check


def _require_ranges(config: Any) -> None:
    for setting in fields(config):
        value = getattr(config, setting.name)
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(one, float) and math.isnan(one):
                raise ValueError(f"{setting.name} is not a number (nan); wanted one")
            if isinstance(one, int) and abs(one) > LARGEST:
                shown = f"{one:.3g}" if abs(one) < 10**300 else "beyond all numbers"
                raise ValueError(f"{setting.name} is {shown}; wanted a whole number up to {LARGEST}")


def fits(value: Any, wanted: Any) -> bool:
    """Return whether a value is of the type of a setting: a number, a truth value, text, several of these, or none.
    Which words may be chosen from, `check_choices` knows.
    """
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return isinstance(value, str)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(each, parts[0]) for each in value)
    if parts:
        return any(fits(value, part) for part in parts)
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None if wanted is type(None) else type(value) is wanted


def check_choices(config: Any, section: str = "") -> None:
    """Refuse a setting that is none of the words of its `Literal`.

    Args:
        config: An instance of a settings class.
        section: Where it stands in all settings, for the message.

    Raises:
        ValueError: With the setting, the value found and the choices.
    """
    for setting in fields(config):
        value, choices = getattr(config, setting.name), get_args(setting.type)
        if get_origin(setting.type) is Literal and value not in choices:
            raise ValueError(
                f"{section and section + '.'}{setting.name} is {value!r}; wanted one of {', '.join(choices)}"
            )


def _describe(schema: dict[str, Any], kind: type) -> None:
    """Give each property of a class its prose; pydantic's own `use_attribute_docstrings` leaves out what is
    inherited.
    """
    for name, text in prose(kind).items():
        schema["properties"][name]["description"] = text


@functools.cache
def prose(kind: type) -> dict[str, str]:
    """Return the string under each field of a settings class, that of its nearest ancestor where it has none of its
    own.
    """
    descriptions: dict[str, str] = {}
    for base in filter(is_dataclass, reversed(kind.__mro__)):
        (body,) = tree_of(base).body
        for above, below in itertools.pairwise(body.body):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                descriptions[above.target.id] = inspect.cleandoc(below.value.value)
    return {setting.name: descriptions[setting.name] for setting in fields(kind) if setting.name in descriptions}
