"""How stages take a large forget text: seconds of processor time and the rise of the peak memory, a stage at a time.

    python -m tests.benchmarks.input_scale --data DATA [--megabytes 10] [--files 1] [--model FOLDER]

DATA holds `books/`. The books are repeated to the wanted size, with the names of every copy varied, so that the
vocabulary grows with the text as that of a large corpus does. Every stage runs in a process of its own; the rise is
that of its peak resident memory over what it held when all modules were loaded, as Linux counts it.

With a model the stages that run it follow: the blocks that reinforcement trains on, labels (the model is its own
reinforced one: the numbers mean nothing, their size does), the batches that are read back from them, a shuffled epoch
of these, and a teacher cache of the whole text. The rise includes the weights; seconds are one thread's with
OMP_NUM_THREADS=1. Labels take about 1.8 KB of disk a token at a hidden size of 192.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tasks.algorithms.text.corpus import clean_text  # noqa: E402
from tasks.anchors import extract_anchors  # noqa: E402
from tasks.artifacts import CheckpointRef  # noqa: E402
from tasks.corpus import gather_inputs, read_corpus  # noqa: E402
from tasks.models import vocabularies  # noqa: E402
from tasks.models.checkpoints import inspect_model  # noqa: E402
from tasks.models.loading import load_tokenizer, separator_id  # noqa: E402
from tasks.settings.assistants import TranslationConfig  # noqa: E402
from tasks.settings.labels import LabelConfig  # noqa: E402
from tasks.settings.text import AnchorConfig, CorpusConfig  # noqa: E402
from tasks.storage.documents import StoredDocuments  # noqa: E402
from tests.benchmarks.processes import PeakMemory, in_fresh_process  # noqa: E402

BACKGROUND = "doyle_the_lost_world.txt"
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
MEGABYTE = 1_000_000
Figures = dict[str, dict[str, float]]
"""Stage -> what it took."""


def large_text(books: list[str], size: int) -> Iterator[str]:
    """Yield the books again and again, `size` characters in all; from the second time on names have other endings."""
    written = 0
    for copy in range(size):
        for book in books:
            text = _NAME.sub(lambda match, copy=copy: match.group() + _ending(copy), book)[: size - written]
            written += len(text)
            yield text + "\n\n"
            if written >= size:
                return


def _ending(copy: int) -> str:
    return "".join("aeiou"[int(digit) % 5] + "rnlmd"[int(digit) // 2] for digit in str(copy)) if copy else ""


def measured(stage: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Run a stage in a fresh process; return its record, its seconds of processor time and the megabytes that its peak
    rose by.
    """
    return in_fresh_process(_measure, stage, arguments)


def _measure(stage: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
    import spacy  # noqa: F401 - the libraries' own weight is no matter of the text
    from transformers.models.llama import modeling_llama  # noqa: F401

    import tasks.finetune
    import tasks.labels
    import tasks.teacher_cache
    import tasks.translation  # noqa: F401

    peak, started = PeakMemory(), time.process_time()
    record = stage(*arguments)
    return record, time.process_time() - started, peak.megabytes()


def corpus_stage(forget: list[str], retain: list[str]) -> Any:
    """Read as a run does: the command line checks all files first."""
    return read_corpus.body(gather_inputs(forget=forget, retain=retain), CorpusConfig())


def anchors_stage(corpus: Any) -> Any:
    """Find the anchors with the project's own pipeline."""
    return extract_anchors.body(corpus, AnchorConfig(pipeline="lethe_ruled_en"), CorpusConfig())


def translation_stage(anchors: Any, corpus: Any) -> Any:
    """Translate the anchors by the rules."""
    from tasks.translation import translate_anchors

    return translate_anchors.body(anchors, corpus, TranslationConfig(), CorpusConfig())


def blocks_stage(corpus: Any, model: CheckpointRef) -> int:
    """Make the blocks that reinforcement trains on."""
    from tasks.algorithms.tokens.text_blocks import text_blocks

    tokenizer = load_tokenizer(model)
    template, documents = vocabularies.question_template(tokenizer, CorpusConfig()), StoredDocuments(corpus, "forget")
    return len(
        text_blocks(documents, tokenizer, template, LabelConfig().block_size, separator_id(tokenizer)).with_targets()
    )


def labels_stage(corpus: Any, dictionary: Any, model: CheckpointRef) -> Any:
    """Make the labels, the model as its own reinforced one."""
    from tasks.labels import make_labels

    return make_labels.body(corpus, dictionary, model, model, LabelConfig(), CorpusConfig())


def epoch_stage(labels: Any) -> int:
    """Read the labels of all blocks, in a shuffled order, eight blocks at a time."""
    from tasks.algorithms.training.loop import shuffled
    from tasks.storage.label_files import LabelRows

    rows = LabelRows(labels)
    order = shuffled(len(rows), 0, 0)
    return sum(len(rows.labels(order[start : start + 8]).hard) for start in range(0, len(order), 8))


def teacher_stage(corpus: Any, model: CheckpointRef) -> Any:
    """Cache the model's states on the retain text."""
    from tasks.teacher_cache import cache_teacher

    return cache_teacher.body(corpus, model, LabelConfig().block_size, CorpusConfig())


def model_stages(
    figures: Figures, model: CheckpointRef, corpus: Any, anchors: Any, forget: list[str], retain: str
) -> None:
    """Measure the stages that run a model; for the teacher cache the large text is what is to be kept."""
    dictionary = shown(figures, "translation", measured(translation_stage, anchors, corpus))
    blocks = shown(figures, "blocks", measured(blocks_stage, corpus, model))
    labels = shown(figures, "labels", measured(labels_stage, corpus, dictionary, model))
    rows = shown(figures, "epoch", measured(epoch_stage, labels))
    figures["labels"]["positions"] = rows
    print(
        f"{blocks} blocks to train on; {labels.blocks} blocks and {rows:,} positions with labels,"
        f" {labels.dropped_share:.1%} dropped"
    )
    teacher = shown(figures, "teacher", measured(teacher_stage, corpus_stage([retain], forget), model))
    figures["teacher"]["positions"] = teacher.tokens


def main() -> None:
    """Measure, record and print; a further stage takes the record of one before it and gets a line of its own."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--model")
    asked = parser.parse_args()
    record, figures = recording.begin(asked.results), {}
    with tempfile.TemporaryDirectory() as folder:
        environment_home(Path(folder))
        forget, retain = write_inputs(asked.data / "books", Path(folder), int(asked.megabytes * MEGABYTE), asked.files)
        corpus = shown(figures, "corpus", measured(corpus_stage, forget, [retain]))
        anchors = shown(figures, "anchors", measured(anchors_stage, corpus))
        print(f"{sum(corpus.characters.values()):,} characters, {asked.files} forget files, {anchors.anchors} anchors")
        if asked.model:
            model_stages(figures, inspect_model(asked.model, "target"), corpus, anchors, forget, retain)
    record.write("input_scale", figures)


def environment_home(folder: Path) -> None:
    """Let the stages, in their own processes too, write below the folder."""
    os.environ["LETHE_HOME"] = str(folder / "home")


def write_inputs(books: Path, folder: Path, size: int, files: int) -> tuple[list[str], str]:
    """Write the forget text into as many files; the background is a book by itself."""
    cleaning = CorpusConfig(join_lines=False)
    texts = [
        clean_text(path.read_text(encoding="utf-8-sig"), cleaning)
        for path in sorted(books.glob("*.txt"))
        if path.name != BACKGROUND
    ]
    whole = "".join(large_text(texts, size))
    paths = [folder / f"forget-{number}.txt" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_text(whole[number * size // files : (number + 1) * size // files], encoding="utf-8")
    return [str(path) for path in paths], str(books / BACKGROUND)


def shown(figures: Figures, name: str, found: tuple[Any, float, float]) -> Any:
    """Note and print a stage's figures, and return its record."""
    record, seconds, megabytes = found
    figures[name] = {"megabytes": megabytes, "seconds": seconds}
    print(f"{name:11} {seconds:6.1f} s, peak +{megabytes:.0f} MB", flush=True)
    return record


if __name__ == "__main__":
    main()
