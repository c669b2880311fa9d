"""Stage `labels`: generic labels for every block of the forget text, written as they are made."""

from tasks import store, tracking
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, LabelSet
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_pair, load_tokenizer, pad_id, separator_id
from tasks.settings.labels import LabelConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import StoredDocuments


@stage("labels")
def make_labels(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    target: CheckpointRef,
    reinforced: CheckpointRef,
    config: LabelConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> LabelSet:
    """Compare both models over the aligned blocks and keep what the generic prediction needs; see
    `label_files.write_labels` for its size.

    The text is aligned three times: to count its blocks, to find the topic's own tokens, and window by window on the
    way to the models.
    """
    from tasks.algorithms.models.heads import check_head, context_size
    from tasks.algorithms.tokens.batching import pad_batch
    from tasks.algorithms.tokens.text_blocks import AlignedBlocks
    from tasks.algorithms.unlearning.label_plan import first_tokens
    from tasks.algorithms.unlearning.labels import stream_labels
    from tasks.algorithms.unlearning.topic_tokens import topic_tokens
    from tasks.storage.label_files import write_labels

    with tracking.stage_run(run, "labels", config) as nested:
        (baseline, boosted), tokenizer = load_pair(target, reinforced), load_tokenizer(target)
        translations = read_dictionary(dictionary)
        template, documents = (
            vocabularies.question_template(tokenizer, corpus_config),
            StoredDocuments(corpus, "forget"),
        )
        size = min(config.block_size, context_size(baseline.config))
        blocks = AlignedBlocks(documents, translations, tokenizer, template, size, separator_id(tokenizer))
        starts = {term: first_tokens(tokenizer, generic) for term, generic in translations.items()}
        pad, total, topic = pad_id(tokenizer), len(blocks), topic_tokens(blocks, config.suppress_topic)
        check_head(baseline, *pad_batch([next(iter(blocks)).source], pad, baseline.device))
        windows = stream_labels(
            baseline, boosted, blocks, starts, config, pad, lambda done: progress.report(done, total), topic=topic
        )
        count: dict[str, int] = {}
        digest = store.put("labels", lambda folder: count.update(write_labels(folder, windows)), sensitivity="forget")
        share = count["dropped"] / (count["dropped"] + count["positions"])
        tracking.log_metrics(nested, {"labels/positions": float(count["positions"]), "labels/dropped_share": share})
        record_fields = {"blocks": count["blocks"], "positions": count["positions"], "dropped_share": share}
        return LabelSet(kind="labels", digest=digest, sensitivity="forget", origin=nested or "", **record_fields)
