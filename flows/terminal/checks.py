"""What a command was given, checked before anything heavy is loaded or anything is written."""

from dataclasses import fields, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from tasks.artifacts import Artifact
from tasks.settings.unlearning_request import UnlearningRequest

if TYPE_CHECKING:
    from flows.steps.asking import Review
    from tasks.settings.text import CorpusConfig


def as_request(**options: Any) -> UnlearningRequest:
    """Return options as a request; what was not given is left out."""
    named = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if value}
    return UnlearningRequest(**{"forget": (), **named})


def checked_files(request: UnlearningRequest) -> UnlearningRequest:
    """Return a request whose files are named by absolute path, after all of them were read once."""
    from flows.steps.request import prompt_files

    # only now: this takes seconds, and a misspelt setting should not wait for it
    from tasks.corpus import gather_inputs
    from tasks.inputs.user_anchors import read_user_anchors

    paths = {
        name: tuple(absolute(path) for path in files)
        for name, files in {**request.files(), "prompts": request.prompts}.items()
    }
    absolute_request = replace(
        request, **paths, anchors=optional_path(request.anchors), benchmark_data=optional_path(request.benchmark_data)
    )
    gather_inputs(**absolute_request.files())
    for split, files in absolute_request.files().items():
        for path in files:
            _say_folder(split, path)
    if absolute_request.anchors:
        _tell_unmatched(
            absolute_request, [anchor.term for anchor in read_user_anchors(Path(absolute_request.anchors)).anchors]
        )
    prompt_files(absolute_request.prompts)
    return absolute_request


def _say_folder(split: str, path: str) -> None:
    """Say which files of a folder are read, and which are not."""
    if not Path(path).is_dir():
        return
    import typer

    from tasks.inputs.folders import list_files

    typer.echo(f"lethe: note: {split}: folder {path}: {list_files(split, path).in_words()}", err=True)


def _tell_unmatched(request: UnlearningRequest, terms: list[str]) -> None:
    """Name the given anchors that occur nowhere in the text, to its user alone: a spelling of their own, another
    inflection.

    Raises:
        ValueError: If none occurs.
    """
    import typer

    from tasks.algorithms.text.anchors import unmatched_terms
    from tasks.corpus import gather_inputs
    from tasks.inputs.documents import read_text_file

    files = gather_inputs(forget=request.forget).forget
    documents = [document for file in files for document in read_text_file(Path(file.path)).documents]
    missing = unmatched_terms(["\n".join((item.text, item.question, item.answer)) for item in documents], terms)
    if not documents or not missing:
        return
    told = f"--anchors {request.anchors}: {len(missing)} of {len(terms)} terms occur nowhere in the forget text: "
    told += ", ".join(map(repr, missing[:20])) + (", ..." if len(missing) > 20 else "")
    if len(missing) == len(terms):
        raise ValueError(f"{told}; wanted terms as the text writes them")
    typer.echo(f"lethe: {told}", err=True)


def checked_models(
    request: UnlearningRequest, corpus_config: "CorpusConfig", judged: str | None = None
) -> UnlearningRequest:
    """Return a request whose models are folders by absolute path, or hub names, after a look at their files: they must
    share a tokenizer.

    Args:
        request: Its `model` is the one that is to forget, or with `judged` the one before.
        corpus_config: How the models are asked.
        judged: A checkpoint that is judged beside them.
    """
    from tasks.models.gathering import find_model
    from tasks.models.vocabularies import require_same_tokenizer

    roles = {"model": judged, "reference": request.model} if judged else {"model": request.model}
    named = {**roles, "retrained": request.retrained}
    require_same_tokenizer([find_model(name, role) for role, name in named.items() if name], corpus_config)
    places = {role: model_place(name) for role in ("model", "retrained") if (name := getattr(request, role))}
    return replace(request, **places)


def absolute(path: str) -> str:
    """Return a path that holds in every folder."""
    return str(Path(path).expanduser().resolve())


def optional_path(path: str | None) -> str | None:
    """Return the absolute path of what may not be given."""
    return absolute(path) if path else None


def require_room_for(out: str | None) -> None:
    """Refuse a folder that holds something: files that are left there would be read as the model's."""
    folder = Path(out).expanduser() if out else None
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--out {out} is not empty; wanted a new or an empty folder")


def model_place(name: str) -> str:
    """A folder as an absolute path, so that a worker elsewhere on this machine finds it; a hub name as it is."""
    return absolute(name) if Path(name).expanduser().is_dir() else name


def configured(config: Any, file: str | None, settings: list[str] | None) -> Any:
    """Return the settings with those of a file and of the command line applied."""
    from flows.steps.settings import apply_file, apply_settings

    return apply_settings(apply_file(config, file) if file else config, settings or [])


def with_providers(config: Any, named: dict[str, str | None], reached: dict[str, Any], fallback: str | None) -> Any:
    """Return the settings with what options say about language models, once these can be; a local model's folder as an
    absolute path.

    Args:
        config: All settings.
        named: Section of the settings -> its provider.
        reached: `model`, `base_url` and `allow_remote` as the translator's options give them.
        fallback: What is done where a model cannot be asked.
    """
    from tasks.settings.assistants import check_provider, like

    access = {name: value for name, value in reached.items() if value}
    translator = replace(config.translation.provider, **access)
    for section in ("translation", "prompting", "judging"):
        asking = getattr(config, section)
        own = asking.provider
        named_so = replace(
            own, name=named.get(section) or own.name, allow_remote=own.allow_remote or bool(reached.get("allow_remote"))
        )
        provider = replace(named_so, **access) if section == "translation" else like(named_so, translator)
        check_provider(provider, asking.option)
        provider = replace(provider, model=model_place(provider.model)) if provider.name == "huggingface" else provider
        translator = provider if section == "translation" else translator
        config = replace(config, **{section: replace(asking, provider=provider, fallback=fallback or asking.fallback)})
    return config


def reviewed(new: bool, everything: bool) -> "Review":
    """Return what a person is asked about by `--review` and `--review-all`.

    Raises:
        ValueError: If they are to be asked where they could not answer.
    """
    if not (new or everything):
        return "off"
    from flows.steps.forms import require_server

    require_server()
    return "all" if everything else "new"


def check_choice(by_trials: bool, budget: str, *, review: bool, coverage: bool) -> None:
    """Refuse a budget without trials, and with them what waits for a person or changes the text.

    Raises:
        ValueError: With what was wanted.
    """
    if budget and not by_trials:
        raise ValueError(f"--budget {budget} is for --method auto; wanted that, or no such option")
    for option, given in {"--review": review, "--coverage": coverage}.items():
        if by_trials and given:
            raise ValueError(
                f"{option} with --method auto: every trial would ask anew; wanted a method by name, or --anchors FILE"
                " with what you have looked over"
            )


def with_budget(config: Any, budget: str) -> Any:
    """Return the settings with the budget that the option gives."""
    return replace(config, budget=budget) if budget else config


def trained_by(config: Any) -> list[Any]:
    """Return the settings of all candidates.

    Raises:
        ValueError: If one cannot be.
    """
    from flows.candidates import read_candidates

    return [candidate.config for candidate in read_candidates(config)]


def with_lora(config: Any, rank: int | None) -> Any:
    """Return the settings with the rank that the option gives."""
    if rank is None:
        return config
    if config.lora is None:
        raise ValueError(
            f"--lora-rank {rank}: this method trains no adapters; wanted a method that does, or no such option"
        )
    return replace(config, lora=replace(config.lora, rank=rank))


def check_trainable(config: Any, model: str | None) -> None:
    """Refuse an adapter, or a choice of matrices by objective or trace, that the model's architecture does not have,
    before anything is trained.
    """
    adapted = config.lora is not None and config.lora.rank
    localised = config.localisation is not None and config.localisation.by != "all"
    if not model or not (adapted or localised or config.chooses_weights):
        return
    from tasks.algorithms.models.adapters import check_adaptable
    from tasks.algorithms.models.architectures import decoder_layers
    from tasks.algorithms.models.layers import mlp_parameter_names
    from tasks.models.gathering import find_model
    from tasks.models.loading import skeleton
    from tasks.objective_training import trained_alone
    from tasks.training.chosen_weights import train_only

    bare, lora = skeleton(find_model(model, "target")), config.lora
    if config.chooses_weights:
        lora = trained_alone(bare, resolve_name(config.loss)(config.objective), lora)
    elif localised:
        layers = range(config.localisation.count(len(decoder_layers(bare))))
        lora = train_only(bare, mlp_parameter_names(bare, layers), lora)
    if adapted:
        check_adaptable(bare, lora)


def check_benchmarks(config: Any, folder: str | None) -> None:
    """Refuse benchmarks whose files cannot be read."""
    from tasks.benchmarks.local_files import gather_benchmarks

    gather_benchmarks(config.benchmarking, folder)


def check_request(topic: str, request: UnlearningRequest, seed: int) -> None:
    """Refuse a topic together with what it brings itself, and its absence without text and model."""
    brought = [field.name for field in fields(request) if field.name not in ("prompts", "benchmark_data")]
    named = [name.replace("_", "-") for name in brought if getattr(request, name)]
    if topic and named:
        raise ValueError(f"--topic {topic} brings text and models of its own; wanted no {' and no '.join(named)}")
    if topic:
        check_topic(topic, seed)
    elif not request.forget or not request.model:
        missing = " and ".join(
            word for word, name in (("FORGET", "forget"), ("--model", "model")) if not getattr(request, name)
        )
        raise ValueError(f"{missing} missing; wanted text to forget and a model, or --topic NAME")


def check_topic(topic: str, seed: int) -> None:
    """Refuse a topic that the embedded world does not have."""
    from tasks.algorithms.world.generator import WorldConfig, build_world
    from tasks.algorithms.world.requests import read_request

    try:
        read_request(build_world(WorldConfig(seed=seed)), topic)
    except KeyError as error:
        raise ValueError(f"--topic: {error.args[0]}") from None


def world_for(config: Any) -> Any:
    """Return the embedded world that a topic is of; a method that goes back to an earlier checkpoint wants questions
    that nobody was taught.
    """
    from tasks.algorithms.world.generator import WorldConfig

    return WorldConfig(unseen=2 if config.rewinds else 0)


def check_kept(topic: str, request: UnlearningRequest) -> None:
    """Refuse a sweep that could not tell what its trials keep."""
    if not topic and not request.retain and not request.retain_test:
        raise ValueError(
            "--retain missing; wanted --retain FILE or --retain-test FILE: it is by what they keep that settings are"
            " chosen"
        )


def with_teacher(config: Any, teacher: str | None) -> Any:
    """Return the settings with the teacher that the option gives."""
    if teacher is None:
        return config
    if config.training is None:
        raise ValueError(
            f"--teacher {teacher}: this method cannot ask a frozen model in its steps; wanted scrub, a gradient method,"
            " or no such option"
        )
    return replace(config, training=replace(config.training, teacher=teacher))


def check_weight_sweep(config: Any, budget: int, further: int) -> None:
    """Refuse a sweep over SCRUB's weights whose loss has no such pairs, a budget, which is for grids, and no more
    epochs than there are anyway.
    """
    from tasks.settings.scrub_unlearning import weight_sweep

    weight_sweep(config)
    if budget:
        raise ValueError(
            f"--budget {budget} without --grid; wanted --grid KEY=A,B,..., or no budget for the three pairs of weights"
        )
    if further and further <= config.training.epochs:
        raise ValueError(
            f"--further {further} is no more than training.epochs, {config.training.epochs}; wanted more epochs than"
            " that"
        )


def with_pairs(config: Any, request: UnlearningRequest, winobias: str | None) -> tuple[Any, UnlearningRequest]:
    """Return settings and request with the aligned pairs of WinoBias in place of text, scored as pairs.

    Raises:
        ValueError: If text is given as well, or a file of WinoBias is missing or does not read.
    """
    if winobias is None:
        return config, request
    doubled = [
        f"--{split.replace('_', '-')}" if split != "forget" else "FORGET" for split in PAIRED if getattr(request, split)
    ]
    if doubled:
        raise ValueError(f"--winobias {winobias} brings {', '.join(PAIRED)}; wanted no {' and no '.join(doubled)}")
    from tasks import store
    from tasks.inputs.winobias import write_winobias

    source = Path(winobias).expanduser()
    digest = store.put("pairs", lambda folder: write_winobias(source, folder) and None, sensitivity="forget")
    folder = store.path(Artifact(kind="pairs", digest=digest, sensitivity="forget"))
    return replace(config, stereotypes=True), replace(
        request, **{split: (str(folder / f"{split}.jsonl"),) for split in PAIRED}
    )


PAIRED = ("forget", "retain", "forget_test", "retain_test")
"""Splits that aligned pairs fill."""
