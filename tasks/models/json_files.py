"""JSON files of model folders, which users bring: damaged ones are named."""

import json
from pathlib import Path
from typing import Any

from tasks.algorithms.text.json_values import require_letters
from tasks.artifacts import BadInputError


def read_object(file: Path, given: str) -> dict[str, Any]:
    """Return what a JSON file says.

    Args:
        file: The file.
        given: What to call its folder in messages.

    Raises:
        BadInputError: If it is no JSON object, or nested too deeply.
    """
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text)
        require_letters(text, found)
    except RecursionError:
        raise BadInputError(f"{given}: {file.name} is nested too deeply; wanted a JSON object") from None
    except ValueError as error:
        raise BadInputError(f"{given}: {file.name} cannot be read ({error}); wanted a JSON object") from None
    if not isinstance(found, dict):
        raise BadInputError(f"{given}: {file.name} holds a {type(found).__name__}; wanted a JSON object")
    return found
