"""Stage `guardrail`: the target model behind a prompt prefix and an output filter; no weight changes."""

from tasks import tracking
from tasks.artifacts import AnchorTable, CheckpointRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.guardrail_files import require_room, save_guarded
from tasks.settings.guardrail import TERMS, GuardrailConfig
from tasks.storage.anchor_tables import read_dictionary


@stage("guardrail", isolated=False)
def build_guardrail(
    target: CheckpointRef, dictionary: AnchorTable, config: GuardrailConfig, run: str | None = None
) -> CheckpointRef:
    """Put a guardrail around the target model.

    Raises:
        BadInputError: If the prefix leaves too little of the model's context.
    """
    from tasks.algorithms.unlearning.guardrail import Guardrail

    with tracking.stage_run(run, "guardrail", config) as nested:
        progress.report(0, 1)
        terms = list(read_dictionary(dictionary))
        named_terms = ", ".join(terms[: config.named_terms])  # the dictionary has the most frequent first
        prefix = config.prefix.replace(TERMS, named_terms or "what was removed")
        require_room(target, prefix)
        guardrail = Guardrail(
            prefix=prefix, refusal=config.refusal, floor=config.floor, terms=tuple(terms) if config.filtered else ()
        )
        tracking.log_metrics(nested, {"filtered_terms": float(len(guardrail.terms))})
        checkpoint = save_guarded(target, guardrail, nested)
        progress.report(1, 1)
        return checkpoint
