"""Stage `probing`: one pass over every split and completions of prompts, for one model. The scorecard is arithmetic on
this.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.text.anchors import AnchorExpression, anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.pairs import differing_spans, pair_documents
from tasks.algorithms.text.scripts import first_units
from tasks.algorithms.text.spacing import drawn
from tasks.algorithms.tokens.alignment import encode
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef, ProbeRecords, PromptSet
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import guardrail_files, vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import read_documents
from tasks.storage.probe_records import Records, completion_table, token_tables, write_records
from tasks.storage.prompt_sets import read_invitations

if TYPE_CHECKING:
    import numpy

    from tasks.algorithms.measuring.metrics import ScoredSequence
    from tasks.algorithms.measuring.probing import Prompt
    from tasks.algorithms.tokens.templates import Template

SCORED = ("forget", "forget_test", "retain_test", "sibling", "general", "holdout")
PROMPTED = ("forget_test", "retain_test", "sibling", "general")


@stage("probing", threads_share=2)
def probe(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    invited: PromptSet,
    checkpoint: CheckpointRef,
    teacher: CheckpointRef | None,
    config: ProbingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> ProbeRecords:
    """Score all splits and complete all prompts with one model; `teacher` rates how likely the completions are."""
    from tasks.algorithms.measuring.adversarial import adversarial_items
    from tasks.algorithms.measuring.probing import complete, invitation_prompts, probe_items
    from tasks.algorithms.models.heads import context_size

    with tracking.stage_run(run, f"probing {label}", config) as nested:
        model, tokenizer = guardrail_files.load_behind_guardrail(checkpoint), load_tokenizer(checkpoint)
        context, pad = context_size(model.config), pad_id(tokenizer)
        expression, template = (
            anchor_expression(read_dictionary(dictionary)),
            vocabularies.question_template(tokenizer, corpus_config),
        )
        splits = {split: read_documents(corpus, split) for split in SCORED}
        items = [
            item
            for split, documents in splits.items()
            for item in probe_items(split, documents, tokenizer, template, expression, config, context)
        ]
        items += adversarial_items(
            "forget_test", splits["forget_test"], splits["retain_test"], tokenizer, template, expression, context
        )
        # a text that stands in two splits is scored once
        distinct = list(dict.fromkeys(item.sequence for item in items))
        scored = dict(zip(distinct, _score(model, distinct, pad, checkpoint), strict=True))
        scores = [scored[item.sequence] for item in items]
        prompts = [
            _cut_truth(prompt, tokenizer, config.new_tokens)
            for prompt in _prompts(splits, template, expression, config)
        ]
        prompts += invitation_prompts(read_invitations(invited), template)
        completions = complete(model, tokenizer, prompts, template, config, pad, context)
        rated = _rate(teacher, tokenizer, prompts, completions, pad, context)
        completion_rows = completion_table(prompts, completions, [template.answer(text) for text in completions], rated)
        records = Records(**token_tables(items, scores, tokenizer), completions=completion_rows)
        digest = store.put("probes", lambda folder: write_records(folder, records), sensitivity="forget")
        tracking.log_table(nested, completion_rows, f"completions-{label}", "forget")
        passes = {
            "scored_sequences": len(distinct),
            "generated": len(prompts),
            "rated_by_teacher": int(completion_rows.teacher_nats.notna().sum()),
        }
        tracking.log_metrics(nested, {f"passes/{name}": count for name, count in passes.items()})
        return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", origin=nested or "", passes=passes)


def _score(model: Any, sequences: "list[ScoredSequence]", pad: int, checkpoint: CheckpointRef) -> "list[numpy.ndarray]":
    from tasks.algorithms.measuring.metrics import score_sequences

    try:
        return score_sequences(model, sequences, pad, on_step=progress.report)
    except ValueError as error:
        raise BadInputError(f"{checkpoint.label} model {checkpoint.name}: {error}") from None


def _prompts(
    splits: dict[str, list[Any]], template: "Template", expression: AnchorExpression, config: ProbingConfig
) -> "list[Prompt]":
    """Cloze prompts cut before anchors where the topic is to be forgotten, anywhere in text that is to be kept; of
    aligned pairs what they share.
    """
    from tasks.algorithms.measuring.probing import make_prompts

    shared = shared_beginnings(splits["forget_test"], splits["retain_test"], config)
    cut = [split for split in PROMPTED if not shared or split not in ("forget_test", "retain_test")]
    return shared + [
        prompt
        for split in cut
        for prompt in make_prompts(
            split, splits[split], template, expression if split == "forget_test" else None, config
        )
    ]


def shared_beginnings(forget: Sequence[Document], retain: Sequence[Document], config: ProbingConfig) -> "list[Prompt]":
    """Return up to `config.prompts` beginnings that aligned sentences share, each once: both go on from there, and only
    one as a stereotype has it.

    Args:
        forget: Records whose continuation stands as the true text.
        retain: The same sentences otherwise; partners share their `fact`.
        config: How many prompts, and words of the true text.

    Returns:
        Prompts; none where the records are no pairs of texts.
    """
    from tasks.algorithms.measuring.probing import Prompt

    try:
        pairs = pair_documents(forget, retain)
    except ValueError:
        return []
    prompts: dict[str, Prompt] = {}
    for item, (forget_text, retain_text) in enumerate(
        pairs if not any(document.is_question for pair in pairs for document in pair) else []
    ):
        differing, _ = differing_spans(forget_text.text, retain_text.text)
        prompt, rest = (
            (forget_text.text[: differing[0][0]].rstrip(), forget_text.text[differing[0][0] :])
            if differing
            else ("", "")
        )
        truth = first_units(rest, config.new_tokens)
        if prompt and truth and retain_text.text.startswith(prompt):
            prompts.setdefault(
                prompt,
                Prompt(
                    split="forget_test", item=item, kind="cloze", prompt=prompt, truth=truth, cluster=forget_text.fact
                ),
            )
    return drawn(list(prompts.values()), config.prompts, config.draw)


def _cut_truth(prompt: "Prompt", tokenizer: Any, most: int) -> "Prompt":
    """Cut the true text to as many tokens as the model may say, so that the two can be compared; answers stay whole."""
    _, offsets = encode(tokenizer, prompt.truth)
    return (
        prompt
        if prompt.kind != "cloze" or len(offsets) <= most
        else replace(prompt, truth=prompt.truth[: offsets[most - 1][1]])
    )


def _rate(
    teacher: CheckpointRef | None,
    tokenizer: Any,
    prompts: "list[Prompt]",
    completions: list[str],
    pad: int,
    context: int,
) -> list[float]:
    """Return the teacher's loss in nats a token on every completion; NaN for empty ones, and without a teacher."""
    from tasks.algorithms.measuring.probing import rate_completions

    if teacher is None:
        return [float("nan")] * len(completions)
    return rate_completions(load_model(teacher), tokenizer, prompts, completions, pad, context)
