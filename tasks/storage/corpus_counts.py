"""What was noticed while a corpus was read, in counts alone: no text, no file's name."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks import store
from tasks.artifacts import CorpusRef
from tasks.storage.plain_files import read_json, write_json

FILE = "counts.json"


@dataclass(frozen=True, kw_only=True)
class CorpusCounts:
    """Counts of a corpus."""

    blank: dict[str, int] = field(default_factory=dict)
    """Split -> records without a letter, which were left out."""
    pieces: int = 0
    """Questions and paragraphs that are to be forgotten."""
    shared: dict[str, int] = field(default_factory=dict)
    """Split whose text is not to be forgotten -> how many of these stand there too."""


def write_counts(folder: Path, counts: CorpusCounts) -> None:
    """Write the counts beside the splits."""
    write_json(folder / FILE, asdict(counts))


def read_counts(corpus: CorpusRef) -> CorpusCounts:
    """Read what `write_counts` wrote; nothing where the corpus was made otherwise."""
    file = store.path(corpus) / FILE
    return CorpusCounts(**read_json(file)) if file.is_file() else CorpusCounts()
