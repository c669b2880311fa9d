"""Causal traces in files: the grids as tensors, what they are of and their averages as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import TraceRecords
from tasks.storage.plain_files import read_json, write_json

if TYPE_CHECKING:
    from tasks.algorithms.editing.causal_tracing import Trace
    from tasks.algorithms.editing.effects import Effect
    from tasks.algorithms.editing.known_facts import KnownFact

GRIDS = "traces.safetensors"
ABOUT = "traces.json"
EFFECTS = "effects.json"
PICTURES = "pictures.json"


@dataclass(frozen=True, kw_only=True)
class TracedFact:
    """What was traced, as a person reads it."""

    subject: str
    prompt: str
    object: str
    """What the model says."""
    tokens: tuple[str, ...]
    """Of the prompt."""
    span: tuple[int, int]
    """Tokens [start, stop) of the subject."""
    clean: float
    corrupted: float


def traced_fact(fact: "KnownFact", tokenizer: Any) -> TracedFact:
    """Return a fact as a person reads it."""
    return TracedFact(
        subject=fact.request.subject,
        prompt=fact.request.prompt,
        object=fact.said,
        tokens=tuple(tokenizer.decode([token]) for token in fact.prompt.ids),
        span=fact.prompt.subject,
        clean=fact.trace.clean,
        corrupted=fact.trace.corrupted,
    )


def write_traces(
    folder: Path,
    facts: Sequence[TracedFact],
    traces: "Sequence[Trace]",
    effects: "Sequence[Effect]",
    unknown: Sequence[str],
) -> None:
    """Write traces with what they are of, their averages, and the prompts whose answers the model does not know."""
    from safetensors.torch import save_file

    grids = {
        f"{number}/{state}": grid.contiguous()
        for number, trace in enumerate(traces)
        for state, grid in trace.restored.items()
    }
    save_file(grids, folder / GRIDS)
    write_findings(folder, facts, effects, unknown)


def write_findings(
    folder: Path, facts: Sequence[TracedFact], effects: "Sequence[Effect]", unknown: Sequence[str]
) -> None:
    """Write what was traced, its averages, and the prompts whose answers the model does not know."""
    write_json(folder / ABOUT, {"facts": [asdict(fact) for fact in facts], "unknown": list(unknown)})
    write_json(folder / EFFECTS, [asdict(effect) for effect in effects])


def read_traced_facts(records: TraceRecords) -> list[TracedFact]:
    """Read what was traced."""
    rows = read_json(store.path(records) / ABOUT)["facts"]
    return [TracedFact(**{**row, "tokens": tuple(row["tokens"]), "span": tuple(row["span"])}) for row in rows]


def read_effects(records: TraceRecords) -> list[dict[str, Any]]:
    """Read the average indirect effects by state, role and layer."""
    return read_json(store.path(records) / EFFECTS)


def read_grids(records: TraceRecords) -> list[dict[str, Any]]:
    """Read each fact's grids, state -> p*(state), (layers, tokens)."""
    from safetensors import safe_open

    grids: dict[int, dict[str, Any]] = {}
    with safe_open(store.path(records) / GRIDS, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - a handle, no mapping
            number, _, state = name.partition("/")
            grids.setdefault(int(number), {})[state] = file.get_tensor(name)
    return [grids[number] for number in sorted(grids)]


def edited_layer(named: int | None, traced: TraceRecords | None) -> int:
    """Return the layer that is edited: the one that settings name, else the one that a trace picks.

    Raises:
        ValueError: If neither says it.
    """
    if named is not None:
        return named
    if traced is None:
        raise ValueError("edit.layer is not set and nothing was traced; wanted a layer, or facts to trace")
    return traced.layer
