"""What a flow's schema, and with it the form of its deployment, has to say: written down again from the source, without
the code under test.
"""

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import Any, Literal, get_args, get_origin

from tasks.settings.gradient_unlearning import GradientUnlearningConfig
from tasks.settings.objectives.table import OBJECTIVES

FIELD = re.compile(r'^    (\w+): [^\n]*\n    """(.*?)"""$', re.MULTILINE | re.DOTALL)


@functools.cache
def written(kind: type) -> dict[str, str]:
    """Return the text under each field in the source of a class and of its ancestors, the nearest first."""
    bases = [base for base in reversed(kind.__mro__) if dataclasses.is_dataclass(base)]
    found = {name: " ".join(text.split()) for base in bases for name, text in FIELD.findall(inspect.getsource(base))}
    return {field.name: found.get(field.name, "") for field in dataclasses.fields(kind)}


def types_of(kind: type) -> dict[str, Any]:
    """Return the type of each field."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def settings_classes(hint: Any) -> Iterator[type]:
    """Yield the dataclasses that a type names, and those of their fields."""
    if dataclasses.is_dataclass(hint):
        yield hint
        for inner in types_of(hint).values():
            yield from settings_classes(inner)
    for inner in get_args(hint):
        yield from settings_classes(inner)


def classes_of(flow: Callable[..., Any]) -> dict[str, type]:
    """Return the settings classes that a flow's parameters hold, by name."""
    hints = typing.get_type_hints(flow)
    hints.pop("return", None)
    return {kind.__name__: kind for hint in hints.values() for kind in settings_classes(hint)}


def check_schema(schema: dict[str, Any], flow: Callable[..., Any]) -> int:
    """Check that every setting in a flow's schema shows its own prose, every class its own, and every choice its words.

    Returns:
        How many settings there are.
    """
    kinds = classes_of(flow)
    assert schema.get("definitions", {}).keys() == kinds.keys()
    assert [name for name, shown in schema["properties"].items() if not shown.get("description")] == []
    return sum(_check_class(schema["definitions"][name], kind) for name, kind in kinds.items())


def _check_class(shown: dict[str, Any], kind: type) -> int:
    hints, prose, properties = types_of(kind), written(kind), shown.get("properties", {})
    assert " ".join(shown["description"].split()) == " ".join(kind.__doc__.split())
    assert properties.keys() == prose.keys()
    for name, text in prose.items():
        where = f"{kind.__name__}.{name}"
        assert text, where
        assert " ".join(properties[name]["description"].split()) == text, where
        assert _words(properties[name]) == _choices(hints[name]), where
    return len(prose) + (_check_objectives(properties["objective"]["anyOf"]) if kind is GradientUnlearningConfig else 0)


def _check_objectives(groups: list[dict[str, Any]]) -> int:
    """Check that nothing, or one method's own settings can be chosen, and that those are shown as all others are."""
    nothing, *shown = groups
    assert nothing["type"] == "null"
    assert [group["title"] for group in shown] == list(OBJECTIVES)
    return sum(
        _check_class(group, resolve_name(listed.settings))
        for group, listed in zip(shown, OBJECTIVES.values(), strict=True)
    )


def _choices(hint: Any) -> list[Any]:
    chosen = hint if get_origin(hint) is Literal else (get_args(hint) or [None])[0]
    return list(get_args(chosen)) if get_origin(chosen) is Literal else []


def _words(shown: dict[str, Any]) -> list[Any]:
    return shown.get("enum") or shown.get("items", {}).get("enum", [])
