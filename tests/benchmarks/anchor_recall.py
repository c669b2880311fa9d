"""How many names of a novel are among its first 60 anchors, with the project's own pipeline; the other books are the
background.

    python -m tests.benchmarks.anchor_recall --data DATA [--book NAME] [--verbose]    (rows of other books stay in the
    result)

DATA holds `books/`. The names were listed by hand; `tests/book_names.py` says what counts as one of them. Books marked
`*` are those on which the rules may have been improved.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.algorithms.text.corpus import clean_text
from tasks.algorithms.text.distinctive import select_anchors
from tasks.anchors import find_entities
from tasks.inputs.english_pipeline import ruled_pipeline
from tasks.settings.text import AnchorConfig, CorpusConfig
from tests.benchmarks import recording
from tests.stand_ins.book_names import BOOK_NAMES, TUNED, recall_and_precision

TOP = 60
RECALL, PRECISION = 0.85, 0.6
"""What is required of the books in TUNED."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was found of a book's names."""

    listed: int
    shown: int
    """Anchors, TOP at most."""
    missed: list[str]
    wrong: list[str]
    """Anchors that are a form of no listed name."""
    seconds: float

    @property
    def recall(self) -> float:
        """Share of the listed names that are found."""
        return 1 - len(self.missed) / self.listed

    @property
    def precision(self) -> float:
        """Share of the anchors that are a form of a listed name."""
        return 1 - len(self.wrong) / self.shown


def read_books(data: Path) -> dict[str, str]:
    """Return book -> cleaned text."""
    return {
        path.stem: clean_text(path.read_text(encoding="utf-8-sig"), CorpusConfig())
        for path in sorted((data / "books").glob("*.txt"))
    }


def measure(book: str, texts: Mapping[str, str]) -> Figures:
    """Find the anchors of a book against all others."""
    started = time.perf_counter()
    entities = find_entities(ruled_pipeline(), [texts[book]])
    found = select_anchors(
        entities, [texts[book]], [text for name, text in texts.items() if name != book], AnchorConfig()
    )[:TOP]
    seconds = time.perf_counter() - started
    missed, wrong = recall_and_precision([anchor.term for anchor in found], BOOK_NAMES[book])
    return Figures(listed=len(BOOK_NAMES[book]), shown=len(found), missed=missed, wrong=wrong, seconds=seconds)


def recorded(book: str, found: Figures) -> dict[str, Any]:
    """Return the figures of a book's row."""
    counts = {"recall": found.recall, "precision": found.precision, "listed": found.listed, "shown": found.shown}
    return {**counts, "seconds": found.seconds, "rules improved on it": book in TUNED}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--book", choices=BOOK_NAMES, action="append")
    parser.add_argument("--verbose", action="store_true", help="Name what is missed and what is wrong.")
    asked = parser.parse_args()
    record, texts = recording.begin(asked.results), read_books(asked.data)
    found = {book: measure(book, texts) for book in asked.book or BOOK_NAMES}
    record.write("anchor_recall", {book: recorded(book, figures) for book, figures in found.items()}, keep=True)
    if asked.verbose:
        for book, figures in found.items():
            print(f"{book}\n  missed: {', '.join(figures.missed)}\n  wrong: {', '.join(figures.wrong)}")


if __name__ == "__main__":
    main()
