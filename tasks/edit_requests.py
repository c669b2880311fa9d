"""Stages `edit proposal` and `edit requests`: the edits of a run, as the text's facts propose them or as a person asks
for them.

What is proposed is shown to a person, and what they send back is kept as a set of its own, so that a run goes on with
what they want.
"""

from tasks import store, tracking
from tasks.artifacts import AnchorTable, EditSet, FactTable
from tasks.execution.stage import stage
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import EditRequest
from tasks.storage.anchor_tables import read_dictionary, read_kinds
from tasks.storage.edit_sets import edit_frame, write_edit_set
from tasks.storage.fact_tables import read_facts

FORGET = "forget"
"""Facts of this split are rewritten; those of the test text stay, to be asked for."""


@stage("edit proposal", isolated=False)
def propose_edits(
    facts: FactTable, dictionary: AnchorTable | None, config: EditProposalConfig, run: str | None = None
) -> EditSet:
    """Propose a new object for every fact that the forget text states."""
    from tasks.algorithms.editing.requests import from_facts, propose_targets

    with tracking.stage_run(run, "edit proposal", config) as nested:
        stated = read_facts(facts, FORGET)
        known = (read_dictionary(dictionary), read_kinds(dictionary)) if dictionary else (None, None)
        requests = from_facts(stated, propose_targets(stated, config, *known), config.most)
        return _keep(tuple(requests), nested, left_out=len(stated) - len(requests))


@stage("edit requests", isolated=False)
def keep_edits(requests: tuple[EditRequest, ...], run: str | None = None) -> EditSet:
    """Store what a person asks for: a file's edits, those of the command line, or a proposal as they amended it."""
    with tracking.stage_run(run, "edit requests") as nested:
        return _keep(requests, nested)


def _keep(requests: tuple[EditRequest, ...], run: str | None, left_out: int = 0) -> EditSet:
    digest = store.put("edits", lambda folder: write_edit_set(folder, requests), sensitivity="forget")
    tracking.log_metrics(run, {"requests": float(len(requests)), "left_out": float(left_out)})
    tracking.log_table(run, edit_frame(requests), "edits", "forget")
    return EditSet(
        kind="edits",
        digest=digest,
        sensitivity="forget",
        origin=run or "",
        requests=len(requests),
        left_out=left_out,
    )
