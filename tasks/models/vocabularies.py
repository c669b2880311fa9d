"""What the tokenizers of model folders have in common, read from their files, and the template of its questions."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models.acceptance import text_settings
from tasks.models.checkpoints import config_folder
from tasks.models.json_files import read_object
from tasks.settings.text import CorpusConfig

if TYPE_CHECKING:
    from tasks.algorithms.tokens.templates import Template

TOKENIZER = "tokenizer.json"
SPECIAL = ("bos_token", "eos_token", "unk_token")
"""Roles of special tokens that change what is read. Filler is masked by length, so which token fills does not
matter."""


def question_template(tokenizer: Any, corpus_config: CorpusConfig) -> "Template":
    """Return how a tokenizer's model is asked.

    Raises:
        BadInputError: If its chat template cannot hold one question with its answer.
    """
    from tasks.algorithms.tokens.templates import read_template

    try:
        return read_template(tokenizer, corpus_config)
    except ValueError as error:
        raise BadInputError(str(error)) from None


def question_form(checkpoint: CheckpointRef, corpus_config: CorpusConfig) -> str:
    """Return `chat template` or `qa_template`: how the questions of a run are asked. The tokenizer is not loaded."""
    return "chat template" if corpus_config.chat != "off" and _chat_template(store.path(checkpoint)) else "qa_template"


def require_same_tokenizer(models: Sequence[CheckpointRef], corpus_config: CorpusConfig) -> None:
    """Refuse models whose predictions cannot be compared token by token.

    Args:
        models: Those whose figures stand side by side: target, unlearned, retrained, reference; none where a topic
            brings its own.
        corpus_config: `chat`; at `off` chat templates may differ.

    Raises:
        BadInputError: If a model has another vocabulary, other special tokens or another chat template than the first
            one.
    """
    for first, other in ((models[0], other) for other in models[1:]):
        difference = _difference(store.path(first), store.path(other), chat=corpus_config.chat != "off")
        if difference:
            raise BadInputError(
                f"the tokenizer of {other.label} {other.name} is not that of {first.label} {first.name}: {difference}; "
                "wanted the same vocabulary, special tokens and chat template"
            )


def require_embedded(
    checkpoint: CheckpointRef, texts: Iterable[tuple[str, str]], corpus_config: CorpusConfig = CorpusConfig()
) -> None:
    """Refuse texts that hold a token which the model has no embedding of: words were added to the tokenizer, and the
    embedding was not resized. Such tokens that nobody reads do no harm.

    Args:
        checkpoint: The model; nothing of it is loaded.
        texts: What to call each text, and the text; they are only read where there are such tokens.
        corpus_config: `chat`; at `off` the chat template is not read.

    Raises:
        BadInputError: With the token, its number and the embedding's rows.
    """
    folder = store.path(checkpoint)
    rows = text_settings(_read_json(config_folder(checkpoint), "config.json")).get("vocab_size")
    if not isinstance(rows, int) or max(_vocabulary(folder).values(), default=0) < rows:
        return
    tokenizer = _tokenizer(folder / TOKENIZER)
    template = _chat_template(folder) if corpus_config.chat != "off" else None
    named = chain([("its chat template", str(template))] if template else [], texts)
    encoded = ((name, _encoded(tokenizer, folder, text, special=False)) for name, text in named)
    for name, read in chain(
        [("every text, as the tokenizer begins it,", _encoded(tokenizer, folder, "a", special=True))], encoded
    ):
        place = next((at for at, number in enumerate(read.ids) if number >= rows), None)
        if place is not None:
            raise BadInputError(
                f"{name} holds the token {read.tokens[place]!r}, which is number {read.ids[place]} of"
                f" {checkpoint.label} {checkpoint.name}, whose embedding has {rows} rows; wanted a model whose"
                " embedding was resized (resize_token_embeddings), or a text without it"
            )


def _encoded(tokenizer: Any, folder: Path, text: str, *, special: bool) -> Any:
    try:
        return tokenizer.encode(text, add_special_tokens=special)
    except Exception as error:  # the library raises no narrower kind
        raise BadInputError(
            f"{folder / TOKENIZER} cannot read a text ({error}); wanted a tokenizer that reads every one"
        ) from None


def _tokenizer(file: Path) -> Any:
    """Load a tokenizer by itself.

    Raises:
        BadInputError: If the library cannot, or panics over it, which is no `Exception`.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadInputError(f"{file} cannot be read ({error}); wanted a fast tokenizer's file") from None


def _difference(first: Path, second: Path, *, chat: bool) -> str:
    """Say in what the tokenizers of two folders differ; empty if in nothing that matters."""
    ours, theirs = _vocabulary(first), _vocabulary(second)
    if ours != theirs:
        differing = sum(ours.get(token) != theirs.get(token) for token in ours.keys() | theirs.keys())
        return f"vocabularies of {len(ours)} and {len(theirs)} entries, {differing} of them differ"
    if _merges(first) != _merges(second):
        return "the same vocabulary, but other merges"
    for role, token in _special_tokens(first).items():
        if token != (second_token := _special_tokens(second)[role]):
            return f"{role} is {token!r} in one and {second_token!r} in the other"
    return "other chat templates" if chat and _chat_template(first) != _chat_template(second) else ""


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return read_object(path, str(folder)) if path.is_file() else {}


def _vocabulary(folder: Path) -> dict[str, int]:
    """Return every entry with its id, added tokens included. Unigram models keep a list, whose order gives the ids.

    Raises:
        BadInputError: If the file has another form.
    """
    content = _read_json(folder, TOKENIZER)
    try:
        entries = content["model"].get("vocab", {})
        vocabulary = (
            dict(entries) if isinstance(entries, dict) else {piece: number for number, (piece, _) in enumerate(entries)}
        )
        vocabulary |= {entry["content"]: entry["id"] for entry in content.get("added_tokens") or []}
        if not all(isinstance(token, str) and isinstance(number, int) for token, number in vocabulary.items()):
            raise TypeError
    except (LookupError, TypeError, ValueError, AttributeError):
        raise BadInputError(f"{folder / TOKENIZER} has no vocabulary; wanted a fast tokenizer's file") from None
    return vocabulary


def _merges(folder: Path) -> list[tuple[str, ...]]:
    """Return the merges of a BPE model, in order; older files write a pair as one text.

    Raises:
        BadInputError: If the file has another form.
    """
    try:
        return [
            tuple(merge.split(" ") if isinstance(merge, str) else merge)
            for merge in _read_json(folder, TOKENIZER)["model"].get("merges") or []
        ]
    except (LookupError, TypeError, AttributeError):
        raise BadInputError(f"{folder / TOKENIZER} has no merges that read; wanted a fast tokenizer's file") from None


def _special_tokens(folder: Path) -> dict[str, str | None]:
    configured = {**_read_json(folder, "special_tokens_map.json"), **_read_json(folder, "tokenizer_config.json")}
    return {
        role: token.get("content") if isinstance(token, dict) else token
        for role in SPECIAL
        for token in [configured.get(role)]
    }


def _chat_template(folder: Path) -> Any:
    """Return the chat template as it is written; a file of its own wins, as it does where tokenizers are loaded."""
    path = folder / "chat_template.jinja"
    if not path.is_file():
        return _read_json(folder, "tokenizer_config.json").get("chat_template") or None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}: byte {error.start} is not UTF-8; wanted a chat template") from None
