"""WHP: corpus > anchors > translation > facts > (review) > reinforcement > labels > finetune > probing > benchmarking >
scorecard > report.
"""

from dataclasses import replace

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.flow_runs import flow
from flows.steps.localisation import account, localised
from flows.steps.outcome import Outcome
from flows.steps.preparation import Coverage
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.widening import widened
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.reinforcement import reinforce
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.teacher_cache import cache_teacher

METHOD, PAPER = "whp", "arXiv:2310.02238"


@flow(
    name="selective-unlearning",
    log_prints=False,
    validate_parameters=True,
)
def selective_unlearning(
    request: UnlearningRequest,
    config: SelectiveUnlearningConfig = SelectiveUnlearningConfig(),
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Unlearn the forget text from the model and judge the result.

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
    request: UnlearningRequest, config: SelectiveUnlearningConfig, review: Review = "off", coverage: Coverage = "off"
) -> Unlearning:
    """Describe the method at work on a request, after both are checked; arguments as the flow takes them."""
    checked = check_unlearning(request, config, review=review)
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


def declare(corpus: CorpusRef, target: CheckpointRef, config: SelectiveUnlearningConfig) -> Call:
    """Declare the stages up to the unlearned model."""
    # no one but the labels uses the reinforced model, so an adapter is never merged
    reinforced = Call(
        reinforce, corpus, target, config.reinforcement, config.corpus, replace(config.lora, output="adapter")
    )
    teacher = _teacher(corpus, target, config) if config.finetune.retain_weight else None
    labels = Call(make_labels, corpus, DICTIONARY, target, reinforced, config.labels, config.corpus)
    return Call(
        finetune,
        target,
        reinforced,
        labels,
        teacher,
        config.labels,
        config.finetune,
        config.lora,
        localised(corpus, target, config),
    )


def _teacher(corpus: CorpusRef, target: CheckpointRef, config: SelectiveUnlearningConfig) -> Call | None:
    """Declare what the target model says of what is to be kept; none where there is no such text."""
    size, blocks = config.labels.block_size, config.finetune.self_written_blocks
    text = widened(corpus, target, blocks, size, config.finetune.seed, config.corpus)
    if text is corpus and "retain" not in corpus.documents:
        return None
    return Call(cache_teacher, text, target, size, config.corpus, "retain")
