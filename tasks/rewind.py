"""Stage `rewind`: of the checkpoints of a SCRUB run, the one that errs on the forget text as the last one errs on
held-out text.
"""

from collections.abc import Sequence
from dataclasses import replace

from tasks import tracking
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.measuring import ProbingConfig
from tasks.settings.scrub import RewindConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents

SCORED = ("text", "answer")
"""What of a record tells the error: the text itself, not paraphrased or false answers."""


@stage("rewind")
def rewind_checkpoints(
    corpus: CorpusRef,
    candidates: list[CheckpointRef],
    config: RewindConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> CheckpointRef:
    """Score every checkpoint on the forget text and the last one on the holdout; return the one whose error is nearest,
    as `unlearned`.

    Where the rewind is off, that is the last one, and nothing is scored.
    """
    from tasks.algorithms.training.scrub_steps import rewind

    with tracking.stage_run(run, "rewind", config) as nested:
        if not config.enabled:
            progress.report(1, 1)
            return replace(candidates[-1], label="unlearned")
        splits = {split: read_documents(corpus, split) for split in ("forget", "holdout")}
        _check(splits, candidates)
        errors = []
        with tracking.StepLog(nested) as log:
            for number, candidate in enumerate(candidates, 1):
                errors.append(mean_error_nats(candidate, "forget", splits["forget"], config, corpus_config))
                log(number, {"forget_error_nats": errors[-1]})
                progress.report(number, len(candidates) + 1, f"checkpoint {number}: {errors[-1]:.3f} nats")
        holdout = mean_error_nats(candidates[-1], "holdout", splits["holdout"], config, corpus_config)
        chosen = rewind(errors, holdout)
        tracking.log_metrics(nested, {"holdout_error_nats": holdout, "chosen_checkpoint": float(chosen + 1)})
        progress.report(len(candidates) + 1, len(candidates) + 1, f"checkpoint {chosen + 1} of {len(candidates)}")
        return replace(candidates[chosen], label="unlearned")


def _check(splits: dict[str, list[Document]], candidates: Sequence[CheckpointRef]) -> None:
    if not candidates:
        raise ValueError("there are no checkpoints to go back to; wanted at least one")
    for split, documents in splits.items():
        if not documents:
            raise BadInputError(
                f"the rewind found no {split} text; wanted --{split} FILE, which it compares errors on (or --set"
                " rewind.enabled=false)"
            )


def mean_error_nats(
    checkpoint: CheckpointRef,
    split: str,
    documents: Sequence[Document],
    config: RewindConfig,
    corpus_config: CorpusConfig,
) -> float:
    """Return the mean over sequences (windows of prose, answers to questions) of their mean negative log-likelihood a
    token.
    """
    from tasks.algorithms.measuring.metrics import score_sequences
    from tasks.algorithms.measuring.probing import probe_items
    from tasks.algorithms.models.heads import context_size

    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
    template, probing = (
        vocabularies.question_template(tokenizer, corpus_config),
        ProbingConfig(window=config.window, max_tokens=config.max_tokens),
    )
    items = probe_items(
        split, documents, tokenizer, template, anchor_expression(()), probing, context_size(model.config)
    )
    scores = score_sequences(model, [item.sequence for item in items if item.variant in SCORED], pad_id(tokenizer))
    return -sum(float(score[:, 0].mean()) for score in scores) / len(scores)
