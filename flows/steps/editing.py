"""An editing request, checked and read once before anything is computed: the model, edits, facts, text, patches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.steps.edit_stages import require_patches
from flows.steps.tracked_runs import EDITING_PRESETS, Told, digests
from tasks.algorithms.editing.requests import erased_object
from tasks.artifacts import BadInputError, CheckpointRef, EditPatch
from tasks.benchmarks.local_files import WORLD, BenchmarkInputs, gather_benchmarks
from tasks.corpus import CorpusInputs, gather_inputs
from tasks.inputs.edit_checks import CheckedEdits, check_edits
from tasks.inputs.edit_requests import read_edit_requests, read_known_facts
from tasks.models.checkpoints import config_folder, context_length, is_adapter
from tasks.models.gathering import find_model
from tasks.models.loading import load_tokenizer
from tasks.models.patch_files import open_patch
from tasks.models.patched_models import require_base, taken_apart
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import EditRequest
from tasks.settings.editing_request import EditingRequest
from tasks.settings.measuring import BenchmarkingConfig
from tasks.settings.rank_one_editing import RankOneEditingConfig
from tasks.storage.plain_files import read_json

NO_EDITS = CheckedEdits(requests=())
"""Until the text's facts propose some."""


@dataclass(frozen=True, kw_only=True)
class CheckedEditing:
    """An editing request as records."""

    target: CheckpointRef
    edits: tuple[EditRequest, ...]
    facts: tuple[EditRequest, ...]
    """Other facts that the model knows; empty: those that are edited."""
    text: CorpusInputs
    patches: tuple[EditPatch, ...]
    """Those that are on the model already, in order."""
    remarks: tuple[str, ...]
    """What a person should know of the edits."""
    benchmarks: BenchmarkInputs | None
    """None: none are run."""


def check_editing(request: EditingRequest, config: RankOneEditingConfig) -> CheckedEditing:
    """Read what an editing request names.

    Raises:
        BadInputError: If files, model or patches cannot be had or do not fit together, two edits contradict each
            other, or the editor makes single edits alone.
    """
    if not request.each:
        require_patches(config.edit)
    check_editable(request.model)
    patched = taken_apart(request.model)
    patches = (*patched.patches, *(open_patch(name) for name in request.patches))
    require_base(patched.base, patches)
    asked = requested_edits(request)
    if not asked and not request.forget:
        raise BadInputError(
            "there is nothing to edit; wanted text with facts, --edits FILE, or --subject, --prompt and --target"
        )
    if asked and request.forget:
        raise BadInputError("edits come from the text's facts, or as they are given; wanted one of both")
    asked = _erased(asked, config.proposals) if request.erase else asked
    edits = check_edits(asked, together=not request.each) if asked else NO_EDITS
    require_fit(patched.base, edits.requests)
    return CheckedEditing(
        target=patched.base,
        edits=edits.requests,
        remarks=edits.remarks,
        facts=known_facts(request.facts),
        text=gather_inputs(forget=request.forget, general=request.text),
        patches=patches,
        benchmarks=_benchmarks(config.benchmarking, request.benchmark_data),
    )


def _benchmarks(config: BenchmarkingConfig, folder: str | None) -> BenchmarkInputs | None:
    """Return the benchmarks that a person asked for; the world's own asks nothing that an edit is about."""
    wanted = gather_benchmarks(config, folder)
    tasks = tuple(name for name in wanted.tasks if name != WORLD)
    return replace(wanted, tasks=tasks) if tasks else None


def _erased(requests: Iterable[EditRequest], config: EditProposalConfig) -> tuple[EditRequest, ...]:
    """Return requests whose targets say nothing, each word in turn."""
    return tuple(
        replace(request, target=erased_object(request.prompt, place, config)) for place, request in enumerate(requests)
    )


def requested_edits(request: EditingRequest) -> tuple[EditRequest, ...]:
    """Return the edits of a request and of its files."""
    return (*request.edits, *(each for path in request.edit_files for each in read_edit_requests(Path(path))))


def facts_to_trace(request: EditingRequest) -> tuple[EditRequest, ...]:
    """Return the facts of a request, those that it would edit first.

    Raises:
        BadInputError: If it names none.
    """
    facts = (*requested_edits(request), *known_facts(request.facts))
    if not facts:
        raise BadInputError("there is nothing to trace; wanted a subject and a prompt, or a file of facts")
    return facts


def known_facts(paths: Iterable[str]) -> tuple[EditRequest, ...]:
    """Read files of facts that a model knows."""
    return tuple(fact for path in paths for fact in read_known_facts(Path(path)))


def require_fit(model: CheckpointRef, requests: Sequence[EditRequest]) -> None:
    """Refuse requests that the model's tokenizer or context cannot take; no weights are loaded.

    Raises:
        BadInputError: If a target has more than 20 tokens, or a prompt does not fit.
    """
    from tasks.algorithms.editing.prompts import check_tokens

    try:
        check_tokens(load_tokenizer(model), requests, context_length(model))
    except ValueError as error:
        raise BadInputError(str(error)) from None


def check_editable(model: str, label: str = "target") -> CheckpointRef:
    """Return the record of a model whose facts can be edited; nothing is loaded.

    Raises:
        BadInputError: If it cannot be had, is an adapter, or is of a type that cannot be edited.
    """
    from tasks.algorithms.models.architectures import require_editable

    checkpoint = find_model(model, label)
    if is_adapter(checkpoint):
        raise BadInputError(
            f"--model {model} is an adapter, whose base holds the facts; wanted a whole model, such as"
            " lora.output=merged makes"
        )
    try:
        require_editable(read_json(config_folder(checkpoint) / "config.json").get("model_type", ""))
    except ValueError as error:
        raise BadInputError(f"--model {model}: {error}") from None
    return checkpoint


def told_of(method: str, paper: str, request: CheckedEditing, config: RankOneEditingConfig) -> Told:
    """Return what the run of an editing request says of itself: of the request what may be public."""
    counts = {"edits": len(request.edits), "facts": len(request.facts), "patches": len(request.patches)}
    given = digests({"target": request.target}, request.text.by_split())
    return Told(
        method=method,
        model=request.target.digest,
        paper=paper,
        config=config,
        presets=EDITING_PRESETS,
        params={"request": counts, **given},
    )
