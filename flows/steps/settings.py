"""Settings from the command line and from files: `--set labels.alpha=3`, `--config settings.yaml`."""

import dataclasses
import difflib
import re
import typing
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

from tasks.artifacts import BadInputError

C = TypeVar("C")
DEEPEST = 16
"""Levels of a file of settings; they have four."""
SHOWN = 200
"""Characters of a wrong value that are shown."""


def apply_settings(config: C, settings: list[str]) -> C:
    """Return `config` with `key=value` settings applied.

    A key is dotted (`labels.alpha`); its last part alone is enough where only one setting ends so. All are applied
    together, so that two which only fit beside each other can be changed, in any order; of one key that comes twice the
    last value counts.

    Raises:
        BadInputError: If a key is unknown (the nearest is suggested) or ambiguous, or a value does not fit.
    """
    changes, known = {}, setting_names(config)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadInputError(f"--set {setting}: no `=`; wanted key=value, such as labels.alpha=5")
        changes[_full_key(key.strip(), known)] = _parse(value.strip())
    return _changed(config, changes)


def apply_file(config: C, file: str) -> C:
    """Return `config` with the settings of a YAML file (nested, or with dotted keys) applied.

    Raises:
        BadInputError: If the file does not read as a mapping, or as `apply_settings`.
    """
    import yaml

    path = Path(file).expanduser()
    if not path.is_file():
        raise BadInputError(f"--config {file} does not exist; wanted a YAML file")
    try:
        nested = _load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"--config {file} does not parse ({' '.join(str(error).split())}); wanted YAML") from None
    if not isinstance(nested, dict):
        raise BadInputError(f"--config {file} holds a {type(nested).__name__}; wanted a mapping of settings")
    known = setting_names(config)
    return _changed(config, {_full_key(key, known): value for key, value in _flat(nested).items()})


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for name, value in nested.items():
        pairs |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return pairs


def differences(config: Any, other: Any) -> dict[str, Any]:
    """Return the settings of `config`, by dotted name, that `other` has not, or has another value of; as YAML and
    `apply_file` read them.
    """
    known = setting_names(other)
    values = {
        name: (value_of(config, name), value_of(other, name) if name in known else None)
        for name in setting_names(config)
    }
    return {
        name: list(ours) if isinstance(ours, tuple) else ours
        for name, (ours, theirs) in values.items()
        if ours != theirs
    }


def as_yaml(config: Any) -> str:
    """Return all settings as the text of a file that `apply_file` makes the same ones of."""
    import yaml

    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """Return settings in what YAML has: no tuples."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def value_of(config: Any, name: str) -> Any:
    """Return a setting by its dotted name."""
    return reduce(getattr, name.split("."), config)


def setting_names(config: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings of a config."""
    names = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        names += (
            setting_names(value, f"{prefix}{field.name}.") if dataclasses.is_dataclass(value) else [prefix + field.name]
        )
    return names


def _full_key(key: str, known: list[str]) -> str:
    if key in known:
        return key
    ends = [name for name in known if name.endswith(f".{key}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise BadInputError(f"--set {key}: several settings end so; wanted one of {', '.join(ends)}")
    last = {name.rpartition(".")[2]: name for name in known}
    near = difflib.get_close_matches(key, known, 1, 0.5) or [
        last[name] for name in difflib.get_close_matches(key.rpartition(".")[2], last, 1, 0.5)
    ]
    raise BadInputError(
        f"--set {key}: no such setting; {f'did you mean {near[0]}?' if near else 'wanted one of ' + ', '.join(known)}"
    )


def _load(text: str) -> Any:
    """Read YAML in which only true and false are truth values: `off` and `no` are words that settings use. An alias is
    refused: a few of them can stand for more than fits into memory, or for themselves. So is deep nesting, which takes
    seconds before it ends as an error.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """With rules of its own."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Read one value."""
            odd = "an alias; wanted the value itself" if self.check_event(yaml.AliasEvent) else ""
            odd = odd or ("it is nested too deeply" if self.depth > DEEPEST else "")
            if odd:
                raise yaml.composer.ComposerError(None, None, odd, self.peek_event().start_mark)
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    truth = "tag:yaml.org,2002:bool"
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != truth]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(truth, re.compile("true|false|True|False|TRUE|FALSE"), list("tTfF"))
    return yaml.load(text, Loader)  # noqa: S506 - a safe loader


def _parse(value: str) -> Any:
    import yaml

    try:
        return _load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value


def _changed(config: C, changes: Mapping[str, Any]) -> C:
    """Return a copy with settings changed by dotted name, those of one section together: the dataclasses check their
    own values, and some only fit beside each other.
    """
    own = {name: _converted(config, name, value) for name, value in changes.items() if "." not in name}
    sections = dict.fromkeys(name.partition(".")[0] for name in changes if "." in name)
    for section in sections:
        inner = {
            name.removeprefix(f"{section}."): value for name, value in changes.items() if name.startswith(f"{section}.")
        }
        own[section] = _changed(getattr(config, section), inner)
    try:
        return dataclasses.replace(config, **own)
    except ValueError as error:
        raise BadInputError(str(error)) from None


def _converted(config: Any, name: str, value: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    wanted = typing.get_type_hints(type(config))[name]
    if value in ("none", "None") and type(None) in typing.get_args(wanted) and str not in typing.get_args(wanted):
        return None
    try:
        return TypeAdapter(_without_choices(wanted)).validate_python(value)
    except ValidationError:
        shown = f"{value}"[:SHOWN]
        raise BadInputError(f"--set {name}={shown}: wanted {getattr(wanted, '__name__', None) or wanted}") from None


def _without_choices(wanted: Any) -> Any:
    """Return a type that takes every word: a wrong one is refused by the settings class, which says where the setting
    stands and what it may be.
    """
    if typing.get_origin(wanted) is typing.Literal:
        return Any
    chosen = typing.get_origin(wanted) is tuple and typing.get_origin(typing.get_args(wanted)[0]) is typing.Literal
    return tuple[str, ...] if chosen else wanted
