"""What every way of unlearning by anchors begins with: the dictionary, facts, and, where they are asked for, coverage
and a person's review.
"""

from dataclasses import dataclass
from typing import Any, Literal

from prefect.futures import PrefectFuture

from flows.steps.asking import Review
from flows.steps.decisions import Decisions, decisions_on
from flows.steps.dictionary import translation
from flows.steps.facts import state_facts
from flows.steps.outcome import StageOf, Stages
from flows.steps.request import CheckedRequest
from flows.steps.review import choose_texts, review_tables
from flows.steps.wiring import Wiring
from tasks import store
from tasks.artifacts import AnchorTable, CorpusRef, CoverageReport, FactTable
from tasks.coverage import expand_corpus, measure_coverage
from tasks.facts import amend_facts
from tasks.review import amend_dictionary
from tasks.settings.evaluation import MethodConfig
from tasks.storage.plain_files import read_json

Coverage = Literal["off", "measure", "expand"]
"""Leave it; say how much of what the target model tells is in the text; add to the text what is not."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is unlearned."""

    corpus: CorpusRef
    dictionary: Any
    """The anchors with their translations: a record, or a future of one."""
    facts: Any
    """What the text states: a record, or a future of one."""
    waiting: dict[StageOf, PrefectFuture[Any]]
    """Stages that may still be under way."""
    coverage: CoverageReport | None = None


def prepare(
    stages: Stages, corpus: CorpusRef, request: CheckedRequest, *, review: Review, coverage: Coverage
) -> Preparation:
    """Find and translate anchors.

    Args:
        stages: The run's stages.
        corpus: What the user gave.
        request: The model that is to forget, a dictionary of the user's own, all settings.
        review: Whether to wait until a person has looked over what is added to the text, and over dictionary and facts.
        coverage: As in `Coverage`.
    """
    config, waiting, report = request.config, _translated(stages, corpus, request), None
    decisions = decisions_on(request.removal, [file.path for file in request.inputs.forget])
    if coverage != "off":
        dictionary, facts = waiting[StageOf("translation")], waiting[StageOf("facts")]
        measured = measure_coverage.submit(
            corpus, dictionary, facts, request.target, config.coverage, config.corpus, stages.run
        )
        report = stages.result("coverage", measured)
    if report and coverage == "expand" and (texts := _wanted(report, decisions, review)):
        corpus = stages.result("expansion", expand_corpus.submit(corpus, texts, config.corpus, stages.run))
        waiting = _translated(stages, corpus, request)
    dictionary, facts = waiting[StageOf("translation")], waiting[StageOf("facts")]
    if review != "off":
        found = stages.result("translation", dictionary), stages.result("facts", facts)
        dictionary, facts = _reviewed(stages, corpus, *found, config, decisions, review)
    return Preparation(corpus=corpus, dictionary=dictionary, facts=facts, waiting=waiting, coverage=report)


def _reviewed(
    stages: Stages,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    facts: FactTable,
    config: MethodConfig,
    decisions: Decisions,
    review: Review,
) -> tuple[AnchorTable, FactTable]:
    """Return both tables as a person has amended them."""
    wanted = review_tables(dictionary, facts, corpus, config.corpus, decisions, review)
    amended = amend_dictionary.submit(dictionary, corpus, wanted.generics, config.corpus, stages.run)
    table = amend_facts.submit(facts, wanted.facts, stages.run)
    return stages.result("review", amended), stages.result("fact review", table)


def _translated(stages: Stages, corpus: CorpusRef, request: CheckedRequest) -> dict[StageOf, PrefectFuture[Any]]:
    wiring, config = Wiring(run=stages.run), request.config
    dictionary = translation(corpus, config, request.user_anchors, needs_anchors=config.needs_anchors)
    wiring.submit(dictionary)
    facts = state_facts(stages, corpus, wiring.futures[dictionary], config)
    return {**wiring.waiting(), StageOf("facts"): facts}


def _wanted(report: CoverageReport, decisions: Decisions, review: Review) -> tuple[str, ...]:
    """Return the elicited texts that are added; with a review, those that a person wants."""
    texts = tuple(read_json(store.path(report) / "coverage.json")["texts"])
    return choose_texts(texts, decisions, review) if review != "off" and texts else texts
