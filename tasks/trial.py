"""Stage `trial`: the two figures of a model that a sweep decides by, without the rest of a scorecard."""

import math
from dataclasses import dataclass

from tasks import tracking
from tasks.algorithms.text.anchors import anchor_expression
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import guardrail_files, vocabularies
from tasks.models.loading import load_tokenizer, pad_id
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents

SPLITS = ("forget_test", "retain_test")


@dataclass(frozen=True, kw_only=True)
class TrialFigures:
    """Mean probabilities, 0 to 1: of answers where a split has questions, else of a token of its prose."""

    forget: float
    retain: float


@stage("trial", threads_share=2)
def score_trial(
    corpus: CorpusRef,
    checkpoint: CheckpointRef,
    config: ProbingConfig,
    corpus_config: CorpusConfig,
    label: str = "",
    run: str | None = None,
) -> TrialFigures:
    """Score the test splits of forget and retain text."""
    import numpy

    from tasks.algorithms.measuring.metrics import score_sequences
    from tasks.algorithms.measuring.probing import probe_items
    from tasks.algorithms.models.heads import context_size

    with tracking.stage_run(run, f"trial {checkpoint.label}") as nested:
        model, tokenizer = guardrail_files.load_behind_guardrail(checkpoint), load_tokenizer(checkpoint)
        template, context = vocabularies.question_template(tokenizer, corpus_config), context_size(model.config)
        found = {}
        for split in SPLITS:
            items = probe_items(
                split, read_documents(corpus, split), tokenizer, template, anchor_expression([]), config, context
            )
            answers = [item.sequence for item in items if item.variant == "answer"]
            scores = score_sequences(
                model, answers or [item.sequence for item in items], pad_id(tokenizer), on_step=progress.report
            )
            means = numpy.array([table[:, 0].mean(dtype=float) for table in scores])
            found[split] = (
                float(numpy.exp(means).mean())
                if answers
                else math.exp(float(numpy.concatenate([table[:, 0] for table in scores]).mean(dtype=float)))
            )
        tracking.log_metrics(nested, {f"{split}/trial_probability": value for split, value in found.items()})
        return TrialFigures(forget=found["forget_test"], retain=found["retain_test"])
