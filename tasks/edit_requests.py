"""Stages `edit proposal` and `edit requests`: the edits of a run, as the text's facts propose them or as a person asks
for them.

What is proposed is shown to a person, and what they send back is kept as a set of its own, so that a run goes on with
what they want.
"""

from collections.abc import Sequence

from tasks import tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import FactTriple
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, EditSet, FactTable
from tasks.execution.stage import stage
from tasks.models.checkpoints import context_length
from tasks.models.loading import load_tokenizer
from tasks.models.vocabularies import question_template
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import EditRequest, Statement
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary, read_kinds
from tasks.storage.documents import read_documents
from tasks.storage.edit_sets import edit_frame, put_edits
from tasks.storage.fact_tables import read_facts

FORGET = "forget"
"""Facts of this split are rewritten; those of the test text stay, to be asked for."""
KEPT, MOST_KEPT = "retain", 50
"""Questions of this split are other facts, which no edit may change: so many of them at most."""


@stage("edit proposal", isolated=False)
def propose_edits(
    facts: FactTable,
    dictionary: AnchorTable | None,
    config: EditProposalConfig,
    target: CheckpointRef | None = None,
    corpus: CorpusRef | None = None,
    corpus_config: CorpusConfig = CorpusConfig(),
    run: str | None = None,
) -> EditSet:
    """Propose a new object for every fact that the forget text states.

    Args:
        facts: What the text states.
        dictionary: The anchors' translations and kinds.
        config: How new objects are found.
        target: The model that is to be edited: questions get the words around them that it knows, and what does not
            fit it, such as a refusal of more than 20 tokens, is left out. None: prompts stay as the text has them.
        corpus: Questions of its retain text go with the edits as other facts, which these are to leave alone.
        corpus_config: How questions become text.
        run: Tracking run.
    """
    from tasks.algorithms.editing.requests import from_facts, propose_targets, with_kept

    with tracking.stage_run(run, "edit proposal", config) as nested:
        stated = read_facts(facts, FORGET)
        known = (read_dictionary(dictionary), read_kinds(dictionary)) if dictionary else (None, None)
        targets = propose_targets(stated, config, *known)
        questions = [document for document in read_documents(corpus, KEPT) if document.is_question] if corpus else []
        if target is None:
            requests, kept = from_facts(stated, targets, config.most), []
        else:
            requests, kept = _as_asked(stated, targets, questions, config, target, corpus_config)
        return _keep(tuple(with_kept(requests, kept, MOST_KEPT)), nested, left_out=len(stated) - len(requests))


def _as_asked(
    stated: Sequence[FactTriple],
    targets: Sequence[str],
    questions: Sequence[Document],
    config: EditProposalConfig,
    target: CheckpointRef,
    corpus_config: CorpusConfig,
) -> tuple[list[EditRequest], list[Statement]]:
    """Return edits, and the facts that they leave alone, in the words in which a model is asked."""
    from tasks.algorithms.editing.prompts import fitting
    from tasks.algorithms.editing.requests import as_asked, from_facts
    from tasks.algorithms.tokens.alignment import prefix_ids

    tokenizer = load_tokenizer(target)
    template, beginning = question_template(tokenizer, corpus_config), tokenizer.decode(prefix_ids(tokenizer))
    asked = [as_asked(fact, template, beginning) for fact in stated]
    requests = fitting(tokenizer, from_facts(asked, targets, config.most), context_length(target))
    return requests, [Statement(prompt=template.prompt(one), object=one.answer) for one in questions]


@stage("edit requests", isolated=False)
def keep_edits(requests: tuple[EditRequest, ...], run: str | None = None) -> EditSet:
    """Store what a person asks for: a file's edits, those of the command line, or a proposal as they amended it."""
    with tracking.stage_run(run, "edit requests") as nested:
        return _keep(requests, nested)


def _keep(requests: tuple[EditRequest, ...], run: str | None, left_out: int = 0) -> EditSet:
    stored = put_edits(requests)
    tracking.log_metrics(run, {"requests": float(len(requests)), "left_out": float(left_out)})
    tracking.log_table(run, edit_frame(requests), "edits", "forget")
    return EditSet(**{**vars(stored), "origin": run or ""}, requests=len(requests), left_out=left_out)
