"""Stage `second moments`: what the layers' MLP output matrices read over ordinary text, all layers in one pass."""

from dataclasses import replace

from tasks import store, tracking
from tasks.artifacts import CheckpointRef, CorpusRef, SecondMomentsRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.rank_one_editing import SecondMomentConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_ordinary
from tasks.storage.moment_files import write_moments


@stage("second moments")
def measure_second_moments(
    target: CheckpointRef,
    corpus: CorpusRef,
    config: SecondMomentConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> SecondMomentsRef:
    """Measure C = E[k k^T] of every layer, over the text that is to be kept, or, where there is none, general text.

    Raises:
        ValueError: If there is no text.
    """
    from tasks.algorithms.editing.second_moments import second_moments, text_batches
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.text.corpus import render_document
    from tasks.algorithms.tokens.alignment import encode, prefix_ids

    with tracking.stage_run(run, "second moments", config) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        start = list(prefix_ids(tokenizer))
        config = replace(config, block_size=min(config.block_size, context_size(model.config)))
        documents = read_ordinary(corpus)
        rows = [start + encode(tokenizer, render_document(each, corpus_config.qa_template))[0] for each in documents]
        total = min(sum(map(len, rows)), config.most_tokens)
        batches = text_batches(rows, config, pad_id(tokenizer), model.device)
        moments = second_moments(
            model, batches, config, lambda tokens: progress.report(min(tokens, total), total, f"{tokens:,} tokens")
        )
        found = {"tokens": float(moments.tokens), "change": moments.change, "converged": float(moments.converged)}
        tracking.log_metrics(nested, found)
        digest = store.put("moments", lambda folder: write_moments(folder, moments), sensitivity="ordinary")
        return SecondMomentsRef(
            kind="moments",
            digest=digest,
            sensitivity="ordinary",
            origin=nested or "",
            tokens=moments.tokens,
            converged=moments.converged,
        )
