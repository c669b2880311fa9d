"""Stage `rounding`: a model's weights are rounded to fewer bits, and it is asked again about the forget text."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.text.anchors import anchor_expression
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RoundedRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.measuring import ProbingConfig, RoundingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import read_documents
from tasks.storage.probe_records import Records, completion_table, token_tables, write_records

if TYPE_CHECKING:
    from tasks.algorithms.measuring.probing import ProbeItem

SPLIT = "forget_test"


@stage("rounding", threads_share=2)
def score_rounded(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    checkpoint: CheckpointRef,
    config: RoundingConfig,
    probing: ProbingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> RoundedRecords:
    """Score the forget text with copies of a model that are rounded to each number of bits; they are not kept.

    A guardrail is left off, as in `relearning`: what is rounded and asked are the bare weights.
    """
    with tracking.stage_run(run, f"rounding {label}", config) as nested:
        tokenizer, documents = load_tokenizer(checkpoint), read_documents(corpus, SPLIT)
        expression = anchor_expression(read_dictionary(dictionary))
        template = vocabularies.question_template(tokenizer, corpus_config)

        def write(folder: Path) -> None:
            from tasks.algorithms.measuring.probing import probe_items
            from tasks.algorithms.models.heads import context_size

            for number, bits in enumerate(config.bits):
                progress.report(number, len(config.bits))
                model = load_model(checkpoint, exact=True)
                context = context_size(model.config)
                items = probe_items(SPLIT, documents, tokenizer, template, expression, probing, context)
                (folder / str(bits)).mkdir()
                write_records(folder / str(bits), _records(model, tokenizer, items, bits, config.group))

        digest = store.put("rounded", write, sensitivity="forget")
        return RoundedRecords(
            kind="rounded", digest=digest, sensitivity="forget", origin=nested or "", bits=config.bits
        )


def _records(model: Any, tokenizer: Any, items: "list[ProbeItem]", bits: int, group: int) -> Records:
    """Round a model in place, and return what it finds."""
    from tasks.algorithms.measuring.metrics import score_sequences
    from tasks.algorithms.models.rounding import round_weights

    round_weights(model, bits, group)
    scores = score_sequences(model, [item.sequence for item in items], pad_id(tokenizer))
    return Records(**token_tables(items, scores, tokenizer), completions=completion_table([], [], [], []))
