"""Local benchmark files in the formats that `--benchmark-data` reads, made up of plain words."""

import json
import random
from pathlib import Path
from typing import Any

WORDS = "river market barn farmer baker miller morning winter bread stone garden letter lamp wheel horse window".split()
LETTERS = "ABCD"
NAMES = ("arc_easy", "arc_challenge", "boolq", "hellaswag", "piqa", "winogrande", "sst2")


def _phrase(drawn: random.Random, words: int = 5) -> str:
    return " ".join(drawn.choices(WORDS, k=words))


def _query(drawn: random.Random, choices: int) -> dict[str, Any]:
    return {
        "query": f"Question: Why the {_phrase(drawn)}?",
        "choices": [f"The {_phrase(drawn)}." for _ in range(choices)],
        "gold": drawn.randrange(choices),
    }


def _boolq(drawn: random.Random) -> dict[str, Any]:
    query = f"Passage: The {_phrase(drawn, 8)}.\nQuestion: is the {_phrase(drawn, 3)}?"
    return {"query": query, "choices": ["no", "yes"], "gold": drawn.randrange(2)}


def _piqa(drawn: random.Random) -> dict[str, Any]:
    row = _query(drawn, 2)
    return {**row, "query": row["query"] + "\n"}


def _hellaswag(drawn: random.Random) -> dict[str, Any]:
    choices = {letter: f"{_phrase(drawn)} [title] {_phrase(drawn, 2)} [step] end." for letter in LETTERS}
    question = f"[header] How to {_phrase(drawn)} [title] The {_phrase(drawn)}."
    return {
        "question": question,
        "choices": choices,
        "answer": drawn.choice(LETTERS),
        "id": drawn.randrange(9),
        "domain": "indomain",
    }


def _winogrande(drawn: random.Random) -> dict[str, Any]:
    start = f"The {_phrase(drawn, 3)} met the {_phrase(drawn, 2)} because the"
    return {
        "context_options": [f"{start} {word}" for word in drawn.sample(WORDS, 2)],
        "continuation": f"was {_phrase(drawn, 2)}.",
        "gold": drawn.randrange(2),
    }


def _sst2(drawn: random.Random) -> dict[str, Any]:
    return {"sentence": f"the {_phrase(drawn)} . ", "label": drawn.randrange(2)}


MAKERS = {
    "arc_easy": lambda drawn: _query(drawn, drawn.choice((3, 4, 5))),
    "arc_challenge": lambda drawn: _query(drawn, 4),
    "boolq": _boolq,
    "hellaswag": _hellaswag,
    "piqa": _piqa,
    "winogrande": _winogrande,
    "sst2": _sst2,
}


def records(name: str, examples: int = 12) -> list[dict[str, Any]]:
    """Return the records of a benchmark, the same at every call."""
    drawn = random.Random(name)
    return [MAKERS[name](drawn) for _ in range(examples)]


def write_records(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_benchmarks(folder: Path, examples: int = 12) -> Path:
    """Write the files of all benchmarks into a new folder."""
    folder.mkdir()
    for name in NAMES:
        write_records(folder / f"{name}.jsonl", records(name, examples))
    return folder
