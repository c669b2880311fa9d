"""What a sharpness-aware training step costs beside a plain one.

    python -m tests.benchmarks.sharpness [--methods whp npo undial] [--layers 4] [--hidden 256] [--rows 8] [--tokens
    128] [--steps 8] [--rounds 3]

A random Llama over the embedded world's text, float32, one thread, answers of the frozen models from the cache. Both
ways are timed in the same process, by turns; the seconds are medians over all steps but the first two of each turn.
`whp` is its finetuning on generic labels, where the forget term is that of the labels.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef  # noqa: E402 - the environment comes first
from tests.benchmarks.processes import in_fresh_process  # noqa: E402
from tests.benchmarks.teacher import First, make_cache, readable, write_world  # noqa: E402

RHO = 0.3
WAYS = {"plain": 0.0, "sharp": RHO}
SKIPPED = 2
"""Steps at the beginning of a turn that are not counted."""
NAMES = 40
"""Words that stand in for the topic's names."""


def by_turns(name: str, asked: argparse.Namespace, corpus: CorpusRef, target: CheckpointRef) -> dict[str, list[float]]:
    """Return the seconds of every step that counts, plain and sharp."""
    import torch

    torch.set_num_threads(1)
    take = (_finetuning if name == "whp" else _objective)(name, asked, corpus, target)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(asked.rounds):
        for way, rho in WAYS.items():
            marks = [time.perf_counter()]
            take(rho, lambda step, metrics, marks=marks: marks.append(time.perf_counter()))
            found[way] += [later - earlier for earlier, later in itertools.pairwise(marks)][SKIPPED:]
    return found


Take = Callable[[float, Callable[[int, Any], None]], None]
"""Trains a fresh student for some steps with a radius."""


def _objective(name: str, asked: argparse.Namespace, corpus: CorpusRef, target: CheckpointRef) -> Take:
    from tasks.algorithms.training.loop import EpochBatches, train
    from tasks.models.loading import load_model, load_tokenizer, pad_id
    from tasks.objective_training import ObjectiveRows
    from tasks.settings.gradient_unlearning import gradient_preset
    from tasks.settings.objective_training import UnlearningConfig
    from tasks.settings.objectives.table import OBJECTIVES
    from tasks.training.reference_rows import ReferenceRows

    settings = gradient_preset(name, "default").objective
    made = resolve_name(OBJECTIVES[name].loss)(settings)
    reference, pad = make_cache(settings, asked, corpus, target, stored=True), pad_id(load_tokenizer(target))

    def take(rho: float, on_step: Callable[[int, Any], None]) -> None:
        config = UnlearningConfig(
            batch_blocks=asked.rows, retain_batch=asked.rows, least_steps=asked.steps, sharpness=rho, **PLAINLY
        )
        student = load_model(target)
        data = ObjectiveRows(ReferenceRows(reference, made.needs, student, None, pad, None), config, rows_count=False)
        batches = EpochBatches(len(data.rows.rows("forget")), data.batch, config)
        train(student, First(batches, asked.steps), made, config, on_step=on_step)

    return take


def _finetuning(name: str, asked: argparse.Namespace, corpus: CorpusRef, target: CheckpointRef) -> Take:
    from tasks.algorithms.models.heads import output_head
    from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
    from tasks.algorithms.training.loop import EpochBatches, train
    from tasks.labels import make_labels
    from tasks.models.loading import load_model, load_tokenizer, pad_id
    from tasks.settings.finetuning import FinetuneConfig, GenericLabelLossConfig
    from tasks.settings.labels import LabelConfig
    from tasks.settings.text import CorpusConfig
    from tasks.teacher_cache import cache_teacher
    from tasks.training.labelled_blocks import LabelledBlocks

    reading = CorpusConfig()
    # a reinforced model that says what the target does: which it is, is no matter of time
    labels = make_labels.body(corpus, _names(corpus), target, target, LabelConfig(block_size=asked.tokens), reading)
    teacher, pad = cache_teacher.body(corpus, target, asked.tokens, reading), pad_id(load_tokenizer(target))
    heads = {
        "baseline_head": output_head(load_model(target)),
        "reinforced_head": output_head(load_model(target)),
    }
    objective = GenericLabelLoss(GenericLabelLossConfig(retain_weight=4.0))

    def take(rho: float, on_step: Callable[[int, Any], None]) -> None:
        config = FinetuneConfig(batch_blocks=asked.rows, least_steps=asked.steps, courses=1, sharpness=rho, **PLAINLY)
        student = load_model(target)
        data = LabelledBlocks(labels, teacher, heads, pad, student.device, config)
        train(
            student,
            First(EpochBatches(data.forget_blocks, data.batch, config), asked.steps),
            objective,
            config,
            on_step=on_step,
        )

    return take


PLAINLY: dict[str, Any] = {"mixed_precision": "no", "learning_rate": 1e-4}


def _names(corpus: CorpusRef) -> AnchorTable:
    """Return a dictionary of frequent capitalised words: where names stand is no matter of time."""
    from tasks import store
    from tasks.storage.documents import read_documents
    from tasks.storage.plain_files import write_json

    words = Counter(word for item in read_documents(corpus, "forget") for word in item.text.split())
    names = [word for word, _ in words.most_common() if word.isalpha() and word.istitle()][:NAMES]
    rows = [{"term": word, "generic": "Tom"} for word in names]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=len(rows), pipeline="none")


def over_ways(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of both ways, and their ratio."""
    plain, sharp = (statistics.median(seconds[way]) for way in WAYS)
    return {"plain": plain, "sharp": sharp, "ratio": sharp / plain}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=["whp", "npo", "undial"])
    sizes = {"layers": 4, "hidden": 256, "vocabulary": 8192, "rows": 8, "tokens": 128, "steps": 8, "rounds": 3}
    for option, default in sizes.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    asked = parser.parse_args()
    record = recording.begin(asked.results)
    with tempfile.TemporaryDirectory() as home:
        os.environ["LETHE_HOME"] = home
        # what is not trained on need not be read: a token has fewer than eight characters
        corpus, target = write_world(asked, 8 * asked.rows * asked.tokens * asked.steps)
        figures = {
            f"`{name}`, {readable(target.parameters)}": over_ways(
                in_fresh_process(by_turns, name, asked, corpus, target)
            )
            for name in asked.methods
        }
    record.write("sharpness", figures, keep=True)


if __name__ == "__main__":
    main()
