"""Whether the language model that is to translate can be asked: found out before anything is trained."""

import sys
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from prefect import get_run_logger
from prefect.exceptions import MissingContextError

from tasks.algorithms.config import EvaluationConfig
from tasks.algorithms.providers import ProviderConfig
from tasks.anchors import extract_anchors
from tasks.artifacts import BadInputError, InputFile
from tasks.corpus import CorpusInputs, read_corpus
from tasks.providers import inspect_provider, require_answering
from tasks.translation import translate_anchors

C = TypeVar("C", bound=EvaluationConfig)


def settle_translator(config: C, inputs: CorpusInputs | None = None, user: InputFile | None = None, *, wanted: bool = True) -> C:
    """Return the settings with a translator that can be asked. Where the translation is in the cache, no server is.

    Args:
        config: All settings.
        inputs: The run's files; without them the cache is not looked at.
        user: The user's own dictionary.
        wanted: Whether a text without anchors is refused, as in `extract_anchors`.

    Raises:
        BadInputError: If the model cannot be asked, and `translation.fallback` does not say to go on offline.
    """
    if config.translation.provider.name == "offline":
        return config
    try:
        settled = _with(config, inspect_provider(config.translation.provider))
        if not (inputs and _is_translated(settled, inputs, user, wanted)):
            require_answering(settled.translation.provider)
    except BadInputError as error:
        if config.translation.fallback != "offline":
            raise
        warn(f"{error}; going on with the offline translator")
        return _with(config, ProviderConfig())
    return settled


def _with(config: C, provider: ProviderConfig) -> C:
    return replace(config, translation=replace(config.translation, provider=provider))


def _is_translated(config: EvaluationConfig, inputs: CorpusInputs, user: InputFile | None, wanted: bool) -> bool:
    corpus = read_corpus.lookup(inputs, config.corpus)
    table = extract_anchors.lookup(corpus, config.anchors, config.corpus, user, wanted) if corpus else None
    return bool(table and translate_anchors.lookup(table, corpus, config.translation, config.corpus, user))


def warn(line: str) -> None:
    """Say it to who sits before the terminal, and to who looks at the run later."""
    print(f"lethe: warning: {line}", file=sys.stderr, flush=True)
    with suppress(MissingContextError):
        get_run_logger().warning(line)
