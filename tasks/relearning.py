"""Stages `relearning` and `relearning on retain text`: a model is trained on half of the forget text or on retain text,
and scored after some of the steps on the half of the forget text that it was not trained on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.measuring.relearning import Slice, relearning_split
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RelearnRecords
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.measuring import ProbingConfig, RelearnedText, RelearningConfig
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
    """Train a copy of the model on half of the forget text, and score after some of the steps what that half did not
    hold; the copy is not kept.

    A guardrail is left off, as whoever has the weights can: what is taught and asked are the bare weights.
    """
    with tracking.stage_run(run, f"relearning {label}", config) as nested:
        return _relearned("forget", corpus, dictionary, checkpoint, config, probing, corpus_config, nested)


@stage("relearning on retain text", threads_share=2)
def relearn_retained(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    config: RelearningConfig,
    probing: ProbingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> RelearnRecords:
    """Do as `relearn` does, but train on the retain text: what comes back without being shown at all."""
    with tracking.stage_run(run, f"relearning on retain text {label}", config) as nested:
        return _relearned("retain", corpus, dictionary, checkpoint, config, probing, corpus_config, nested)


def _relearned(
    text: RelearnedText,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    config: RelearningConfig,
    probing: ProbingConfig,
    corpus_config: CorpusConfig,
    run: str | None,
) -> RelearnRecords:
    """Train on one of the texts; ask for the same whichever it is."""
    from tasks.algorithms.objectives.causal_lm import CausalLM
    from tasks.training.marks import Marks
    from tasks.training.trainer import train_stage

    model, tokenizer = load_model(checkpoint, exact=True), load_tokenizer(checkpoint)
    terms, template = read_dictionary(dictionary), vocabularies.question_template(tokenizer, corpus_config)
    shown = relearning_split(read_documents(corpus, "forget"), config.share, config.seed, terms)
    taught = shown.shown if text == "forget" or not shown.shown else _retain_text(corpus, config)
    question = _Question(corpus if taught else None, shown, terms, template, tokenizer, probing)
    with Marks(config.steps, lambda folder: write_records(folder, question.ask(model))) as marks:
        if taught:
            batches = _batches(taught, model, tokenizer, template, config)
            train_stage(model, batches, CausalLM(), config, run, after_step=marks.passed)
        digest = store.put("relearned", marks.copy, sensitivity="forget")
    return RelearnRecords(
        kind="relearned",
        digest=digest,
        sensitivity="forget",
        origin=run or "",
        text=text,
        steps=config.steps,
        shown=len(taught),
    )


def _retain_text(corpus: CorpusRef, config: RelearningConfig) -> list[Document]:
    """Return retain documents, spaced evenly: more of them than the steps can read are of no use."""
    documents = read_documents(corpus, "retain")
    return spaced(documents, max(config.steps) * config.batch_blocks * config.accumulation)


class _Question:
    """What a model is asked: the test split of the forget text, without what was shown."""

    def __init__(
        self,
        corpus: CorpusRef | None,
        shown: Slice,
        terms: Sequence[str],
        template: "Template",
        tokenizer: Any,
        probing: ProbingConfig,
    ) -> None:
        self._documents = read_documents(corpus, SPLIT) if corpus else []
        self._shown, self._terms, self._template = shown, terms, template
        self._tokenizer, self._probing = tokenizer, probing

    def ask(self, model: Any) -> Records:
        """Return what a model finds."""
        from tasks.algorithms.measuring.metrics import score_sequences
        from tasks.algorithms.measuring.probing import probe_items
        from tasks.algorithms.models.heads import context_size

        items = probe_items(
            SPLIT,
            self._documents,
            self._tokenizer,
            self._template,
            anchor_expression(self._terms),
            self._probing,
            context_size(model.config),
        )
        scores = score_sequences(model, [item.sequence for item in items], pad_id(self._tokenizer))
        tables = _unseen(token_tables(items, scores, self._tokenizer), self._documents, self._shown, self._terms)
        return Records(**tables, completions=completion_table([], [], [], []))


def _batches(
    documents: Sequence[Document], model: Any, tokenizer: Any, template: "Template", config: RelearningConfig
) -> "list[Batch]":
    """Return as many batches as the last of `config.steps` wants, in as many passes as they need; no block is longer
    than the model's context.
    """
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.tokens.text_blocks import text_blocks
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.trainer import text_batches

    size = min(config.block_size, context_size(model.config))
    blocks = text_blocks(documents, tokenizer, template, size, separator_id(tokenizer)).with_targets()
    make = text_batches(blocks.ids, pad_id(tokenizer), model.device, blocks.supervised)
    passes = EpochBatches(len(blocks), make, replace(config, least_steps=max(config.steps)))
    return [passes[index] for index in range(max(config.steps) * config.accumulation)]


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
