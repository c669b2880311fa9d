"""Stage `labels`: generic labels for every block of the forget text, written as they are made."""

from tasks import checkpoints, formats, progress, store, tracking, vocabularies
from tasks.algorithms.chat import AlignedBlocks
from tasks.algorithms.config import LabelConfig
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.heads import check_head, pad_batch
from tasks.algorithms.labels import first_tokens, stream_labels
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
    """Compare both models over the aligned blocks and keep what the generic prediction needs; see `formats.write_labels` for its size.

    The text is aligned twice: once to count its blocks, then window by window on the way to the models.
    """
    with tracking.stage_run(run, "labels", config) as nested:
        (baseline, boosted), tokenizer = checkpoints.load_pair(target, reinforced), checkpoints.load_tokenizer(target)
        translations = formats.read_dictionary(dictionary)
        template, documents = vocabularies.question_template(tokenizer, reading), formats.StoredDocuments(corpus, "forget")
        blocks = AlignedBlocks(documents, translations, tokenizer, template, config.block_size, checkpoints.separator_id(tokenizer))
        starts = {term: first_tokens(tokenizer, generic) for term, generic in translations.items()}
        pad, total = checkpoints.pad_id(tokenizer), len(blocks)
        check_head(baseline, *pad_batch([next(iter(blocks)).source], pad, baseline.device))
        windows = stream_labels(baseline, boosted, blocks, starts, config, pad, lambda done: progress.report(done, total))
        count: dict[str, int] = {}
        digest = store.put("labels", lambda folder: count.update(formats.write_labels(folder, windows)), sensitivity="forget")
        share = count["dropped"] / (count["dropped"] + count["positions"])
        tracking.log_metrics(nested, {"labels/positions": float(count["positions"]), "labels/dropped_share": share})
        kept = {"blocks": count["blocks"], "positions": count["positions"], "dropped_share": share}
        return LabelSet(kind="labels", digest=digest, sensitivity="forget", origin=nested or "", **kept)
