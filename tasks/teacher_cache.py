"""Stage `teacher cache`: the frozen target model's last hidden states on the retain text, so that no live teacher is needed."""

import torch

from tasks import checkpoints, formats, progress, store, tracking, vocabularies
from tasks.algorithms.chat import TextBlock, text_blocks
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.heads import check_head, last_hidden, pad_batch
from tasks.artifacts import CheckpointRef, CorpusRef, TeacherCache
from tasks.stage import stage


@stage("teacher cache", threads_share=2)
def cache_teacher(corpus: CorpusRef, target: CheckpointRef, block_size: int, reading: CorpusConfig, run: str | None = None) -> TeacherCache:
    """Run the target model once over the retain text."""
    with tracking.stage_run(run, "teacher cache", {"block_size": block_size}) as nested:
        model, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        template = vocabularies.question_template(tokenizer, reading)
        blocks = text_blocks(formats.read_documents(corpus, "retain"), tokenizer, template, block_size, checkpoints.separator_id(tokenizer))
        ids, supervised = [block.ids for block in blocks], [block.supervised for block in blocks]
        hidden = _hidden_states(model, blocks, checkpoints.pad_id(tokenizer))
        digest = store.put("teachers", lambda folder: formats.write_teacher(folder, ids, hidden, supervised), sensitivity="forget")
        return TeacherCache(kind="teachers", digest=digest, sensitivity="forget", origin=nested or "", blocks=len(blocks), tokens=sum(map(len, ids)))


@torch.no_grad()
def _hidden_states(model: torch.nn.Module, blocks: list[TextBlock], pad_id: int) -> torch.Tensor:
    """Return the states at the supervised positions of all blocks, (positions, hidden)."""
    check_head(model, *pad_batch([blocks[0].ids], pad_id, model.device))
    parts = []
    for start in range(0, len(blocks), 32):
        chosen = blocks[start : start + 32]
        ids, mask = pad_batch([block.ids for block in chosen], pad_id, model.device)
        supervised, _ = pad_batch([block.supervised for block in chosen], 0, model.device)
        parts.append(last_hidden(model, ids, mask)[supervised.bool()].cpu())
        progress.report(min(start + 32, len(blocks)), len(blocks))
    return torch.cat(parts)
