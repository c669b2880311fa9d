"""SCRUB: corpus > reference cache > scrub (max- and min-steps) > rewind > probing > benchmarking > scorecard
> report.
"""

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.flow_runs import flow
from flows.steps.localisation import account, localised
from flows.steps.outcome import Outcome
from flows.steps.preparation import Coverage
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.reference_cache import ReferenceNeeds, cache_reference
from tasks.rewind import rewind_checkpoints
from tasks.scrub import scrub as train_scrub
from tasks.settings.rows import RowsConfig
from tasks.settings.scrub import ScrubConfig
from tasks.settings.scrub_unlearning import ScrubUnlearningConfig, scrub_preset, source_remark
from tasks.settings.unlearning_request import UnlearningRequest

METHOD, PAPER = "scrub", ScrubConfig.paper


@flow(name="scrub", log_prints=False, validate_parameters=True)
def scrub(
    request: UnlearningRequest,
    config: ScrubUnlearningConfig = scrub_preset("default"),
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Hold the model to itself on retain text, which is wanted, and drive it away on forget text; a rewind compares
    errors with the holdout's.

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
    request: UnlearningRequest, config: ScrubUnlearningConfig, review: Review = "off", coverage: Coverage = "off"
) -> Unlearning:
    """Describe the method at work on a request, after both are checked; arguments as the flow takes them."""
    require_text(request, config)
    checked = check_unlearning(request, config, review=review)
    notes = {"max-step": config.scrub.max_step, "source work": source_remark(config, checked.target.parameters)}
    named = {name: words for name, words in notes.items() if words}
    return Unlearning(
        method=METHOD,
        paper=PAPER,
        presets=METHODS[METHOD].named_presets(),
        declare=declare,
        request=checked,
        review=review,
        coverage=coverage,
        provenance=named,
        account=account,
    )


def require_text(request: UnlearningRequest, config: ScrubUnlearningConfig) -> None:
    """Refuse a request without the text that SCRUB needs beside the forget text."""
    reasons = {"retain": "holds on to retain text"} | (
        {"holdout": "rewinds by held-out text"} if config.rewind.enabled else {}
    )
    for wanted, why in reasons.items():
        if not getattr(request, wanted):
            raise BadInputError(f"--method scrub {why}, and there is none; wanted --{wanted} FILE...")


def declare(corpus: CorpusRef, target: CheckpointRef, config: ScrubUnlearningConfig) -> Call:
    """Declare max- and min-steps, and the choice among their checkpoints."""
    reference = Call(
        cache_reference, corpus, target, _needs(config), RowsConfig(tokens=config.training.block_size), config.corpus
    )
    candidates = Call(
        train_scrub,
        corpus,
        target,
        reference,
        config.scrub,
        config.training,
        config.rewind,
        config.corpus,
        config.lora,
        localised(corpus, target, config),
    )
    return Call(rewind_checkpoints, corpus, candidates, config.rewind, config.corpus)


def _needs(config: ScrubUnlearningConfig) -> ReferenceNeeds:
    needs = tuple(sorted(config.scrub.needs))
    return ReferenceNeeds(
        objective=needs, differing=config.scrub.positions == "differing", stored=config.training.teacher == "cached"
    )
