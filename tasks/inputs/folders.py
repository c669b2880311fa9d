"""Which files of a folder are read, and which are left: hidden ones, empty ones, and those that hold no plain text."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.artifacts import BadInputError
from tasks.inputs.plain_text import other_kind

NAMED = 8
"""Files that are named in a line at most."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of a path."""

    taken: list[Path]
    """In order; the path itself where it is a file."""
    left: dict[str, list[Path]] = field(default_factory=dict)
    """Why files are not read -> these files."""

    def in_words(self) -> str:
        """Say what is read and what is not."""
        left = ", ".join(f"{_named(files)} ({why})" for why, files in self.left.items())
        return f"read: {_named(self.taken)}" + (f"; left: {left}" if left else "")


def list_files(split: str, path: str) -> Listing:
    """Return the files of a path.

    Args:
        split: What it is given for, for messages.
        path: A file, or a folder with its folders.

    Raises:
        BadInputError: If it is neither, empty, or holds nothing that can be read, or a link leads out of it.
    """
    if not path.strip():
        raise BadInputError(f"{split}: an empty path was given; wanted a file or a folder")
    root = Path(path).expanduser()
    if not root.exists():
        raise BadInputError(f"{split}: {path} does not exist; wanted a file or a folder")
    if root.is_file():
        return Listing(taken=[root])
    if not root.is_dir():
        raise BadInputError(f"{split}: {path} is neither a file nor a folder; wanted one of them")
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    if outside := next((file for file in shown if not file.resolve().is_relative_to(root.resolve())), None):
        raise BadInputError(
            f"{split}: {outside} is a link that leads out of the folder {path}; wanted the file itself there"
        )
    reasons = {file: "empty" if not file.stat().st_size else _reason(file) for file in shown}
    left = {"hidden": [file for file in files if file not in reasons]} | {
        why: [file for file in shown if reasons[file] == why] for why in dict.fromkeys(reasons.values()) if why
    }
    listing = Listing(
        taken=[file for file in shown if not reasons[file]], left={why: files for why, files in left.items() if files}
    )
    if not listing.taken:
        beside = f" that can be read, {listing.in_words().partition('; ')[2]}" if listing.left else ""
        raise BadInputError(
            f"{split}: the folder {path} holds no files{beside}; wanted text, Markdown or JSON-lines files"
        )
    return listing


def _reason(file: Path) -> str:
    return other_kind(file).partition("; ")[0].partition(",")[0].removeprefix("is ")


def _named(files: Iterable[Path]) -> str:
    names = [file.name for file in files]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
