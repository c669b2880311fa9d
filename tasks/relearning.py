"""Stage `relearning`: a model is trained on half of the forget text for a few steps, then scored on the half it was not
trained on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.measuring.relearning import Slice, relearning_split
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RelearnRecords
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.measuring import ProbingConfig, RelearningConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import read_documents
from tasks.storage.probe_records import Records, completion_table, token_tables, write_records

if TYPE_CHECKING:
    import pandas

    from tasks.algorithms.tokens.templates import Template
    from tasks.algorithms.training.loop import Batch

SPLIT = "forget_test"


@stage("relearning", threads_share=2)
def relearn(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    config: RelearningConfig,
    probing: ProbingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> RelearnRecords:
    """Train a copy of the model on half of the forget text and score what that half did not hold; the copy is not kept.

    A guardrail is left off, as whoever has the weights can: what is taught and asked are the bare weights.
    """
    from tasks.algorithms.measuring.metrics import score_sequences
    from tasks.algorithms.measuring.probing import probe_items
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.objectives.causal_lm import CausalLM
    from tasks.training.trainer import train_stage

    with tracking.stage_run(run, f"relearning {label}", config) as nested:
        model, tokenizer = load_model(checkpoint, exact=True), load_tokenizer(checkpoint)
        terms, template = read_dictionary(dictionary), vocabularies.question_template(tokenizer, corpus_config)
        shown = relearning_split(read_documents(corpus, "forget"), config.share, config.seed, terms)
        if shown.shown:
            train_stage(model, _batches(shown.shown, model, tokenizer, template, config), CausalLM(), config, nested)
        test_documents = read_documents(corpus, SPLIT) if shown.shown else []
        items = probe_items(
            SPLIT, test_documents, tokenizer, template, anchor_expression(terms), probing, context_size(model.config)
        )
        scores = score_sequences(model, [item.sequence for item in items], pad_id(tokenizer))
        tables = _unseen(token_tables(items, scores, tokenizer), test_documents, shown, terms)
        records = Records(**tables, completions=completion_table([], [], [], []))
        digest = store.put("relearned", lambda folder: write_records(folder, records), sensitivity="forget")
        return RelearnRecords(
            kind="relearned",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            steps=config.steps,
            shown=len(shown.shown),
        )


def _batches(
    documents: Sequence[Document], model: Any, tokenizer: Any, template: "Template", config: RelearningConfig
) -> "list[Batch]":
    """Return as many batches as `config.steps` want, in as many passes as they need; no block is longer than the
    model's context.
    """
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.tokens.text_blocks import text_blocks
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.trainer import text_batches

    size = min(config.block_size, context_size(model.config))
    blocks = text_blocks(documents, tokenizer, template, size, separator_id(tokenizer)).with_targets()
    make = text_batches(blocks.ids, pad_id(tokenizer), model.device, blocks.supervised)
    passes = EpochBatches(len(blocks), make, replace(config, least_steps=config.steps))
    return [passes[index] for index in range(config.steps * config.accumulation)]


def _unseen(
    tables: "dict[str, pandas.DataFrame]", documents: Sequence[Document], shown: Slice, terms: Sequence[str]
) -> "dict[str, pandas.DataFrame]":
    """Keep questions on facts that were not shown, and anchors that the shown half does not name."""
    questions = [document for document in documents if document.is_question]
    open_questions = {number for number, document in enumerate(questions) if not shown.holds(document)}
    sequences, tokens, shown_terms = tables["sequences"], tables["tokens"], shown.shown_terms(terms)
    unseen = sequences[(sequences.variant != "text") & sequences["item"].isin(open_questions)]
    renumbered = dict(zip(unseen.sequence, range(len(unseen)), strict=True))
    tokens = tokens[tokens.sequence.isin(unseen.sequence)]
    return {
        "sequences": unseen.assign(sequence=range(len(unseen))),
        "tokens": tokens.assign(sequence=tokens.sequence.map(renumbered)),
        "anchors": tables["anchors"][~tables["anchors"].term.isin(shown_terms)],
    }
