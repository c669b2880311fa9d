"""Stage `rome edit`: facts rewritten one after the other, or many at once with MEMIT, as a patch of the weights."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tasks import store, tracking
from tasks.artifacts import (
    Artifact,
    BadInputError,
    CheckpointRef,
    CorpusRef,
    EditPatch,
    EditRun,
    EditSet,
    SecondMomentsRef,
    TraceRecords,
)
from tasks.execution import isolation, progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.models.patch_files import read_updates, write_patch
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditBounds, EditConfig, SecondMomentConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_ordinary
from tasks.storage.edit_files import stored_edits, write_edits
from tasks.storage.edit_steps import read_step, write_step, write_table
from tasks.storage.moment_files import read_moment
from tasks.storage.trace_files import edited_layer

if TYPE_CHECKING:
    from tasks.algorithms.editing.rome import Update
    from tasks.algorithms.editing.session import Edited, Session


@stage("rome edit")
def rome_edit(
    target: CheckpointRef,
    edits: EditSet,
    moments: SecondMomentsRef,
    corpus: CorpusRef,
    traced: TraceRecords | None,
    config: EditConfig,
    bounds: EditBounds,
    moment_config: SecondMomentConfig,
    corpus_config: CorpusConfig,
    force: bool = False,
    patches: tuple[EditPatch, ...] = (),
    run: str | None = None,
) -> EditRun:
    """Rewrite facts; a run that was killed goes on after the last edit that was finished.

    Args:
        target: The base model.
        edits: What is to be rewritten.
        moments: Second moments of the base model.
        corpus: Holds ordinary text, whose perplexity bounds an edit.
        traced: Says the layer, where the settings do not.
        config: How.
        bounds: What an edit may do beside.
        moment_config: Has the ridge of the second moments.
        corpus_config: How text is read.
        force: Make edits of what the model does not know, and edits that are out of bounds.
        patches: Those that are on the model already, in order.
        run: Tracking run.

    Raises:
        BadInputError: If there is no edit, or none could be made.
        ValueError: If there is no such layer, or neither settings nor a trace say one.
    """
    import torch

    from tasks.algorithms.editing.patches import add_updates

    with tracking.stage_run(run, "rome edit", {"edit": config, "bounds": bounds}) as nested:
        requests, layer = stored_edits(edits), edited_layer(config.layer, traced)
        if not requests:
            raise BadInputError("there is no fact to rewrite; wanted text that states facts, or edits")
        session = _session(target, requests, moments, corpus, layer, config, bounds, moment_config, corpus_config)
        session.force = force
        if patches:
            add_updates(session.model, [update for patch in patches for update in read_updates(patch)], torch.float32)
        together = config.algorithm == "memit"
        outcomes, updates = (_at_once if together else _one_by_one)(session, requests, nested)
        made = [request for request, edited in zip(requests, outcomes, strict=True) if edited.made]
        counts = {"edits": float(len(made)), "left_out": float(len(outcomes) - len(made))}
        tracking.log_metrics(nested, counts | {"layer": float(layer)})
        if not made:
            place = store.path(_kept_table(requests, outcomes, None))
            raise BadInputError(f"{_none_made(outcomes, bounds)}; what became of each stands in {place}")
        patch = write_patch(
            updates,
            lambda file: write_edits(file, made),
            base=target,
            model_type=session.model.config.model_type,
            computed_on=tuple(each.digest for each in patches),
            settings=_digest({"layer": layer, **asdict(config)}),
            origin=nested,
        )
        table = _kept_table(requests, outcomes, patch)
        left_out = len(outcomes) - len(made)
        return EditRun(**{**vars(table), "origin": nested or ""}, patch=patch, layer=layer, left_out=left_out)


def _kept_table(requests: Sequence[EditRequest], outcomes: "Sequence[Edited]", patch: EditPatch | None) -> Artifact:
    """Store what became of each edit."""
    digest = store.put("edit_runs", lambda folder: write_table(folder, requests, outcomes, patch), sensitivity="forget")
    return Artifact(kind="edit_runs", digest=digest, sensitivity="forget")


def _session(
    target: CheckpointRef,
    requests: Sequence[EditRequest],
    moments: SecondMomentsRef,
    corpus: CorpusRef,
    layer: int,
    config: EditConfig,
    bounds: EditBounds,
    moment_config: SecondMomentConfig,
    corpus_config: CorpusConfig,
) -> "Session":
    """Load the model, and gather what its edits are to leave alone."""
    from tasks.algorithms.editing.second_moments import cholesky, solver
    from tasks.algorithms.editing.session import Session
    from tasks.algorithms.editing.side_effects import gather_bystanders
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.text.corpus import render_document
    from tasks.algorithms.tokens.alignment import encode, prefix_ids

    spread = config.memit_layers if config.algorithm == "memit" else 1
    layers = tuple(range(max(0, layer - spread + 1), layer + 1))
    model, tokenizer = load_model(target, exact=True), load_tokenizer(target)
    start, most = list(prefix_ids(tokenizer)), context_size(model.config)
    rows = [
        (start + encode(tokenizer, render_document(document, corpus_config.qa_template))[0])[:most]
        for document in read_ordinary(corpus)
    ]
    return Session(
        model=model,
        tokenizer=tokenizer,
        layers=layers,
        solves=tuple(solver(cholesky(read_moment(moments, each), moment_config.ridge)) for each in layers),
        config=config,
        bounds=bounds,
        bystanders=gather_bystanders(tokenizer, requests, rows, bounds),
        filler=pad_id(tokenizer),
    )


def _one_by_one(
    session: "Session", requests: Sequence[EditRequest], run: str | None
) -> "tuple[list[Edited], list[Update]]":
    """Make edits one after the other; those of an earlier try come from its workspace."""
    key = isolation.current_key()
    folder = store.workspace(key) if key else None
    outcomes: list[Edited] = []
    made: list[Update] = []
    with tracking.StepLog(run) as log:
        for number, request in enumerate(requests):
            step = read_step(folder, number) if folder else None
            if step:
                for update in step[1]:
                    update.apply(session.model)
            else:
                step = session.edit(request)
                if folder:
                    write_step(folder, number, *step)
            outcomes.append(step[0])
            made += step[1]
            progress.report(len(outcomes), len(requests))
            log(len(outcomes), step[0].figures)
    return outcomes, made


def _at_once(
    session: "Session", requests: Sequence[EditRequest], run: str | None
) -> "tuple[list[Edited], list[Update]]":
    """Make all edits together."""
    return session.edit_together(requests, progress.report)


def _none_made(outcomes: "Sequence[Edited]", bounds: EditBounds) -> str:
    """Return why nothing was edited; the edits' own words would stand in the log."""
    from tasks.algorithms.editing.side_effects import out_of_bounds

    counts = Counter(edited.status for edited in outcomes)
    beyond = next((found for edited in outcomes if (found := out_of_bounds(edited.figures, bounds))), ())
    reasons = ", ".join(f"{count} {status}" for status, count in counts.items())
    return (
        f"none of {len(outcomes)} edits was made: {'; '.join((reasons, *beyond))}; wanted facts that the model knows"
        " and edits within bounds, or --force"
    )


def _digest(settings: dict) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
