"""Stage `labels`: generic labels for every block of the forget text."""

from tasks import checkpoints, formats, progress, store, tracking, vocabularies
from tasks.algorithms.chat import aligned_blocks
from tasks.algorithms.config import LabelConfig
from tasks.algorithms.corpus import CorpusConfig
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
        (baseline, boosted), tokenizer = checkpoints.load_pair(target, reinforced), checkpoints.load_tokenizer(target)
        translations = formats.read_dictionary(dictionary)
        template, documents = vocabularies.question_template(tokenizer, reading), formats.read_documents(corpus, "forget")
        blocks = aligned_blocks(documents, translations, tokenizer, template, config.block_size, checkpoints.separator_id(tokenizer))
        starts = {term: first_tokens(tokenizer, generic) for term, generic in translations.items()}
        pad = checkpoints.pad_id(tokenizer)
        check_head(baseline, *pad_batch([blocks[0].source], pad, baseline.device))
        plans = [plan_positions(block, starts, config) for block in blocks]
        labels = generate_labels(baseline, boosted, blocks, plans, config, pad, progress.report)
        share = labels.dropped / (labels.dropped + len(labels.hard))
        digest = store.put("labels", lambda folder: formats.write_labels(folder, blocks, labels), sensitivity="forget")
        tracking.log_metrics(nested, {"labels/positions": float(len(labels.hard)), "labels/dropped_share": share})
        return LabelSet(
            kind="labels", digest=digest, sensitivity="forget", origin=nested or "", blocks=len(blocks), positions=len(labels.hard), dropped_share=share
        )
