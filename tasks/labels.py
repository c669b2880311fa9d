"""Stage `labels`: generic labels for every block of the forget text."""

from tasks import checkpoints, formats, progress, store, tracking
from tasks.algorithms.blocks import Block, align_document, cut_blocks, join_documents, prefix_ids
from tasks.algorithms.config import LabelConfig
from tasks.algorithms.corpus import CorpusConfig, Document, render_document
from tasks.algorithms.heads import check_head, pad_batch
from tasks.algorithms.labels import first_tokens, generate_labels, plan_positions
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, LabelSet
from tasks.stage import stage


@stage("labels")
def make_labels(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    target: CheckpointRef,
    reinforced: CheckpointRef,
    config: LabelConfig,
    reading: CorpusConfig,
    run: str | None = None,
) -> LabelSet:
    """Compare both models over the aligned blocks and keep what the generic prediction needs."""
    with tracking.stage_run(run, "labels", config) as nested:
        baseline, boosted, tokenizer = checkpoints.load_model(target), checkpoints.load_model(reinforced), checkpoints.load_tokenizer(target)
        translations = formats.read_dictionary(dictionary)
        blocks = aligned_blocks(formats.read_documents(corpus, "forget"), translations, tokenizer, config.block_size, reading)
        starts = {term: first_tokens(tokenizer, generic) for term, generic in translations.items()}
        pad = checkpoints.pad_id(tokenizer)
        check_head(baseline, *pad_batch([blocks[0].source], pad, baseline.device))
        plans = [plan_positions(block, starts, config) for block in blocks]
        labels = generate_labels(baseline, boosted, blocks, plans, config, pad, progress.report)
        share = labels.dropped / sum(len(block.source) for block in blocks)
        digest = store.put("labels", lambda folder: formats.write_labels(folder, blocks, labels), sensitivity="forget")
        tracking.log_metrics(nested, {"labels/positions": float(len(labels.hard)), "labels/dropped_share": share})
        return LabelSet(
            kind="labels", digest=digest, sensitivity="forget", origin=nested or "", blocks=len(blocks), positions=len(labels.hard), dropped_share=share
        )


def aligned_blocks(documents: list[Document], translations: dict[str, str], tokenizer: object, size: int, reading: CorpusConfig) -> list[Block]:
    """Return the forget documents as blocks with their translation alongside."""
    aligned = [align_document(tokenizer, render_document(item, reading.qa_template), translations) for item in documents]
    return cut_blocks(join_documents(aligned, checkpoints.separator_id(tokenizer)), size, prefix_ids(tokenizer))
