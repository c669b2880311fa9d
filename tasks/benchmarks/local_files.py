"""Local files of benchmarks: which there are, and whether every record has the fields that its task reads. No heavy
import here.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks import store
from tasks.algorithms.text.json_values import parse_json
from tasks.artifacts import BadInputError, InputFile
from tasks.settings.measuring import BENCHMARK_NAMES, BenchmarkingConfig

WORLD = "world"
"""The embedded world's benchmark: its questions are made, not read."""
DEFINITIONS = Path(__file__).parent
LETTERS = ("A", "B", "C", "D")
TABS = ".tsv"
"""Suffix of a file whose cells are set apart by tabs; all others hold JSON lines."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkInputs:
    """What the benchmarking stage is given, by digest."""

    tasks: tuple[str, ...] = (WORLD,)
    """Benchmarks in the order in which they are run."""
    files: dict[str, InputFile] = field(default_factory=dict)
    """Benchmark -> its local file."""
    definitions: dict[str, InputFile] = field(default_factory=dict)
    """Benchmark -> its task file, where it is ours."""

    @property
    def from_hub(self) -> tuple[str, ...]:
        """Benchmarks that lm-eval reads from the hub."""
        return tuple(name for name in self.tasks if name not in self.definitions)


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A record format."""

    files: tuple[str, ...]
    """Names of the file, the preferred one first."""
    fields: tuple[str, ...]
    check: Callable[[dict[str, Any]], tuple[str, str] | None]
    """Return the field that is wrong and what was wanted, or None."""


def _gold_fault(count: int, gold: Any) -> tuple[str, str] | None:
    fits = isinstance(gold, int) and not isinstance(gold, bool) and 0 <= gold < count
    return None if fits else ("gold", f"0 to {count - 1}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 2 and all(_is_text(text) for text in value)


def _query_fault(row: dict[str, Any]) -> tuple[str, str] | None:
    if not _is_text(row["query"]):
        return "query", "a text"
    if not _are_texts(row["choices"]):
        return "choices", "a list of two texts or more"
    return _gold_fault(len(row["choices"]), row["gold"])


def _blank_fault(row: dict[str, Any]) -> tuple[str, str] | None:
    if not _are_texts(row["context_options"]):
        return "context_options", "a list of two texts or more"
    if not _is_text(row["continuation"]):
        return "continuation", "a text"
    return _gold_fault(len(row["context_options"]), row["gold"])


def _letters_fault(row: dict[str, Any]) -> tuple[str, str] | None:
    if not _is_text(row["question"]):
        return "question", "a text"
    choices = row["choices"]
    if not (isinstance(choices, dict) and tuple(sorted(choices)) == LETTERS and _are_texts(list(choices.values()))):
        return "choices", f"a text for each of {', '.join(LETTERS)}"
    return None if row["answer"] in LETTERS else ("answer", f"one of {', '.join(LETTERS)}")


def _sentiment_fault(row: dict[str, Any]) -> tuple[str, str] | None:
    if not _is_text(row["sentence"]):
        return "sentence", "a text"
    fits = isinstance(row["label"], int) and not isinstance(row["label"], bool) and row["label"] in (0, 1)
    return None if fits else ("label", "0 or 1")


def _queries(name: str) -> _Format:
    return _Format(files=(f"{name}.jsonl",), fields=("query", "choices", "gold"), check=_query_fault)


FORMATS = {name: _queries(name) for name in ("arc_easy", "arc_challenge", "boolq", "piqa")} | {
    "hellaswag": _Format(
        files=("hellaswag.jsonl", "hellaswag_2000.jsonl"),
        fields=("question", "choices", "answer"),
        check=_letters_fault,
    ),
    "winogrande": _Format(
        files=("winogrande.jsonl",), fields=("context_options", "continuation", "gold"), check=_blank_fault
    ),
    # GLUE's own file of the validation split is SST-2/dev.tsv
    "sst2": _Format(files=("sst2.jsonl", "sst2.tsv", "dev.tsv"), fields=("sentence", "label"), check=_sentiment_fault),
}
"""Benchmark -> format of its local file."""


def gather_benchmarks(config: BenchmarkingConfig, folder: str | None = None) -> BenchmarkInputs:
    """Find and check the local files of the benchmarks; nothing is run.

    Args:
        config: Which benchmarks; where it names only the world's and there is a folder, all whose files are there are
            added.
        folder: Folder with the files.

    Raises:
        BadInputError: If the folder is missing or holds none of the files, or a record does not have the fields of its
            format.
    """
    paths = _files(Path(folder).expanduser()) if folder else {}
    tasks = config.tasks
    if folder and tasks == BenchmarkingConfig().tasks:
        tasks = (*tasks, *(name for name in BENCHMARK_NAMES if name in paths))
    files = {name: _record(paths[name]) for name in tasks if name in paths}
    for name, file in files.items():
        _check_number(file, len(read_rows(name, Path(file.path))), config.num_fewshot)
    return BenchmarkInputs(
        tasks=tasks,
        files=files,
        definitions={name: _record(definition(name)) for name in tasks if name == WORLD or name in files},
    )


def definition(name: str) -> Path:
    """Return our task file of a benchmark."""
    return DEFINITIONS / f"lethe_{name}.yaml"


def _record(file: Path) -> InputFile:
    return InputFile(path=str(file.resolve()), digest=store.file_digest(file), bytes=file.stat().st_size)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise BadInputError(f"--benchmark-data {folder} is no folder; wanted one with any of {_all_files()}")
    there = {
        name: [folder / file for file in layout.files if (folder / file).is_file()] for name, layout in FORMATS.items()
    }
    if not any(there.values()):
        raise BadInputError(f"--benchmark-data {folder} holds no benchmark; wanted any of {_all_files()}")
    return {name: paths[0] for name, paths in there.items() if paths}


def _all_files() -> str:
    return ", ".join(file for layout in FORMATS.values() for file in layout.files)


def _check_number(file: InputFile, examples: int, shots: int) -> None:
    if shots and examples < shots + 2:  # lm-eval draws one more, lest the question itself be among them
        raise BadInputError(
            f"{file.path} holds {examples} examples; wanted {shots + 2} or more where benchmarking.num_fewshot is"
            f" {shots}"
        )


def read_rows(name: str, file: Path) -> list[dict[str, Any]]:
    """Read the records of a benchmark's local file, with the fields that its task reads and no others.

    Raises:
        BadInputError: If the file is empty or not UTF-8, or a record is not of the format (file, line and field named).
    """
    form = "rows with tabs" if file.suffix == TABS else "JSON lines"
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # `splitlines` would cut at rarer ends within a text
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{file}: byte {error.object[error.start]:#04x} is not UTF-8; wanted UTF-8 {form}"
        ) from None
    records = (_tabbed if file.suffix == TABS else _json_lines)(str(file), lines)
    rows = [_row(FORMATS[name], place, record) for place, record in records]
    if not rows:
        raise BadInputError(f"{file} is empty; wanted {form} with {', '.join(FORMATS[name].fields)}")
    return rows


def _json_lines(file: str, lines: list[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{file}, line {number}"
            try:
                yield place, parse_json(line)
            except ValueError as error:
                raise BadInputError(f"{place}: {error}; wanted one JSON record a line") from None


def _tabbed(file: str, lines: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read rows whose first has the fields' names; whole numbers become numbers, quotation marks are letters like
    others.
    """
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in reader:
        cells = {name: _number(cell) for name, cell in row.items() if name}
        yield f"{file}, line {reader.line_num}", cells


def _number(cell: Any) -> Any:
    return int(cell) if isinstance(cell, str) and re.fullmatch("[0-9]{1,9}", cell) else cell


def _row(layout: _Format, place: str, record: Any) -> dict[str, Any]:
    missing = [name for name in layout.fields if not isinstance(record, dict) or name not in record]
    if missing:
        raise BadInputError(f"{place}: no field `{missing[0]}`; wanted {', '.join(layout.fields)}")
    row = {name: record[name] for name in layout.fields}
    if fault := layout.check(row):
        raise BadInputError(f"{place}: field `{fault[0]}` is {_shown(row[fault[0]])}; wanted {fault[1]}")
    return row


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
