"""Stage `probing`: one pass over every split and completions of prompts, for one model. The scorecard is arithmetic on this."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import checkpoints, formats, progress, store, tracking
from tasks.algorithms.anchors import anchor_expression
from tasks.algorithms.config import ProbingConfig
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.familiarity import anchor_probabilities
from tasks.algorithms.metrics import score_sequences
from tasks.algorithms.probing import ProbeItem, Prompt, answer_sequence, complete, make_prompts, probe_items
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, ProbeRecords
from tasks.stage import stage

if TYPE_CHECKING:
    import numpy
    import pandas

SCORED = ("forget", "forget_test", "retain_test", "sibling", "general", "holdout")
PROMPTED = ("forget_test", "retain_test")


@stage("probing", threads_share=2)
def probe(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    teacher: CheckpointRef,
    config: ProbingConfig,
    reading: CorpusConfig,
    run: str | None = None,
) -> ProbeRecords:
    """Score all splits and complete all prompts with one model; `teacher` rates how likely the completions are."""
    with tracking.stage_run(run, f"probing {checkpoint.label}", config) as nested:
        model, tokenizer = checkpoints.load_model(checkpoint), checkpoints.load_tokenizer(checkpoint)
        context, pad = model.config.max_position_embeddings, checkpoints.pad_id(tokenizer)
        expression = anchor_expression(formats.read_dictionary(dictionary))
        splits = {split: formats.read_documents(corpus, split) for split in SCORED}
        items = [item for split, found in splits.items() for item in probe_items(split, found, tokenizer, reading.qa_template, expression, config, context)]
        scores = score_sequences(model, [item.sequence for item in items], pad, on_step=progress.report)
        prompts = _prompts(splits, reading.qa_template, expression, config)
        completions = complete(model, tokenizer, [prompt.prompt for prompt in prompts], config, pad, context)
        rated = _rate(checkpoints.load_model(teacher), tokenizer, prompts, completions, pad, context)
        tables = {"tokens": _token_table(items, scores), "anchors": _anchor_table(items, scores), "completions": _completion_table(prompts, completions, rated)}
        digest = store.put("probes", lambda folder: _write(folder, tables), sensitivity="forget")
        tracking.log_table(nested, tables["completions"], f"completions-{checkpoint.label}", "forget")
        return ProbeRecords(
            kind="probes",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            label=checkpoint.label,
            tokens=len(tables["tokens"]),
            completions=len(prompts),
        )


def _prompts(splits: dict[str, list[Any]], template: str, expression: re.Pattern[str], config: ProbingConfig) -> list[Prompt]:
    """Cloze prompts cut before anchors where the topic is to be forgotten, anywhere in text that is to be kept."""
    return [prompt for split in PROMPTED for prompt in make_prompts(split, splits[split], template, expression if split == "forget_test" else None, config)]


def _rate(teacher: Any, tokenizer: Any, prompts: list[Prompt], completions: list[str], pad: int, context: int) -> list[float]:
    """Return the teacher's loss in nats a token on every completion; NaN for empty ones."""
    spoken = [index for index, text in enumerate(completions) if text.strip()]
    sequences = [answer_sequence(tokenizer, prompts[index].prompt, completions[index].strip(), context)[0] for index in spoken]
    scores: list[numpy.ndarray] = score_sequences(teacher, sequences, pad)
    rated = [float("nan")] * len(completions)
    for index, table in zip(spoken, scores, strict=True):
        rated[index] = float(-table[:, 0].mean())
    return rated


def _token_table(items: list[ProbeItem], scores: "list[numpy.ndarray]") -> "pandas.DataFrame":
    import numpy
    import pandas

    counts = [len(table) for table in scores]
    columns: dict[str, Any] = {
        name: pandas.Categorical.from_codes(numpy.repeat(codes, counts), categories=found)
        for name in ("split", "variant", "cluster")
        for codes, found in [pandas.factorize(numpy.array([getattr(item, name) for item in items], dtype=object))]
    }
    columns["item"] = numpy.repeat([item.item for item in items], counts)
    columns["sequence"] = numpy.repeat(range(len(items)), counts)
    columns["truncated"] = numpy.repeat([item.truncated for item in items], counts)
    values = numpy.concatenate(scores) if scores else numpy.empty((0, 4), numpy.float32)
    return pandas.DataFrame(columns | dict(zip(("log_p", "hit", "mean_log_p", "std_log_p"), values.T, strict=True)))


def _anchor_table(items: list[ProbeItem], scores: "list[numpy.ndarray]") -> "pandas.DataFrame":
    import pandas

    rows = [
        (item.split, item.cluster, span.term, *values)
        for item, table in zip(items, scores, strict=True)
        if item.anchors
        for span, values in zip(_scored_anchors(item, len(table)), anchor_probabilities(table[:, 0], item.sequence.start, item.anchors), strict=True)
    ]
    return pandas.DataFrame(rows, columns=["split", "cluster", "term", "joint", "first", "interior"])


def _scored_anchors(item: ProbeItem, scored: int) -> list[Any]:
    start = item.sequence.start
    return [span for span in item.anchors if span.start >= start and span.end - start <= scored]


def _completion_table(prompts: list[Prompt], completions: list[str], rated: list[float]) -> "pandas.DataFrame":
    import pandas

    frame = pandas.DataFrame([{name: getattr(prompt, name) for name in ("split", "item", "kind", "prompt", "truth")} for prompt in prompts])
    return frame.assign(completion=completions, teacher_nats=rated)


def _write(folder: Path, tables: "dict[str, pandas.DataFrame]") -> None:
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
