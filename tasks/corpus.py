"""Stage `corpus`: the user's files become cleaned documents in splits, the test part cut off before anything
is fitted.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document, clean_text, hold_out, render_document
from tasks.artifacts import BadInputError, CorpusRef, InputFile
from tasks.execution.stage import stage
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents

TESTED = {"forget": "forget_test", "retain": "retain_test"}
"""Splits whose last part is held out as a test split, where the user gives none."""


@dataclass(frozen=True, kw_only=True)
class CorpusInputs:
    """The files of every split."""

    forget: tuple[InputFile, ...] = ()
    """What is to be forgotten."""
    retain: tuple[InputFile, ...] = ()
    """What is to be kept, used in training."""
    forget_test: tuple[InputFile, ...] = ()
    """The same topic, used in no stage."""
    retain_test: tuple[InputFile, ...] = ()
    """To be kept, used in no stage."""
    sibling: tuple[InputFile, ...] = ()
    """A near topic, used in no stage."""
    general: tuple[InputFile, ...] = ()
    """Ordinary prose, used in no stage."""
    holdout: tuple[InputFile, ...] = ()
    """Never seen by the target model."""

    def by_split(self) -> dict[str, list[InputFile]]:
        """Return split -> files, without empty splits."""
        return {field.name: list(getattr(self, field.name)) for field in fields(self) if getattr(self, field.name)}


def gather_inputs(**paths: Sequence[str]) -> CorpusInputs:
    """Find and check the files of every split; nothing is written.

    Raises:
        BadInputError: If a path is missing, a file is empty, binary, not UTF-8 or holds a record that does not parse,
            or the retain text is the forget text.
    """
    inputs = CorpusInputs(
        **{
            split: tuple(file for path in split_paths for file in _files(split, path))
            for split, split_paths in paths.items()
        }
    )
    for files in inputs.by_split().values():
        for file in files:
            parse_file(Path(file.path))
    shared = {file.digest: file.path for file in inputs.forget}
    for file in inputs.retain:
        if file.digest in shared:
            raise BadInputError(
                f"--retain {file.path} has the same content as the forget file {shared[file.digest]}; wanted text that"
                " is to be kept"
            )
    return inputs


def _files(split: str, path: str) -> list[InputFile]:
    if not path.strip():
        raise BadInputError(f"{split}: an empty path was given; wanted a file or a folder")
    root = Path(path).expanduser()
    if not root.exists():
        raise BadInputError(f"{split}: {path} does not exist; wanted a file or a folder")
    if not root.is_file() and not root.is_dir():
        raise BadInputError(f"{split}: {path} is neither a file nor a folder; wanted one of them")
    files = (
        [root]
        if root.is_file()
        else sorted(file for file in root.rglob("*") if file.is_file() and not file.name.startswith("."))
    )
    if outside := next((file for file in files if not file.resolve().is_relative_to(root.resolve())), None):
        raise BadInputError(
            f"{split}: {outside} is a link that leads out of the folder {path}; wanted the file itself there"
        )
    if not files:
        raise BadInputError(f"{split}: the folder {path} holds no files; wanted text, Markdown or JSON-lines files")
    return [
        InputFile(path=str(file.resolve()), digest=store.file_digest(file), bytes=file.stat().st_size) for file in files
    ]


def parse_file(path: Path) -> list[Document]:
    """Read one file: JSON or JSON-lines records by their content, everything else as UTF-8 prose, not yet cleaned.

    Raises:
        BadInputError: If it is empty, binary, not UTF-8, or a record does not parse (file and line named).
    """
    raw = path.read_bytes()
    if b"\x00" in raw[:65536]:
        raise BadInputError(f"{path} is a binary file; wanted UTF-8 text or JSON-lines records")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadInputError(
            f"{path}, line {line}: byte {raw[error.start]:#04x} is not UTF-8; wanted UTF-8 text"
        ) from None
    if not text.strip():
        raise BadInputError(f"{path} is empty; wanted text or JSON-lines records")
    rows = _rows(path, text)
    return (
        [Document(source=path.name, text=text)] if rows is None else [_document(path, line, row) for line, row in rows]
    )


def _rows(path: Path, text: str) -> list[tuple[int, Any]] | None:
    """Return (line, record) pairs if the content is JSON, None if it is prose."""
    start = text.lstrip()[0]
    if start not in "{[":
        return None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return (
            [_row(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
            if start == "{"
            else None
        )
    return [(1, whole)] if isinstance(whole, dict) else list(enumerate(whole, 1))


def _row(path: Path, number: int, line: str) -> tuple[int, Any]:
    try:
        return number, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}, line {number}: {error}; wanted one JSON record a line") from None


def _document(path: Path, line: int, row: Any) -> Document:
    source = f"{path.name}:{line}"
    fact = row["fact"] if isinstance(row, dict) and isinstance(row.get("fact"), str) else ""
    if isinstance(row, dict) and isinstance(row.get("text"), str) and row["text"].strip():
        return Document(source=source, text=row["text"], fact=fact)
    if not isinstance(row, dict) or not all(
        isinstance(row.get(name), str) and row[name].strip() for name in ("question", "answer")
    ):
        contents = ", ".join(sorted(row)) if isinstance(row, dict) else type(row).__name__
        raise BadInputError(
            f"{path}, line {line}: the record has {contents}; wanted `text`, or `question` and `answer`, as non-empty"
            " texts"
        )
    optional = {
        name: row[name] for name in ("paraphrased_question", "paraphrased_answer") if isinstance(row.get(name), str)
    }
    false = row.get("perturbed_answer") or ()
    false = (false,) if isinstance(false, str) else tuple(str(answer) for answer in false)
    return Document(
        source=source,
        question=row["question"].strip(),
        answer=row["answer"].strip(),
        perturbed_answer=false,
        fact=fact,
        **optional,
    )


def split_files(inputs: CorpusInputs, config: CorpusConfig) -> Iterator[tuple[str, list[Document]]]:
    """Clean the files one by one and cut the test parts off.

    Yields:
        A split and documents that belong to its end; of each file first what is held out, then the rest.

    Raises:
        BadInputError: If nothing is left of a file.
    """
    for split, files in inputs.by_split().items():
        for file in files:
            documents = [_cleaned(document, config) for document in parse_file(Path(file.path))]
            if not any(document.is_question or document.text for document in documents):
                raise BadInputError(f"{file.path}: nothing is left after cleaning; wanted text")
            test = TESTED.get(split)
            if test and not getattr(inputs, test):
                documents, held_out = hold_out(documents, config.test_share)
                yield test, held_out
            yield split, documents


def _cleaned(document: Document, config: CorpusConfig) -> Document:
    return document if document.is_question else replace(document, text=clean_text(document.text, config))


def cleaning_sample(inputs: CorpusInputs, config: CorpusConfig, characters: int = 400) -> tuple[str, str]:
    """Return the beginning of the first forget file before and after cleaning, for a person to check."""
    document = parse_file(Path(inputs.forget[0].path))[0]
    after = render_document(_cleaned(document, config), config.qa_template)
    return (document.text or after)[:characters], after[:characters]


@stage("corpus", isolated=False)
def read_corpus(inputs: CorpusInputs, config: CorpusConfig, run: str | None = None) -> CorpusRef:
    """Read, clean and cut all input."""
    with tracking.stage_run(run, "corpus", config) as nested:
        written: dict[str, Counter[str]] = {}
        digest = store.put(
            "corpora", lambda folder: written.update(_write(folder, inputs, config)), sensitivity="forget"
        )
        tracking.log_metrics(
            nested, {f"characters/{split}": float(count["characters"]) for split, count in written.items()}
        )
        return CorpusRef(
            kind="corpora",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            documents={split: count["documents"] for split, count in written.items()},
            characters={split: count["characters"] for split, count in written.items()},
        )


def _write(folder: Path, inputs: CorpusInputs, config: CorpusConfig) -> dict[str, Counter[str]]:
    """Write every split's documents as they come, one file's at a time, and count them."""
    counts: dict[str, Counter[str]] = {}
    for split, documents in split_files(inputs, config):
        if documents:
            write_documents(folder / f"{split}.jsonl", documents)
            characters = sum(len(render_document(item, config.qa_template)) for item in documents)
            counts.setdefault(split, Counter()).update(documents=len(documents), characters=characters)
    return counts
