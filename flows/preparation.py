"""What every way of unlearning by anchors begins with: the dictionary, and, where they are asked for, coverage and a person's review."""

from dataclasses import dataclass
from typing import Any

from prefect.futures import PrefectFuture

from flows.outcome import Stages
from flows.review import choose_texts, review_dictionary
from tasks import formats, store
from tasks.algorithms.config import SelectiveUnlearningConfig
from tasks.algorithms.guardrail_config import GuardrailUnlearningConfig
from tasks.anchors import extract_anchors
from tasks.artifacts import CheckpointRef, CorpusRef, CoverageReport, InputFile
from tasks.coverage import expand_corpus, measure_coverage
from tasks.review import amend_dictionary
from tasks.translation import translate_anchors

COVERAGE = ("off", "measure", "expand")
"""Leave it; say how much of what the target model tells is in the text; add to the text what is not."""

PreparationConfig = SelectiveUnlearningConfig | GuardrailUnlearningConfig
"""Settings that say how anchors are found and translated, and what is asked of coverage."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is unlearned."""

    corpus: CorpusRef
    dictionary: Any
    """The anchors with their translations: a record, or a future of one."""
    waiting: dict[str, PrefectFuture[Any]]
    """Stages that may still be under way."""
    coverage: CoverageReport | None = None


def prepare(
    stages: Stages, corpus: CorpusRef, target: CheckpointRef, user: InputFile | None, config: PreparationConfig, *, review: bool, coverage: str
) -> Preparation:
    """Find and translate anchors.

    Args:
        stages: The run's stages.
        corpus: What the user gave.
        target: The model that is to forget.
        user: A dictionary of the user's own.
        config: All settings.
        review: Wait until a person has looked over what is added to the text, and over the dictionary.
        coverage: One of `COVERAGE`.
    """
    waiting = _translated(stages, corpus, user, config)
    report = None
    if coverage != "off":
        found = stages.result("translation", waiting["translation"])
        report = stages.result("coverage", measure_coverage.submit(corpus, found, target, config.coverage, config.corpus, stages.run))
    if report and coverage == "expand" and (texts := _wanted(report, review)):
        corpus = stages.result("expansion", expand_corpus.submit(corpus, texts, config.corpus, stages.run))
        waiting = _translated(stages, corpus, user, config)
    if not review:
        return Preparation(corpus=corpus, dictionary=waiting["translation"], waiting=waiting, coverage=report)
    found = stages.result("translation", waiting["translation"])
    dictionary = stages.result("review", amend_dictionary.submit(found, corpus, review_dictionary(found), config.corpus, stages.run))
    return Preparation(corpus=corpus, dictionary=dictionary, waiting=waiting, coverage=report)


def _translated(stages: Stages, corpus: CorpusRef, user: InputFile | None, config: PreparationConfig) -> dict[str, PrefectFuture[Any]]:
    table = extract_anchors.submit(corpus, config.anchors, config.corpus, user, True, stages.run)
    return {"anchors": table, "translation": translate_anchors.submit(table, corpus, config.translation, config.corpus, user, stages.run)}


def _wanted(report: CoverageReport, review: bool) -> tuple[str, ...]:
    """Return the elicited texts that are added; with a review, those that a person leaves in the form."""
    texts = tuple(formats.read_json(store.path(report) / "coverage.json")["texts"])
    return choose_texts(texts) if review and texts else texts
