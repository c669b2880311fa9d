"""A request, checked and read once before anything is trained: files, models, benchmarks, dictionary, prompts, and the
language models that help.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.steps import removals
from flows.steps.providers import Expected, settle_providers
from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef, InputFile
from tasks.benchmarking import require_hub
from tasks.benchmarks.local_files import BenchmarkInputs, gather_benchmarks
from tasks.corpus import CorpusInputs, gather_inputs
from tasks.execution import isolation
from tasks.inputs.documents import read_text_file
from tasks.inputs.user_anchors import read_user_anchors
from tasks.models.classifiers import find_classifier
from tasks.models.gathering import gather_models
from tasks.models.vocabularies import require_embedded
from tasks.prompting import read_prompts
from tasks.removals.records import Removal
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.unlearning_request import UnlearningRequest


@dataclass(frozen=True, kw_only=True)
class CheckedRequest:
    """A request as records."""

    inputs: CorpusInputs
    models: dict[str, CheckpointRef]
    """Those that are there already, by label."""
    benchmarks: BenchmarkInputs
    user_anchors: InputFile | None
    """A dictionary of the user's own."""
    prompts: tuple[InputFile, ...]
    """Prompts of the user's own."""
    config: Any
    """All settings; language models that cannot be asked and need not be are left out of them."""
    removal: Removal | None = None
    """The removal request that it is made for."""
    approve: bool = False
    """Whether somebody has to approve of the result."""

    @property
    def target(self) -> CheckpointRef:
        """The model before unlearning."""
        return self.models["target"]


def check_request(
    request: UnlearningRequest,
    config: EvaluationConfig,
    models: Mapping[str, str | None],
    *,
    fact_splits: tuple[str, ...],
    needs_anchors: bool,
) -> CheckedRequest:
    """Read what a request names.

    Args:
        request: What the user asks for.
        config: All settings.
        models: Label -> folder or hub name of the models that are measured.
        fact_splits: Whose facts are read.
        needs_anchors: Whether a text without anchors is refused.

    Raises:
        BadInputError: If files, models, benchmarks or language models cannot be had, or the removal request cannot be
            carried out.
    """
    inputs, checkpoints = gather_inputs(**request.files()), gather_models(models)
    for checkpoint in checkpoints.values():
        require_embedded(checkpoint, _texts(inputs, request), config.corpus)
    benchmarks = benchmark_inputs(config, request.benchmark_data)
    user, prompts = user_file(request.anchors), prompt_files(request.prompts)
    expected = Expected(
        inputs=inputs, user_anchors=user, prompts=prompts, fact_splits=fact_splits, needs_anchors=needs_anchors
    )
    settled = settle_providers(config, expected)
    removal = removals.checked(request, inputs, checkpoints.get("target"))
    return CheckedRequest(
        inputs=inputs,
        models=checkpoints,
        benchmarks=benchmarks,
        user_anchors=user,
        prompts=prompts,
        config=settled,
        removal=removal,
        approve=request.approve or (removal is not None and removal.approve),
    )


def _texts(inputs: CorpusInputs, request: UnlearningRequest) -> Iterator[tuple[str, str]]:
    """Yield what to call a text and the text, for all that the models will read."""
    for file in (file for files in inputs.by_split().values() for file in files):
        for document in read_text_file(Path(file.path)).documents:
            false, named = document.perturbed_answer, (document.paraphrased_question, document.paraphrased_answer)
            yield file.path, "\n".join((document.text, document.question, document.answer, *named, *false))
    for path in request.prompts:
        yield from ((path, prompt.text) for prompt in read_prompts(Path(path)))
    if request.anchors:
        yield request.anchors, "\n".join(read_user_anchors(Path(request.anchors)).generics.values())


def require_model(request: UnlearningRequest) -> None:
    """Refuse a request without the model that is to forget.

    Raises:
        BadInputError: If it names none.
    """
    if not request.model:
        raise BadInputError(
            "the request names no model; wanted `model`, the folder or hub name of the model that is to forget"
        )


def user_file(anchors: str | None) -> InputFile | None:
    """Return the record of the user's own dictionary, after it was read once.

    Raises:
        BadInputError: If it does not read.
    """
    if anchors:
        read_user_anchors(Path(anchors))
    return InputFile(path=anchors, digest=store.file_digest(Path(anchors)), bytes=0) if anchors else None


def prompt_files(paths: tuple[str, ...]) -> tuple[InputFile, ...]:
    """Return the records of files of prompts, after they were read once.

    Raises:
        BadInputError: If one does not read.
    """
    for path in paths:
        list(read_prompts(Path(path)))
    return tuple(InputFile(path=path, digest=store.file_digest(Path(path)), bytes=0) for path in paths)


def benchmark_inputs(config: EvaluationConfig, folder: str | None) -> BenchmarkInputs:
    """Return which benchmarks are run, with their local files; what comes from the hub is fetched, so that a missing
    hub shows at once, as does a classifier that cannot rate.
    """
    find_classifier(config.toxicity)
    benchmarks = gather_benchmarks(config.benchmarking, folder)
    isolation.begin()
    require_hub(benchmarks)
    return benchmarks
