"""Stage `causal tracing`: which states carry the facts that a model knows, and in which layer they are best edited."""

from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, EditSet, TraceRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer
from tasks.settings.tracing import TracingConfig
from tasks.storage.edit_files import stored_edits


@stage("causal tracing")
def trace_facts(target: CheckpointRef, edits: EditSet, config: TracingConfig, run: str | None = None) -> TraceRecords:
    """Trace the facts that a set of edits is about, as many of them as the model knows and the settings want.

    A fact is known where the model's first choices after the prompt are the object's tokens; where no object is named,
    whatever the model says is the fact.

    Raises:
        BadInputError: If the model knows none of them.
    """
    from tasks.algorithms.editing.effects import average_effects, best_layer
    from tasks.algorithms.editing.known_facts import trace_known
    from tasks.reporting.trace_figures import keep_traces

    with tracking.stage_run(run, "causal tracing", config) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        known, unknown = trace_known(model, tokenizer, stored_edits(edits), config, on_fact=progress.report)
        if not known:
            raise BadInputError(
                f"the model knows none of {len(unknown)} facts: its first choice after each prompt is another word;"
                " wanted facts that it knows"
            )
        effects = average_effects([fact.trace for fact in known])
        layer = best_layer(effects)
        total = sum(fact.trace.total for fact in known) / len(known)
        figures = {"facts": len(known), "unknown": len(unknown), "layer": layer, "total_effect": total}
        tracking.log_metrics(nested, {name: float(value) for name, value in figures.items()})
        digest = store.put(
            "traces", lambda folder: keep_traces(folder, known, unknown, effects, tokenizer), sensitivity="forget"
        )
        record = TraceRecords(
            kind="traces",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            facts=len(known),
            unknown=len(unknown),
            layer=layer,
        )
        for picture in sorted(store.path(record).glob("*.png")):
            tracking.log_artifact(nested, picture, "forget", "traces")
        return record
