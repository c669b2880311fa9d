"""What `prefect deploy` fills `deployments/prefect.yaml` with, from the environment: build steps, each of which refuses
what is not set or is not there before anything is deployed.

A request's fields are read from variables of their names, `LETHE_FORGET`, `LETHE_RETAIN_TEST` and so on; of several
files the names stand one after another, separated as those of `PATH` are. What is not needed may be unset, and is then
no part of the deployment, where a person can still fill it in.
"""

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tasks.artifacts import BadInputError
from tasks.settings.unlearning_request import SPLITS, UnlearningRequest

SEVERAL = (*SPLITS, "prompts")
"""Fields of an `UnlearningRequest` that hold several files."""
PLACES = ("CHECKOUT", "HOME")
"""Folders that every deployment needs: where the flows are, and where they keep what they make."""


def unlearning_request() -> dict[str, Any]:
    """Return `request`, the parameter of flows that unlearn, from the environment.

    Raises:
        BadInputError: If what is needed is not set, or a file is not there.
    """
    _require_set("FORGET", "MODEL")
    return {"request": _read(UnlearningRequest)}


def evaluation_request() -> dict[str, Any]:
    """Return `request` and `judged`, the parameters of an evaluation; `LETHE_JUDGED` may be an alias of the registry,
    such as models:/NAME@unlearned.

    Raises:
        BadInputError: As `unlearning_request`.
    """
    _require_set("FORGET", "JUDGED")
    return {"request": _read(UnlearningRequest), "judged": _value("JUDGED")}


def places() -> dict[str, Any]:
    """Return no parameter, for flows that find in the register what they are to do.

    Raises:
        BadInputError: If checkout or store are not set.
    """
    _require_set()
    return {}


def monitored() -> dict[str, Any]:
    """Return `request` and `judged` of a model that is watched where `LETHE_JUDGED` names one; else neither, for the
    models of all removal requests.

    Raises:
        BadInputError: As `unlearning_request`.
    """
    return evaluation_request() if _value("JUDGED") else places()


def editing_request() -> dict[str, Any]:
    """Return `request`, the parameter of flows that edit facts, from `LETHE_MODEL` and `LETHE_EDITS`.

    Raises:
        BadInputError: As `unlearning_request`.
    """
    _require_set("EDITS", "MODEL")
    return {"request": {"model": _value("MODEL"), "edit_files": list(_files("EDITS"))}}


def _read(kind: type[UnlearningRequest]) -> dict[str, Any]:
    """Return the fields that are set."""
    found = {
        field.name: list(_files(field.name.upper())) if field.name in SEVERAL else _value(field.name.upper())
        for field in fields(kind)
    }
    return {name: value for name, value in found.items() if value}


def _require_set(*names: str) -> None:
    if missing := [f"LETHE_{name}" for name in (*PLACES, *names) if not _value(name)]:
        raise BadInputError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; wanted all of them")
    _require_there("CHECKOUT", [_value("CHECKOUT")])


def _value(name: str) -> str:
    return os.environ.get(f"LETHE_{name}", "").strip()


def _files(name: str) -> Iterable[str]:
    files = [file.strip() for file in _value(name).split(os.pathsep) if file.strip()]
    _require_there(name, files)
    return files


def _require_there(name: str, files: list[str]) -> None:
    """Refuse names of files that a worker would not find from the checkout."""
    if gone := [file for file in files if not (Path(_value("CHECKOUT")) / Path(file).expanduser()).exists()]:
        raise BadInputError(f"LETHE_{name}: {', '.join(gone)} does not exist; wanted a file or folder")
