"""Any listed objective: corpus > reference cache > unlearning > probing > benchmarking > scorecard > report."""

from flows.methods import METHODS
from flows.steps.asking import Review
from flows.steps.flow_runs import flow
from flows.steps.localisation import account, localised
from flows.steps.outcome import Outcome
from flows.steps.preparation import Coverage
from flows.steps.settings import differences
from flows.steps.unlearning import Unlearning, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.objective_training import unlearn
from tasks.reference_cache import ReferenceNeeds, cache_reference
from tasks.settings.gradient_unlearning import GradientUnlearningConfig, gradient_preset, tuning
from tasks.settings.unlearning_request import UnlearningRequest


@flow(
    name="gradient-unlearning",
    log_prints=False,
    validate_parameters=True,
)
def gradient_unlearning(
    request: UnlearningRequest,
    config: GradientUnlearningConfig,
    review: Review = "off",
    coverage: Coverage = "off",
    require_verdict: bool = False,
) -> Outcome:
    """Train the model away from the forget text with one objective, `config.method`, and judge the result.

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
    request: UnlearningRequest, config: GradientUnlearningConfig, review: Review = "off", coverage: Coverage = "off"
) -> Unlearning:
    """Describe the method at work on a request, after both are checked; arguments as the flow takes them."""
    require_text(request, config)
    return Unlearning(
        method=config.method,
        paper=config.objective.paper,
        presets=METHODS[config.method].named_presets(),
        declare=declare,
        request=check_unlearning(request, config, review=review),
        review=review,
        coverage=coverage,
        provenance={"settings": origin_of_settings(config)},
        account=account,
    )


def require_text(request: UnlearningRequest, config: GradientUnlearningConfig) -> None:
    """Refuse a request without the retain text that alone tells the method from another one."""
    if not request.retain and (instead := config.objective.without_retain):
        raise BadInputError(
            f"--method {config.method} without retain text is {instead}; wanted --retain FILE..., or --method {instead}"
        )


def origin_of_settings(config: GradientUnlearningConfig) -> str:
    """Return in words, for the card, where the settings of the training are from: the preset that is nearest, and what
    was changed in it.
    """
    from_presets = {tuning(config.method): "default", "constants of the paper": "paper"}
    changed = {
        words: _changes(config, gradient_preset(config.method, preset)) for words, preset in from_presets.items()
    }
    nearest = min(changed, key=lambda words: len(changed[words]))
    return f"{nearest}, but for {', '.join(changed[nearest])}" if changed[nearest] else nearest


def _changes(config: GradientUnlearningConfig, preset: GradientUnlearningConfig) -> list[str]:
    trained_by = tuple(f"{section}." for section in ("objective", "rows", "training", "lora", "localisation"))
    seeds = ("training.seed", "localisation.seed")
    return [name for name in differences(config, preset) if name.startswith(trained_by) and name not in seeds]


def declare(corpus: CorpusRef, target: CheckpointRef, config: GradientUnlearningConfig) -> Call:
    """Declare the stages up to the unlearned model."""
    reference = Call(cache_reference, corpus, target, _needs(config), config.rows, config.corpus)
    return Call(
        unlearn,
        corpus,
        target,
        reference,
        config.loss,
        config.objective,
        config.training,
        config.corpus,
        config.lora,
        localised(corpus, target, config),
    )


def _needs(config: GradientUnlearningConfig) -> ReferenceNeeds:
    needs = tuple(sorted(config.objective.needs))
    return ReferenceNeeds(objective=needs, layer=config.objective.layer, stored=config.training.teacher == "cached")
