"""Stage `teacher cache`: the frozen target model's last hidden states on the retain text, so that no live teacher is needed."""

import torch

from tasks import checkpoints, formats, progress, store, tracking
from tasks.algorithms.blocks import encode, pack_tokens, prefix_ids
from tasks.algorithms.corpus import CorpusConfig, render_document
from tasks.algorithms.heads import check_head, last_hidden, pad_batch
from tasks.artifacts import CheckpointRef, CorpusRef, TeacherCache
from tasks.stage import stage


@stage("teacher cache", threads_share=2)
def cache_teacher(corpus: CorpusRef, target: CheckpointRef, block_size: int, reading: CorpusConfig, run: str | None = None) -> TeacherCache:
    """Run the target model once over the retain text."""
    with tracking.stage_run(run, "teacher cache", {"block_size": block_size}) as nested:
        model, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        documents = [encode(tokenizer, render_document(item, reading.qa_template))[0] for item in formats.read_documents(corpus, "retain")]
        blocks = pack_tokens(documents, block_size, checkpoints.separator_id(tokenizer), prefix_ids(tokenizer))
        hidden = _hidden_states(model, blocks, checkpoints.pad_id(tokenizer))
        digest = store.put("teachers", lambda folder: formats.write_teacher(folder, blocks, hidden), sensitivity="forget")
        return TeacherCache(kind="teachers", digest=digest, sensitivity="forget", origin=nested or "", blocks=len(blocks), tokens=sum(map(len, blocks)))


@torch.no_grad()
def _hidden_states(model: torch.nn.Module, blocks: list[tuple[int, ...]], pad_id: int) -> torch.Tensor:
    check_head(model, *pad_batch(blocks[:1], pad_id, model.device))
    parts = []
    for start in range(0, len(blocks), 32):
        ids, mask = pad_batch(blocks[start : start + 32], pad_id, model.device)
        parts.append(last_hidden(model, ids, mask)[mask.bool()].cpu())
        progress.report(min(start + 32, len(blocks)), len(blocks))
    return torch.cat(parts)
