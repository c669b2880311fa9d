"""Stage `corpus`: the user's files become cleaned documents in splits, the test part cut off before anything
is fitted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document, clean_text, hold_out, render_document
from tasks.algorithms.text.overlap import pieces
from tasks.artifacts import BadInputError, CorpusRef, InputFile
from tasks.execution.stage import stage
from tasks.inputs.documents import read_text_file
from tasks.inputs.folders import list_files
from tasks.settings.text import CorpusConfig
from tasks.storage.corpus_counts import CorpusCounts, write_counts
from tasks.storage.documents import write_documents

TESTED = {"forget": "forget_test", "retain": "retain_test"}
"""Splits whose last part is held out as a test split, where the user gives none."""
WHOLE = {test: split for split, test in TESTED.items()}
"""Test split -> what it was held out of, where the user gives none."""
KEPT = ("retain", "retain_test", "sibling", "general", "holdout")
"""Splits that should hold nothing of what is to be forgotten."""


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
        BadInputError: If a path is missing, a file is empty, no text or not UTF-8, or holds a record that cannot be
            understood, or the retain text is the forget text.
    """
    inputs = CorpusInputs(
        **{
            split: tuple(file for path in split_paths for file in _files(split, path))
            for split, split_paths in paths.items()
        }
    )
    for files in inputs.by_split().values():
        for file in files:
            read_text_file(Path(file.path))
    shared = {file.digest: file.path for file in inputs.forget}
    for file in inputs.retain:
        if file.digest in shared:
            raise BadInputError(
                f"--retain {file.path} has the same content as the forget file {shared[file.digest]}; wanted text that"
                " is to be kept"
            )
    return inputs


def _files(split: str, path: str) -> list[InputFile]:
    return [
        InputFile(path=str(file.resolve()), digest=store.file_digest(file), bytes=file.stat().st_size)
        for file in list_files(split, path).taken
    ]


def split_files(
    inputs: CorpusInputs, config: CorpusConfig, blank: Counter[str] | None = None
) -> Iterator[tuple[str, list[Document]]]:
    """Clean the files one by one and cut the test parts off.

    Args:
        inputs: The files.
        config: How they are cleaned and cut.
        blank: Split -> records that are left out since they are blank; counted here.

    Yields:
        A split and documents that belong to its end; of each file first what is held out, then the rest.

    Raises:
        BadInputError: If nothing is left of a file.
    """
    for split, files in inputs.by_split().items():
        for file in files:
            read = read_text_file(Path(file.path))
            if blank is not None and read.blank:
                blank[split] += read.blank
            documents = [_cleaned(document, config) for document in read.documents]
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
    document = read_text_file(Path(inputs.forget[0].path)).documents[0]
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
    blank, forgotten, kept = Counter[str](), set[int](), dict[str, set[int]]()
    for split, documents in split_files(inputs, config, blank):
        if documents:
            write_documents(folder / f"{split}.jsonl", documents)
            characters = sum(len(render_document(item, config.qa_template)) for item in documents)
            counts.setdefault(split, Counter()).update(documents=len(documents), characters=characters)
        given = split if getattr(inputs, split) else WHOLE[split]
        if given in KEPT:  # all of these come after what is to be forgotten
            kept.setdefault(given, set()).update(pieces(documents) & forgotten)
        elif given == "forget":
            forgotten |= pieces(documents)
    shared = {split: len(found) for split, found in kept.items() if found}
    write_counts(folder, CorpusCounts(blank=dict(blank), pieces=len(forgotten), shared=shared))
    return counts
