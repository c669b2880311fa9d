"""What it saves to have no live teacher: memory and time of a training step, from the cache and with the frozen model
beside the student.

    python -m tests.benchmarks.teacher [--objectives npo undial] [--layers 8] [--hidden 384] [--vocabulary 8192] [--rows
    8] [--tokens 128] [--steps 8]

A random Llama over the embedded world's text. Three ways to the same weights, each in a process of its own, one after
the other: `textbook` asks a live teacher, a second model in memory, and makes the logits of all counted positions of a
batch at once, as published code does; `live` makes them in chunks; `cached` reads from a file what the teacher said.
All are batched, in float32, and make logits at counted positions only. With `--rank R` adapters are trained, and the
teacher of `live` is the student with its adapter off: no second model.

The rise is that of the peak resident memory over what the process held when all modules were loaded, as Linux counts
it, weights and optimiser included; it is taken in a process of its own, in which glibc gives back every freed tensor at
once, since what it keeps hides the difference. On a GPU it is the peak of what tensors hold there. The seconds are the
median over steps after the first two. The time that the cache takes to make is shown as well. Rows of other models and
objectives stay in the result.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tasks.artifacts import CheckpointRef, CorpusRef, ReferenceCache  # noqa: E402 - the environment comes first
from tests.benchmarks.processes import NOTHING_KEPT, PeakGpuMemory, PeakMemory, in_fresh_process  # noqa: E402

WAYS = ("textbook", "live", "cached")
UNBOUNDED = 2**62


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one way took."""

    seconds: float
    megabytes: float
    """Rise of the peak."""
    weights: float
    """Sum of the norms of what was trained: the ways end at the same."""


def write_world(asked: argparse.Namespace, characters: int | None = None) -> tuple[CorpusRef, CheckpointRef]:
    """Return the embedded world's text as forget and retain prose, each as far as `characters`, and a random model that
    reads it.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    from tasks import store
    from tasks.algorithms.text.corpus import Document
    from tasks.algorithms.world.generator import WorldConfig, build_world
    from tasks.algorithms.world.requests import world_text
    from tasks.models.loading import save_checkpoint
    from tasks.pretraining import train_tokenizer
    from tasks.settings.training import PretrainingConfig
    from tasks.storage.documents import write_splits

    world = build_world(WorldConfig())
    texts = ["\n".join(topic.passages) for topic in world.topics]
    splits = {
        split: [Document(source=split, text="\n".join(part)[:characters])]
        for split, part in {"forget": texts[:2], "retain": texts[2:]}.items()
    }
    tokenizer = train_tokenizer(world_text(world), PretrainingConfig(vocabulary=4096))
    sizes = {"hidden_size": asked.hidden, "intermediate_size": 8 * asked.hidden // 3, "num_hidden_layers": asked.layers}
    heads = {"num_attention_heads": asked.hidden // 64, "max_position_embeddings": 512}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=max(asked.vocabulary, len(tokenizer)), **sizes, **heads))
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    corpus = CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents=dict.fromkeys(splits, 1), characters={}
    )
    return corpus, save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")


def make_cache(
    objective: Any, asked: argparse.Namespace, corpus: CorpusRef, target: CheckpointRef, *, stored: bool
) -> ReferenceCache:
    """Return the rows, with what the frozen model says about them where it is to be stored."""
    from tasks.reference_cache import ReferenceNeeds, cache_reference
    from tasks.settings.rows import RowsConfig
    from tasks.settings.text import CorpusConfig

    wanted = ReferenceNeeds(objective=tuple(sorted(objective.needs)), stored=stored)
    return cache_reference.body(corpus, target, wanted, RowsConfig(tokens=asked.tokens), CorpusConfig())


def train_steps(
    name: str, way: str, objective: Any, asked: argparse.Namespace, target: CheckpointRef, reference: ReferenceCache
) -> Step:
    """Take some optimiser steps in one way, in a fresh process."""
    import torch
    from transformers.models.llama import modeling_llama  # noqa: F401 - the libraries' weight is no matter of the way

    from tasks.algorithms.objectives import terms
    from tasks.algorithms.training.loop import EpochBatches, train
    from tasks.models.loading import load_model, load_tokenizer, pad_id
    from tasks.objective_training import ObjectiveRows
    from tasks.settings.objective_training import UnlearningConfig
    from tasks.settings.objectives.table import OBJECTIVES
    from tasks.settings.training import LoraConfig
    from tasks.training import reference_rows, trainer

    torch.set_num_threads(1)
    if way == "textbook":
        terms.LOGITS_AT_ONCE = UNBOUNDED
    lora, made = LoraConfig(rank=asked.rank), resolve_name(OBJECTIVES[name].loss)(objective)
    config = UnlearningConfig(
        batch_blocks=asked.rows,
        retain_batch=asked.rows,
        mixed_precision="no",
        learning_rate=1e-4,
        least_steps=asked.steps,
    )
    peak = PeakGpuMemory() if torch.cuda.is_available() else PeakMemory()
    student = load_model(target)
    teacher = (
        None
        if way == "cached"
        else reference_rows.live_teacher(student, target, lora if way == "live" else LoraConfig())
    )
    pad = pad_id(load_tokenizer(target))
    data = ObjectiveRows(
        reference_rows.ReferenceRows(reference, made.needs, student, teacher, pad, None), config, rows_count=False
    )
    config = trainer.adapt(student, config, lora, "unlearned")
    batches = EpochBatches(len(data.rows.rows("forget")), data.batch, config)
    marks = [time.perf_counter()]
    train(
        student,
        First(batches, asked.steps),
        made,
        config,
        on_step=lambda step, metrics: marks.append(time.perf_counter()),
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(marks)]
    ended = [float(parameter.detach().double().norm()) for parameter in student.parameters() if parameter.requires_grad]
    return Step(seconds=statistics.median(gaps[2:]), megabytes=peak.megabytes(), weights=sum(ended))


class First(Sequence[Any]):
    """The first batches of many; each is built when its step comes."""

    def __init__(self, batches: Sequence[Any], number: int) -> None:
        self._batches, self._number, self.epochs = batches, number, 1

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, index: int) -> Any:
        return self._batches[index]


def measure(
    name: str, asked: argparse.Namespace, corpus: CorpusRef, target: CheckpointRef
) -> list[tuple[str, str, Step, float]]:
    """Return a row for each way: objective, way, what a step took, and the seconds that its cache took."""
    import torch

    from tasks.settings.gradient_unlearning import gradient_preset

    objective, found = gradient_preset(name, "default").objective, []
    for way in WAYS:
        started = time.perf_counter()
        reference = make_cache(objective, asked, corpus, target, stored=way == "cached")
        caching = time.perf_counter() - started
        given = (train_steps, name, way, objective, asked, target, reference)
        timed = in_fresh_process(*given)
        weighed = timed if torch.cuda.is_available() else in_fresh_process(*given, environment=NOTHING_KEPT)
        found.append((name, way, replace(timed, megabytes=weighed.megabytes), caching))
    return found


def over_ways(
    rows: list[tuple[str, str, Step, float]], asked: argparse.Namespace, parameters: int
) -> dict[str, dict[str, Any]]:
    """Return for each objective seconds and megabytes of every way, those of the cached one also as shares of the live
    ones.
    """
    share = asked.vocabulary / (asked.vocabulary + 12 * asked.layers * asked.hidden)
    trained = f"adapters of rank {asked.rank}" if asked.rank else "whole weights"
    found: dict[str, dict[str, Any]] = {}
    for name, way, step, caching in rows:
        row = found.setdefault(f"`{name}`, {trained}, {readable(parameters)}", {"head share": share})
        row[way] = {"seconds": step.seconds, "megabytes": step.megabytes}
        if way == "cached":
            row[way] |= {
                f"{figure} of {live}": row[way][figure] / row[live][figure]
                for live in WAYS[:2]
                for figure in ("seconds", "megabytes")
            }
            row[way]["seconds to make"] = caching
    return found


def readable(parameters: int) -> str:
    """Return a number of parameters as people say it: 168M, 1.2B."""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def main() -> None:
    """Measure, record and print."""
    import torch

    parser = recording.parser(__doc__)
    parser.add_argument("--objectives", nargs="+", default=["npo", "undial"])
    for option, default in {
        "layers": 8,
        "hidden": 384,
        "vocabulary": 8192,
        "rows": 8,
        "tokens": 128,
        "steps": 8,
        "rank": 0,
    }.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    asked = parser.parse_args()
    record = recording.begin(asked.results)
    with tempfile.TemporaryDirectory() as home:
        os.environ["LETHE_HOME"] = home
        corpus, target = write_world(asked)
        rows = [row for name in asked.objectives for row in measure(name, asked, corpus, target)]
    record.write(
        "teacher_gpu" if torch.cuda.is_available() else "teacher", over_ways(rows, asked, target.parameters), keep=True
    )
    for name in asked.objectives:
        ends = [step.weights for objective, _, step, _ in rows if objective == name]
        print(
            f"{name}: norms of the trained weights differ by {(max(ends) - min(ends)) / max(ends):.1e} between the ways"
        )


if __name__ == "__main__":
    main()
