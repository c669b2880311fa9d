"""Stage `causal tracing`: which states carry the facts that a model knows, and in which layer they are best edited."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import BadInputError, CheckpointRef, EditSet, TraceRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer
from tasks.settings.edit_request import EditRequest
from tasks.settings.tracing import TracingConfig
from tasks.storage.edit_files import stored_edits
from tasks.storage.trace_files import TracedFact, write_traces

if TYPE_CHECKING:
    from tasks.algorithms.editing.causal_tracing import Trace


@stage("causal tracing")
def trace_facts(target: CheckpointRef, edits: EditSet, config: TracingConfig, run: str | None = None) -> TraceRecords:
    """Trace the facts that a set of edits is about, as many of them as the model knows and the settings want.

    A fact is known where the model's first choices after the prompt are the object's tokens; where no object is named,
    whatever the model says is the fact.

    Raises:
        BadInputError: If the model knows none of them.
    """
    from tasks.algorithms.editing.effects import average_effects, best_layer

    with tracking.stage_run(run, "causal tracing", config) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        traces, facts, unknown = _trace_known(model, tokenizer, stored_edits(edits), config)
        if not traces:
            raise BadInputError(
                f"the model knows none of {len(unknown)} facts: its first choice after each prompt is another word;"
                " wanted facts that it knows"
            )
        effects = average_effects(traces)
        layer = best_layer(effects)
        total = sum(trace.total for trace in traces) / len(traces)
        figures = {"facts": len(traces), "unknown": len(unknown), "layer": layer, "total_effect": total}
        tracking.log_metrics(nested, {name: float(value) for name, value in figures.items()})
        digest = store.put(
            "traces", lambda folder: _write(folder, facts, traces, effects, unknown), sensitivity="forget"
        )
        record = TraceRecords(
            kind="traces",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            facts=len(traces),
            unknown=len(unknown),
            layer=layer,
        )
        for picture in sorted(store.path(record).glob("*.png")):
            tracking.log_artifact(nested, picture, "forget", "traces")
        return record


def _trace_known(
    model: Any, tokenizer: Any, requests: Sequence[EditRequest], config: TracingConfig
) -> tuple[list["Trace"], list[TracedFact], list[str]]:
    """Return the traces of known facts, what they are of, and the prompts of those that are not known."""
    from tasks.algorithms.editing.causal_tracing import trace
    from tasks.algorithms.editing.knowledge import answer_of
    from tasks.algorithms.editing.prompts import edit_prompt

    traces: list[Trace] = []
    facts: list[TracedFact] = []
    unknown: list[str] = []
    wanted = min(config.facts, len(requests))
    for request in requests:
        if len(traces) == wanted:
            break
        answer = answer_of(model, tokenizer, request)
        if not answer.known:
            unknown.append(request.question)
            continue
        prompt = edit_prompt(tokenizer, request.prompt, request.subject)
        traced = trace(model, prompt.ids, prompt.subject, answer.token, config)
        progress.report(len(traces) + 1, wanted)
        traces.append(traced)
        facts.append(
            TracedFact(
                subject=request.subject,
                prompt=request.prompt,
                object=answer.text,
                tokens=tuple(tokenizer.decode([token]) for token in prompt.ids),
                span=prompt.subject,
                clean=traced.clean,
                corrupted=traced.corrupted,
            )
        )
    return traces, facts, unknown


def _write(
    folder: Path, facts: list[TracedFact], traces: list["Trace"], effects: list[Any], unknown: list[str]
) -> None:
    from tasks.reporting.trace_figures import average_picture, heat_map, write_pictures

    write_traces(folder, facts, traces, effects, unknown)
    shown = zip(facts[:MOST_MAPS], traces, strict=False)
    drawn = {"average.png": average_picture(effects, len(traces))}
    drawn |= {f"fact-{number:03}.png": heat_map(fact, traced) for number, (fact, traced) in enumerate(shown)}
    write_pictures(folder, drawn)


MOST_MAPS = 8
"""Facts of which a heat map is drawn."""
