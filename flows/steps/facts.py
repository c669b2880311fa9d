"""Facts that a text states, with a language model or without: they never end a run."""

from typing import Any

from prefect.futures import PrefectFuture

from flows.steps.outcome import Stages
from flows.steps.providers import warn
from tasks.algorithms.text.facts import HELD_OUT
from tasks.artifacts import BadInputError, CorpusRef
from tasks.facts import UnreadError, extract_facts
from tasks.settings.assistants import ProviderConfig
from tasks.settings.evaluation import EvaluationConfig

EVERYWHERE = ("forget", HELD_OUT)
"""Splits of a run that unlearns; where nothing is trained, what is asked about is not held out from anything, and only
that is read."""


def state_facts(
    stages: Stages, corpus: CorpusRef, dictionary: Any, config: EvaluationConfig, splits: tuple[str, ...] = EVERYWHERE
) -> PrefectFuture[Any]:
    """Begin to read facts; where a language model is to read too, wait for it, and go on without it if it cannot.

    Args:
        stages: The run's stages.
        corpus: All splits.
        dictionary: The anchors: a record, or a future of one.
        config: All settings.
        splits: Whose text is read.

    Returns:
        A future of the table of facts.
    """
    provider, run = config.translation.provider, stages.run or None
    if provider.name != "offline" and isinstance(dictionary, PrefectFuture):
        dictionary.result()  # where that fails, it is no matter of facts
    facts = extract_facts.submit(corpus, dictionary, splits, config.facts, provider, run)
    if provider.name == "offline":
        return facts
    try:
        stages.result("facts", facts)
    except Exception as error:
        # others may repeat the text
        why = str(error) if isinstance(error, (UnreadError, BadInputError)) else type(error).__name__
        warn(f"facts are read by pattern alone: {why}")
        return extract_facts.submit(corpus, dictionary, splits, config.facts, ProviderConfig(), run)
    return facts
