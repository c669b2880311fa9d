"""Watch a command and all its processes from inside: which heavy libraries each loads, and what each is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "spacy",
    "sklearn",
    "matplotlib",
    "lm_eval",
    "datasets",
    "langchain_core",
)
_SITE = f"""
import atexit, json, os, sys

HEAVY = {set(HEAVY)!r}


def tell(what, value):
    with open(os.environ["LETHE_WATCHED"], "a") as stream:
        stream.write(json.dumps([os.getpid(), what, value]) + "\\n")


def watch(event, details):
    if event == "import" and details[0] in HEAVY:
        tell("loads", details[0])


tell("command", sys.orig_argv)
sys.addaudithook(watch)
atexit.register(lambda: tell("has loaded", sorted(HEAVY & set(sys.modules))))
"""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One Python process of a command."""

    command: str
    loads: tuple[str, ...]
    """Heavy libraries whose import it began."""
    at_end: tuple[str, ...] | None
    """Those in its `sys.modules` when it ended; None where it was killed."""


def watching(folder: Path, path: str) -> Mapping[str, str]:
    """Return what the environment of a command needs to be watched, whose PYTHONPATH is `path`."""
    (folder / "sitecustomize.py").write_text(_SITE)
    return {"PYTHONPATH": f"{folder}:{path}", "LETHE_WATCHED": str(folder / "seen")}


def watched(folder: Path) -> list[Watched]:
    """Return the processes in the order of their start."""
    rows = [json.loads(line) for line in (folder / "seen").read_text().splitlines()]
    told = {process: {what: [] for what in ("command", "loads", "has loaded")} for process, _, _ in rows}
    for process, what, value in rows:
        told[process][what].append(value)
    return [
        Watched(
            command=" ".join(found["command"][0]),
            loads=tuple(found["loads"]),
            at_end=tuple(found["has loaded"][0]) if found["has loaded"] else None,
        )
        for found in told.values()
    ]
