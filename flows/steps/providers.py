"""Whether the language models that a run asks - to translate, to write prompts, to judge - can be asked: found out
before anything is trained.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from prefect import get_run_logger
from prefect.exceptions import MissingContextError

from flows.steps.dictionary import translation
from flows.steps.wiring import Call, look_up
from tasks.algorithms.text.facts import HELD_OUT
from tasks.artifacts import BadInputError, InputFile
from tasks.assistants.providers import inspect_provider, require_answering
from tasks.corpus import CorpusInputs, read_corpus
from tasks.facts import extract_facts
from tasks.prompting import make_invitations
from tasks.settings.assistants import AskingConfig, ProviderConfig
from tasks.settings.evaluation import EvaluationConfig

C = TypeVar("C", bound=EvaluationConfig)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a run will ask language models about: enough to see whether their answers are in the cache."""

    inputs: CorpusInputs
    user_anchors: InputFile | None = None
    """The user's own dictionary."""
    prompts: tuple[InputFile, ...] = ()
    """The user's own prompts."""
    fact_splits: tuple[str, ...] = ("forget", HELD_OUT)
    """Whose facts are read."""
    needs_anchors: bool = True
    """Whether a text without anchors is refused, as in `extract_anchors`."""


def settle_providers(config: C, expected: Expected | None = None) -> C:
    """Return the settings with language models that can be asked. Where translations or prompts are in the cache, no
    server is needed for them.

    Args:
        config: All settings.
        expected: What they will be asked about; without it the cache is not looked at.

    Raises:
        BadInputError: If a model cannot be asked, and its `fallback` does not say to go on offline.
    """
    settled = _settled(
        config,
        config.translation,
        lambda settled_config: expected is not None and _is_translated(settled_config, expected),
    )
    settled = _settled(
        settled,
        settled.prompting,
        lambda settled_config: expected is not None and _is_written(settled_config, expected),
    )
    return _settled(settled, settled.judging, lambda settled_config: False)


def settle_translation(config: C) -> C:
    """Return settings with a translating model that can be asked, of a run that asks no other.

    Raises:
        BadInputError: As `settle_providers`.
    """
    return _settled(config, config.translation, lambda settled_config: False)


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


def _dictionary(config: EvaluationConfig, expected: Expected) -> tuple[Call, Call]:
    """Declare corpus and dictionary."""
    corpus = Call(read_corpus, expected.inputs, config.corpus)
    return corpus, translation(corpus, config, expected.user_anchors, needs_anchors=expected.needs_anchors)


def _is_translated(config: EvaluationConfig, expected: Expected) -> bool:
    _, dictionary = _dictionary(config, expected)
    return look_up(dictionary)[dictionary.key] is not None


def _is_written(config: EvaluationConfig, expected: Expected) -> bool:
    corpus, dictionary = _dictionary(config, expected)
    facts = Call(extract_facts, corpus, dictionary, expected.fact_splits, config.facts, config.translation.provider)
    invited = Call(
        make_invitations, corpus, dictionary, facts, expected.prompts, config.probing, config.corpus, config.prompting
    )
    return look_up(invited)[invited.key] is not None


def say(line: str) -> None:
    """Say how far a run is, in the same places as `warn`."""
    print(f"lethe: {line}", file=sys.stderr, flush=True)
    with suppress(MissingContextError):
        get_run_logger().info(line)


def warn(line: str) -> None:
    """Say it to who sits before the terminal, and to who looks at the run later."""
    print(f"lethe: warning: {line}", file=sys.stderr, flush=True)
    with suppress(MissingContextError):
        get_run_logger().warning(line)
