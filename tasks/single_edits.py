"""Stage `single edits`: each edit alone on the model, judged and taken back: the published way to compare editors.

Whatever the editor, its changes are judged by one loop.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks import tracking
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, EditScores, EditSet, SecondMomentsRef, TraceRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.reporting.edit_rows import edit_rows
from tasks.settings.edit_baselines import EditBaselinesConfig
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import ONE_LAYER, EditConfig, SecondMomentConfig
from tasks.storage.edit_files import stored_edits
from tasks.storage.edit_records import keep_scores
from tasks.storage.edit_texts import ordinary_texts
from tasks.storage.moment_files import read_moment
from tasks.storage.trace_files import edited_layer

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.algorithms.editing.changes import Change
    from tasks.algorithms.measuring.edit_scores import EditRecords


@stage("single edits")
def judge_single_edits(
    target: CheckpointRef,
    edits: EditSet,
    moments: SecondMomentsRef | None,
    traced: TraceRecords | None,
    facts: EditSet | None,
    config: EditConfig,
    baselines: EditBaselinesConfig,
    moment_config: SecondMomentConfig,
    evaluation: EditEvaluationConfig,
    texts: CorpusRef | None = None,
    run: str | None = None,
) -> EditScores:
    """Make every edit alone on the model in memory, judge it and take it back.

    Args:
        target: The model.
        edits: The requests.
        moments: Its second moments, which ROME and MEMIT need.
        traced: Says the layer, where the settings do not; knowledge neurons and MEND need none.
        facts: Others that the model knows, which MEND learns from.
        config: Who edits, and how ROME and MEMIT do.
        baselines: How the others do.
        moment_config: Has the ridge.
        evaluation: How much is asked; of ordinary text `single_text_tokens` an edit.
        texts: Where ordinary text comes from; None: no perplexity.
        run: Tracking run.

    Raises:
        BadInputError: If there is no edit.
        ValueError: If there is no such layer, neither settings nor a trace say one, or MEND has nothing to learn from.
    """
    from tasks.algorithms.editing.editors import EditorInputs, single_changes
    from tasks.algorithms.measuring.edit_questions import with_objects

    settings = {"edit": config, "baselines": baselines, "evaluation": evaluation}
    with tracking.stage_run(run, "single edits", settings) as nested:
        if not edits.requests:
            raise BadInputError("there is no fact to rewrite; wanted edits")
        layer = edited_layer(config.layer, traced) if config.algorithm in ONE_LAYER else None
        model, tokenizer = load_model(target, exact=True), load_tokenizer(target)
        requests = with_objects(model, tokenizer, stored_edits(edits), pad_id(tokenizer))
        given = EditorInputs(
            config=config,
            baselines=baselines,
            layer=layer,
            solve=None if moments is None else lambda one: _solver(moments, one, moment_config),
            facts=stored_edits(facts) if facts else (),
            on_step=progress.report,
        )
        changes = single_changes(model, tokenizer, requests, given)
        before, after, seconds = judged(model, tokenizer, requests, changes, evaluation, ordinary_texts(texts))
        metrics = edit_rows(before, after, requests, seconds)
        figures = {name: row["unlearned"] for name, row in metrics.items()}
        tracking.log_metrics(nested, figures | ({} if layer is None else {"layer": float(layer)}))
        return keep_scores(metrics, {"before": before, "after": after}, len(requests), config.algorithm, nested)


def _solver(moments: SecondMomentsRef, layer: int, config: SecondMomentConfig) -> "Callable[[Tensor], Tensor]":
    from tasks.algorithms.editing.second_moments import cholesky, solver

    return solver(cholesky(read_moment(moments, layer), config.ridge))


def judged(
    model: Any,
    tokenizer: Any,
    requests: Sequence[EditRequest],
    changes: "Iterable[tuple[Sequence[Change], float]]",
    evaluation: EditEvaluationConfig,
    texts: Sequence[str],
) -> "tuple[EditRecords, EditRecords, dict[int, float]]":
    """Return what the model says before, what it says with each edit alone, and the seconds of each.

    Args:
        model: As it is before any edit, and afterwards again.
        tokenizer: Its tokenizer.
        requests: The edits.
        changes: For each of them, in order, what it does to the weights and the seconds that it took, whatever made it.
        evaluation: How much is asked.
        texts: Ordinary text.
    """
    from tasks.algorithms.editing.changes import edited
    from tasks.algorithms.measuring.edit_scores import EditRecords, prepare_questions, score_edits, score_texts

    pad = pad_id(tokenizer)
    sample = replace(evaluation, text_tokens=evaluation.single_text_tokens)
    questions = prepare_questions(model, tokenizer, requests, evaluation, pad, together=False)
    before = score_edits(model, tokenizer, requests, questions, evaluation, pad)
    ordinary = score_texts(model, tokenizer, texts, sample, pad)
    after, seconds = EditRecords(), {}
    for place, (made, took) in enumerate(changes):
        with edited(model, made):
            after += score_edits(model, tokenizer, requests, questions, evaluation, pad, only=(place,))
            after += score_texts(model, tokenizer, texts, sample, pad)
        before += ordinary
        seconds[place] = took
        progress.report(place + 1, len(requests))
    return before, after, seconds
