"""Stage `reference cache`: rows to train on, and the frozen target model's outputs on them, so that no live teacher is
needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.text.pairs import pair_documents
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, ReferenceCache
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.rows import RowsConfig
from tasks.settings.text import CorpusConfig
from tasks.storage import row_files
from tasks.storage.documents import read_documents

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.tokens.rows import Rows
    from tasks.algorithms.tokens.text_blocks import TextBlock

BATCH_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class ReferenceNeeds:
    """The outputs of the frozen model that an objective needs; equal for settings that need the same, so that a sweep
    computes them once.
    """

    objective: tuple[str, ...]
    """What the objective says it needs, see `NEEDS` of `tasks.settings.objectives.protocol`, sorted."""
    layer: int | None = None
    """Whose hidden states, for `retain_layer_hidden`; none: by RMU's rule."""
    differing: bool = False
    """Whether only words count in which a forget record and the retain record of the same fact differ."""
    stored: bool = True
    """Whether the answers are stored; else the rows alone, for a live teacher."""


@stage("reference cache", threads_share=2)
def cache_reference(
    corpus: CorpusRef,
    target: CheckpointRef,
    needs: ReferenceNeeds,
    config: RowsConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> ReferenceCache:
    """Cut forget and retain text into rows and run the target model once over those whose outputs the
    objective needs.
    """
    from tasks.algorithms.models.heads import check_head, context_size
    from tasks.algorithms.training.reference_model import row_tensors, wanted_entries

    with tracking.stage_run(run, "reference cache", {"needs": needs, "rows": config}) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        size = min(config.tokens, context_size(model.config))
        parts = (
            _pairs(corpus, tokenizer, size)
            if needs.differing
            else _rows(corpus, tokenizer, frozenset(needs.objective), config, corpus_config, size)
        )
        pad, layer = pad_id(tokenizer), _layer(model, needs)
        check_head(
            model,
            *(row_tensors("forget", parts["forget"].rows[:1], pad, model.device)[name] for name in ("ids", "mask")),
        )
        entry_names = {part: wanted_entries(part, frozenset(needs.objective)) if needs.stored else () for part in parts}
        total = sum(len(parts[part].rows) for part, names in entry_names.items() if names)

        done = 0

        def parts_of(part: str) -> "Iterator[tuple[Sequence[TextBlock], dict[str, list[torch.Tensor]]]]":
            nonlocal done
            for start in range(0, len(parts[part].rows), BATCH_ROWS):
                chosen = parts[part].rows[start : start + BATCH_ROWS]
                yield chosen, _entries_by_row(model, chosen, part, entry_names[part], pad, layer)
                done += len(chosen) if entry_names[part] else 0
                progress.report(done, total)

        def write(folder: Path) -> None:
            for part in parts:
                row_files.write_rows(folder / f"{part}.safetensors", parts_of(part))

        digest = store.put("references", write, sensitivity="forget")
        record = _record(digest, parts, nested)
        record = replace(
            record, state_bytes=sum(file.stat().st_size for file in store.path(record).glob("*.safetensors"))
        )
        tracking.log_metrics(
            nested, {"state_bytes": float(record.state_bytes), "state_bytes_a_number": float(model.dtype.itemsize)}
        )
        return record


def _layer(model: "torch.nn.Module", needs: ReferenceNeeds) -> int | None:
    from tasks.algorithms.models.architectures import decoder_layers
    from tasks.algorithms.models.layers import default_layer

    if "retain_layer_hidden" not in needs.objective:
        return None
    return default_layer(len(decoder_layers(model))) if needs.layer is None else needs.layer


def _entries_by_row(
    model: "torch.nn.Module", rows: "Sequence[TextBlock]", part: str, names: Sequence[str], pad: int, layer: int | None
) -> "dict[str, list[torch.Tensor]]":
    from tasks.algorithms.training.reference_model import reference_entries, row_tensors, split_by_row

    entries = reference_entries(model, row_tensors(part, rows, pad, model.device), part, names, layer)
    return {name: split_by_row(name, value.cpu(), rows) for name, value in entries.items()}


def _pairs(corpus: CorpusRef, tokenizer: Any, size: int) -> "dict[str, Rows]":
    from tasks.algorithms.tokens.rows import paired_rows

    try:
        pairs = pair_documents(*(read_documents(corpus, split) for split in ("forget", "retain")))
        return dict(zip(("forget", "retain"), paired_rows(pairs, tokenizer, size), strict=True))
    except ValueError as error:
        raise BadInputError(f"only words that differ within a pair are to count, but {error}") from None


def _rows(
    corpus: CorpusRef, tokenizer: Any, needs: frozenset[str], config: RowsConfig, corpus_config: CorpusConfig, size: int
) -> "dict[str, Rows]":
    """Return the rows of each part that the objective reads."""
    from tasks.algorithms.tokens.rows import answered_with, packed_rows, token_rows

    template = vocabularies.question_template(tokenizer, corpus_config)
    forget, retain = read_documents(corpus, "forget"), read_documents(corpus, "retain") if "retain" in needs else []
    if "preferred" in needs:
        # prose asks nothing that another answer could be given to
        forget = [document for document in forget if document.is_question]
        if not forget:
            raise BadInputError(
                "the method prefers other answers to questions, and the forget text holds none; wanted questions with"
                " answers"
            )
    parts = {"forget": token_rows(forget, tokenizer, template, size)}
    if retain and config.retain == "packed":
        parts["retain"] = packed_rows(retain, tokenizer, template, size, separator_id(tokenizer))
    elif retain:
        parts["retain"] = token_rows(retain, tokenizer, template, size)
    if "preferred" in needs:
        parts["preferred"] = token_rows(answered_with(forget, config.refusals), tokenizer, template, size)
    return parts


def _record(digest: str, parts: "dict[str, Rows]", origin: str | None) -> ReferenceCache:
    record = ReferenceCache(
        kind="references",
        digest=digest,
        sensitivity="forget",
        origin=origin or "",
        rows={part: len(part_rows.rows) for part, part_rows in parts.items()},
        tokens=sum(len(row.ids) for part_rows in parts.values() for row in part_rows.rows),
        state_bytes=0,
        truncated=sum(part_rows.truncated for part_rows in parts.values()),
    )
    tracking.log_metrics(
        origin,
        {**{f"rows/{part}": float(count) for part, count in record.rows.items()}, "tokens": float(record.tokens)},
    )
    tracking.log_metrics(origin, {"truncated": float(record.truncated)})
    return record
