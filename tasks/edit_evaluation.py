"""Stage `edit evaluation`: what a model says about edits, unrelated facts and ordinary text, before and after; all
`edit/...` scores are arithmetic on this.

It judges edits that one model holds together. Edits that each stand alone are judged in memory, by the same functions
(`algorithms.measuring.edit_scores`), without a checkpoint an edit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks import tracking
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, EditPatch, EditRun, EditScores, EditSet
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import guardrail_files
from tasks.models.loading import load_tokenizer, pad_id
from tasks.reporting.edit_rows import answer_rows, edit_rows
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_request import EditRequest
from tasks.storage.edit_files import stored_edits
from tasks.storage.edit_records import keep_scores
from tasks.storage.edit_texts import ordinary_texts

if TYPE_CHECKING:
    from tasks.algorithms.measuring.edit_scores import EditRecords


@stage("edit evaluation", threads_share=2)
def evaluate_edits(
    before: CheckpointRef,
    after: CheckpointRef,
    edits: tuple[EditSet | EditPatch | EditRun, ...],
    config: EditEvaluationConfig,
    texts: CorpusRef | None = None,
    label: str = "",
    run: str | None = None,
) -> EditScores:
    """Judge the edits that a model holds against the model before them.

    Args:
        before: The model before any of the edits.
        after: The model with all of them.
        edits: Sets of requests, or patches, with those that they made. A request that names no object gets what the
            model before says.
        config: How much is asked.
        texts: Where ordinary text comes from; None: no perplexity.
        label: What to call the edited model.
        run: Tracking run.
    """
    with tracking.stage_run(run, f"edit evaluation {label}".rstrip(), config) as nested:
        requests, records, answered = _asked(before, after, all_edits(edits), config, ordinary_texts(texts))
        metrics = edit_rows(records["before"], records["after"], requests)
        figures = {name: row["unlearned"] for name, row in metrics.items()}
        before_figures = {f"{name}.target": row["target"] for name, row in metrics.items() if row["target"] is not None}
        tracking.log_metrics(nested, figures | before_figures)
        return keep_scores(metrics, records, len(requests), label, nested, answered)


def all_edits(edits: Sequence[EditSet | EditPatch | EditRun]) -> list[EditRequest]:
    """Return the requests of sets and patches, in order."""
    return [request for each in edits for request in stored_edits(each.patch if isinstance(each, EditRun) else each)]


def _asked(
    before: CheckpointRef,
    after: CheckpointRef,
    requests: Sequence[EditRequest],
    config: EditEvaluationConfig,
    texts: Sequence[str],
) -> "tuple[list[EditRequest], dict[str, EditRecords], list[dict[str, str]]]":
    """Return the requests with their objects, what each model said, and what a person is shown of it; one model is in
    memory at a time.
    """
    from tasks.algorithms.measuring.edit_answers import answers, queries
    from tasks.algorithms.measuring.edit_questions import with_objects
    from tasks.algorithms.measuring.edit_scores import prepare_questions, score_edits, score_texts

    tokenizer = load_tokenizer(before)
    pad = pad_id(tokenizer)

    def say(model: Any, first: int) -> "EditRecords":
        def step(done: int, total: int) -> None:
            progress.report(first * total + done, 2 * total)

        told = score_edits(model, tokenizer, requests, questions, config, pad, on_step=step)
        return told + score_texts(model, tokenizer, texts, config, pad)

    try:
        model = guardrail_files.load_behind_guardrail(before)
        requests = with_objects(model, tokenizer, requests, pad)
        questions = prepare_questions(model, tokenizer, requests, config, pad, together=True)
        records, looked_at = {"before": say(model, 0)}, queries(requests, config.answers)
        was = answers(model, tokenizer, looked_at, config, pad)
        model = None  # the next one takes its place
        model = guardrail_files.load_behind_guardrail(after)
        records["after"] = say(model, 1)
        now = answers(model, tokenizer, looked_at, config, pad)
        return requests, records, answer_rows(requests, looked_at, was, now)
    except ValueError as error:
        raise BadInputError(f"edits of {before.label} model {before.name}: {error}") from None
