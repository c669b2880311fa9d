"""Facts of a text become edits: corpus > anchors > translation > facts > edit proposal, and a person's look at them."""

from dataclasses import replace
from typing import Any

from flows.steps.asking import Review
from flows.steps.decisions import Decisions
from flows.steps.dictionary import translation
from flows.steps.edit_review import review_edits
from flows.steps.facts import state_facts
from flows.steps.flow_runs import flow
from flows.steps.outcome import Stages
from flows.steps.wiring import Wiring
from tasks.artifacts import BadInputError, CorpusRef, EditSet
from tasks.corpus import CorpusInputs, read_corpus
from tasks.edit_requests import keep_edits, propose_edits
from tasks.execution import isolation
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tasks.storage.edit_files import stored_edits

FORGET = "forget"
"""The split whose facts are rewritten."""


def proposed(stages: Stages, corpus: CorpusRef, config: RankOneEditingConfig) -> EditSet:
    """Propose an edit for every fact that the forget text states.

    Raises:
        BadInputError: If it states none that has another object.
    """
    wiring, run = Wiring(run=stages.run or None), stages.run or None
    translated = translation(corpus, config, None, needs_anchors=True)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    facts: Any = stages.result("facts", state_facts(stages, corpus, dictionary, config, (FORGET,)))
    edits = stages.result("edit proposal", propose_edits.submit(facts, dictionary, config.proposals, run))
    if not edits.requests:
        raise BadInputError(
            f"the text states {facts.facts} facts that could be edited; wanted sentences that name two things, or"
            " questions with answers"
        )
    return edits


def reviewed(stages: Stages, edits: EditSet, decisions: Decisions, review: Review) -> EditSet:
    """Wait until a person has confirmed edits in the Prefect UI, and return those that they want."""
    wanted = review_edits(edits, decisions, review)
    return stages.result("edit requests", keep_edits.submit(wanted, stages.run or None), "reviewed")


@flow(name="edit-proposals", log_prints=False)
def edit_proposals(inputs: CorpusInputs, config: RankOneEditingConfig) -> list[EditRequest]:
    """Return the edits that a text's facts propose, to be looked at; no model is touched.

    Args:
        inputs: The text, as the split `forget`.
        config: How facts are read and new objects found.
    """
    isolation.begin()
    stages = Stages(run="")
    corpus = stages.result("corpus", read_corpus.submit(inputs, config.corpus))
    return stored_edits(proposed(stages, corpus, config))


def erasing(config: RankOneEditingConfig) -> RankOneEditingConfig:
    """Return settings under which a text's facts get objects that say nothing."""
    return replace(config, proposals=replace(config.proposals, new_object="erased"))
