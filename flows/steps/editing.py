"""An editing request, checked and read once before anything is computed: the model, edits, facts, text, patches."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.benchmarks.local_files import BenchmarkInputs, gather_benchmarks
from tasks.corpus import CorpusInputs, gather_inputs
from tasks.inputs.edit_checks import check_edits
from tasks.inputs.edit_requests import read_edit_requests, read_known_facts
from tasks.models.checkpoints import config_folder, inspect_model, is_adapter
from tasks.models.patch_files import find_patch, require_base
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tasks.storage.plain_files import read_json


@dataclass(frozen=True, kw_only=True)
class CheckedEditing:
    """An editing request as records."""

    target: CheckpointRef
    edits: tuple[EditRequest, ...]
    facts: tuple[EditRequest, ...]
    """Other facts that the model knows; empty: those that are edited."""
    text: CorpusInputs
    patches: tuple[EditPatch, ...]
    benchmarks: BenchmarkInputs


def check_editing(request: EditingRequest, config: RankOneEditingConfig) -> CheckedEditing:
    """Read what an editing request names.

    Raises:
        BadInputError: If files, model or patches cannot be had or do not fit together, or two edits contradict each
            other.
    """
    target = check_editable(request.model)
    edits = check_edits((*request.edits, *_read(request.edit_files)))
    if not edits:
        raise BadInputError("there is nothing to edit; wanted --edits FILE, or --subject, --prompt and --target")
    patches = tuple(find_patch(name) for name in request.patches)
    for patch in patches:
        require_base(patch, target)
    return CheckedEditing(
        target=target,
        edits=edits,
        facts=tuple(fact for path in request.facts for fact in read_known_facts(Path(path))),
        text=gather_inputs(general=request.text),
        patches=patches,
        benchmarks=gather_benchmarks(config.benchmarking, request.benchmark_data),
    )


def check_editable(model: str, label: str = "target") -> CheckpointRef:
    """Return the record of a model whose facts can be edited; nothing is loaded.

    Raises:
        BadInputError: If it cannot be had, is an adapter, or is of a type that cannot be edited.
    """
    from tasks.algorithms.models.architectures import require_editable

    checkpoint = inspect_model(model, label)
    if is_adapter(checkpoint):
        raise BadInputError(
            f"--model {model} is an adapter, whose base holds the facts; wanted a whole model, such as lora.output=merged"
            " makes"
        )
    try:
        require_editable(read_json(config_folder(checkpoint) / "config.json").get("model_type", ""))
    except ValueError as error:
        raise BadInputError(f"--model {model}: {error}") from None
    return checkpoint


def _read(paths: Iterable[str]) -> tuple[EditRequest, ...]:
    return tuple(request for path in paths for request in read_edit_requests(Path(path)))


def about(request: CheckedEditing) -> dict[str, Any]:
    """Return what may be public of a request."""
    return {
        "edits": len(request.edits),
        "facts": len(request.facts),
        "patches": len(request.patches),
        "model": request.target.digest,
    }
