"""Facts erased one by one: corpus > anchors > facts > edit proposal > causal tracing > second moments > rome edit >
patches > probing > benchmarking > scorecard > report.

Each fact that the text states is rewritten to an object that says nothing, or, where it is a question, to a refusal.
That is for few facts; whoever wants a text forgotten that is more than its facts takes another method.
"""

from collections.abc import Mapping
from typing import Any

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.edit_stages import declare_edit
from flows.steps.editing import check_editable
from flows.steps.flow_runs import flow
from flows.steps.outcome import Outcome, StageOf
from flows.steps.preparation import Coverage
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import DICTIONARY, FACTS, Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, EditRun, EditSet
from tasks.edit_requests import propose_edits
from tasks.patches import apply_patches
from tasks.settings.fact_erasure import FactErasureConfig
from tasks.settings.rank_one_editing import EditBounds
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.edit_steps import read_table

METHOD, PAPER = "rome", "arXiv:2202.05262"


@flow(name="fact-erasure", log_prints=False, validate_parameters=True)
def fact_erasure(
    request: UnlearningRequest,
    config: FactErasureConfig = FactErasureConfig(),
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Rewrite each fact of the forget text to say nothing, and judge the result.

    A fact that the model does not give needs no erasing and is left alone, as is one whose edit would harm the rest;
    report and log say how many. Where that is every fact the run ends, and no model is handed over: an unchanged one
    must not pass for one that has forgotten. `lethe evaluate` shows what an unchanged model says, and `force` erases
    all the same.

    Args:
        request: What is to be forgotten, by which model, and what else is at hand.
        config: All settings.
        review: Wait until a person has looked over anchors, translations and facts in the Prefect UI: `new`
            asks about what they have not decided in an earlier run for the same request, `all` about everything.
        coverage: `measure` says how much of what the target model tells of the topic is in the forget text; `expand`
            adds what is not.
        require_verdict: Whether the flow run fails when the verdict is not passed.
    """
    return concluded(carry_out(unlearning(request, config, review, coverage)), require_verdict)


def unlearning(
    request: UnlearningRequest, config: FactErasureConfig, review: Review = "off", coverage: Coverage = "off"
) -> Unlearning:
    """Describe the method at work on a request, after both are checked; arguments as the flow takes them."""
    require_text(request, config)
    checked = check_unlearning(request, config, review=review)
    check_editable(request.model)
    return Unlearning(
        method=METHOD,
        paper=PAPER,
        presets=METHODS[METHOD].named_presets(),
        declare=declare,
        request=checked,
        review=review,
        coverage=coverage,
        account=account,
    )


def require_text(request: UnlearningRequest, config: FactErasureConfig) -> None:
    """Refuse a request without retain text: an edit leaves alone what it has seen of other text."""
    if not request.retain:
        raise BadInputError(
            "--method rome without retain text knows nothing that it is to leave alone; wanted --retain FILE..."
        )


def declare(corpus: CorpusRef, target: CheckpointRef, config: FactErasureConfig) -> Call:
    """Declare the stages up to the unlearned model."""
    edits = Call(propose_edits, FACTS, DICTIONARY, config.proposals, target, corpus, config.corpus)
    edited = declare_edit(target, corpus, edits, edits, config, force=config.force)
    return Call(apply_patches, target, (edited,), "unlearned")


def account(records: Mapping[StageOf, Any]) -> dict[str, str]:
    """Return in words, for card and log, what became of the facts."""
    proposed: EditSet = records[StageOf("edit proposal")]
    edited: EditRun = records[StageOf("rome edit")]
    rows = read_table(edited)
    left = {
        "said otherwise before their turn": sum(row["status"] == "not known" and not row["made"] for row in rows),
        "whose edit is out of bounds": sum(row["status"] == "disabling" and not row["made"] for row in rows),
        "that came twice, were too many, or do not fit the model": proposed.left_out,
    }
    reasons = "; ".join(f"{count} {reason}" for reason, count in left.items() if count)
    made = sum(row["made"] for row in rows)
    weak = sum(row["made"] and row.get("nats", 0.0) > EditBounds().most_nats for row in rows)
    words = f"{made} of {len(rows) + proposed.left_out}" + (f", {weak} of them only weakly" if weak else "")
    return {"facts erased": f"{words}; left alone: {reasons}" if reasons else words}
