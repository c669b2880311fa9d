"""Stage `teacher cache`: a frozen model's last hidden states on text, so that no live teacher is needed: the target
model's on the retain text, and where a model is distilled what the unlearned model says of retain and forget text.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import CheckpointRef, CorpusRef, TeacherCache
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import StoredDocuments

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.tokens.text_blocks import TextBlocks

BATCH = 32
"""Blocks in one forward pass."""


@stage("teacher cache", threads_share=2)
def cache_teacher(
    corpus: CorpusRef,
    teacher: CheckpointRef,
    block_size: int,
    corpus_config: CorpusConfig,
    split: str = "retain",
    label: str = "",
    run: str | None = None,
) -> TeacherCache:
    """Run a model once over the text; see `teacher_files.write_teacher` for the size of what is kept.

    Args:
        corpus: What is read is in one of its splits.
        teacher: The model, as it is now.
        block_size: Tokens of a block at most.
        corpus_config: How text was read.
        split: Which one.
        label: What tells it from other caches of a run.
        run: Tracking run.
    """
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.tokens.text_blocks import text_blocks
    from tasks.storage.teacher_files import write_teacher

    with tracking.stage_run(run, f"teacher cache {label}".rstrip(), {"block_size": block_size}) as nested:
        model, tokenizer = load_model(teacher), load_tokenizer(teacher)
        template = vocabularies.question_template(tokenizer, corpus_config)
        documents = StoredDocuments(corpus, split)
        block_size = min(block_size, context_size(model.config))
        blocks = text_blocks(documents, tokenizer, template, block_size, separator_id(tokenizer))
        parts = _batches(model, blocks, pad_id(tokenizer))
        digest = store.put("teachers", lambda folder: write_teacher(folder, parts), sensitivity="forget")
        tokens = int(blocks.ids.lengths.sum())
        return TeacherCache(
            kind="teachers", digest=digest, sensitivity="forget", origin=nested or "", blocks=len(blocks), tokens=tokens
        )


def _batches(model: Any, blocks: "TextBlocks", pad_id: int) -> "Iterator[tuple[TextBlocks, torch.Tensor]]":
    """Yield blocks, some at a time, and the states at their supervised positions, (positions, hidden)."""
    from tasks.algorithms.models.heads import check_head
    from tasks.algorithms.tokens.batching import pad_batch

    check_head(model, *pad_batch([blocks.ids[0]], pad_id, model.device))
    for start in range(0, len(blocks), BATCH):
        chosen = blocks.select(range(start, min(start + BATCH, len(blocks))))
        yield chosen, _states(model, chosen, pad_id)
        progress.report(start + len(chosen), len(blocks))


def _states(model: Any, blocks: "TextBlocks", pad_id: int) -> "torch.Tensor":
    import torch

    from tasks.algorithms.models.heads import last_hidden
    from tasks.algorithms.tokens.batching import pad_batch

    ids, mask = pad_batch(blocks.ids, pad_id, model.device)
    supervised, _ = pad_batch(blocks.supervised, 0, model.device)
    with torch.no_grad():
        return last_hidden(model, ids, mask)[supervised.bool()].cpu()
