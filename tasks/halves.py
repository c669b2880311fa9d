"""Stage `halves`: a corpus of which every test split holds one half, so that a method is chosen by one and judged by
the other.
"""

import shutil
from pathlib import Path
from typing import Literal

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document, render_document
from tasks.algorithms.text.halves import halve
from tasks.artifacts import BadInputError, CorpusRef
from tasks.execution.stage import stage
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents, write_documents

Half = Literal["choosing", "untouched"]
ASKED = "forget_test"
"""What is to be forgotten, as the verdict asks for it."""
HALVED = (ASKED, "retain_test", "sibling", "general", "holdout")
"""Splits that verdicts look at, and that no training does but a rewind, which chooses too."""


@stage("halves", isolated=False)
def take_half(
    corpus: CorpusRef, half: Half, seed: int, corpus_config: CorpusConfig, run: str | None = None
) -> CorpusRef:
    """Keep one half of every test split; what is trained on stays whole.

    A split with a single question or paragraph stays whole in both halves, but for the forget text's.

    Raises:
        BadInputError: If what is to be forgotten cannot be halved.
    """
    with tracking.stage_run(run, f"halves {half}", {"half": half, "seed": seed}) as nested:
        kept = {
            split: _half(split, read_documents(corpus, split), half, seed)
            for split in HALVED
            if split == ASKED or corpus.documents.get(split)
        }
        digest = store.put("corpora", lambda folder: _write(folder, corpus, kept), sensitivity="forget")
        template = corpus_config.qa_template
        sizes = {split: sum(len(render_document(item, template)) for item in items) for split, items in kept.items()}
        return CorpusRef(
            kind="corpora",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            documents=corpus.documents | {split: len(items) for split, items in kept.items()},
            characters=corpus.characters | sizes,
        )


def _half(split: str, documents: list[Document], half: Half, seed: int) -> list[Document]:
    choosing, untouched = halve(documents, seed)
    if not untouched and split == ASKED:
        raise BadInputError(
            f"--method auto: {split} has {len(documents)} question or paragraph, and one to choose by and one to judge"
            " by are the least; wanted more text, or --forget-test FILE, or a method by name"
        )
    return (choosing if half == "choosing" else untouched) if untouched else documents


def _write(folder: Path, corpus: CorpusRef, kept: dict[str, list[Document]]) -> None:
    for file in sorted(store.path(corpus).iterdir()):
        if file.name != store.MANIFEST and file.stem not in kept:
            shutil.copy(file, folder / file.name)
    for split, documents in kept.items():
        write_documents(folder / f"{split}.jsonl", documents)
