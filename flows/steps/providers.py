"""Whether the language models that a run asks - to translate, to write prompts, to judge - can be asked: found out before anything is trained."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from prefect import get_run_logger
from prefect.exceptions import MissingContextError

from tasks.algorithms.text.facts import HELD_OUT
from tasks.anchors import extract_anchors
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.assistants.providers import inspect_provider, require_answering
from tasks.corpus import CorpusInputs, read_corpus
from tasks.facts import extract_facts
from tasks.prompting import make_invitations
from tasks.settings.assistants import AskingConfig, ProviderConfig
from tasks.settings.evaluation import EvaluationConfig
from tasks.translation import translate_anchors

C = TypeVar("C", bound=EvaluationConfig)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run will ask about: enough to see whether the answers are in the cache."""

    inputs: CorpusInputs
    user: InputFile | None = None
    """The user's own dictionary."""
    prompts: tuple[InputFile, ...] = ()
    """The user's own prompts."""
    splits: tuple[str, ...] = ("forget", HELD_OUT)
    """Whose facts are read."""
    wanted: bool = True
    """Whether a text without anchors is refused, as in `extract_anchors`."""


def settle_providers(config: C, asked: Asked | None = None) -> C:
    """Return the settings with language models that can be asked. Where translations or prompts are in the cache, no server is needed for them.

    Args:
        config: All settings.
        asked: What will be asked about; without it the cache is not looked at.

    Raises:
        BadInputError: If a model cannot be asked, and its `fallback` does not say to go on offline.
    """
    settled = _settled(config, config.translation, lambda found: asked is not None and _translated(found, asked) is not None)
    settled = _settled(settled, settled.prompting, lambda found: asked is not None and _is_written(found, asked))
    return _settled(settled, settled.judging, lambda found: False)


def _settled(config: C, asking: AskingConfig, is_cached: Callable[[C], bool]) -> C:
    """Return the settings with one section's model looked at, or offline where it cannot be asked and need not be."""
    if asking.provider.name == "offline":
        return config
    try:
        settled = _with(config, asking, inspect_provider(asking.provider, asking.option))
        if not is_cached(settled):
            require_answering(getattr(settled, asking.section).provider, asking.option)
    except BadInputError as error:
        if asking.fallback != "offline":
            raise
        warn(f"{error}; going on with {asking.without}")
        return _with(config, asking, ProviderConfig())
    return settled


def _with(config: C, asking: AskingConfig, provider: ProviderConfig) -> C:
    return replace(config, **{asking.section: replace(asking, provider=provider)})


def _translated(config: EvaluationConfig, asked: Asked) -> tuple[CorpusRef, AnchorTable] | None:
    """Return corpus and dictionary, if the cache has them."""
    corpus = read_corpus.lookup(asked.inputs, config.corpus)
    table = extract_anchors.lookup(corpus, config.anchors, config.corpus, asked.user, asked.wanted) if corpus else None
    dictionary = translate_anchors.lookup(table, corpus, config.translation, config.corpus, asked.user) if table else None
    return (corpus, dictionary) if dictionary else None


def _is_written(config: EvaluationConfig, asked: Asked) -> bool:
    found = _translated(config, asked)
    facts = extract_facts.lookup(*found, asked.splits, config.facts, config.translation.provider) if found else None
    return bool(facts and make_invitations.lookup(*found, facts, asked.prompts, config.probing, config.corpus, config.prompting))


def warn(line: str) -> None:
    """Say it to who sits before the terminal, and to who looks at the run later."""
    print(f"lethe: warning: {line}", file=sys.stderr, flush=True)
    with suppress(MissingContextError):
        get_run_logger().warning(line)
