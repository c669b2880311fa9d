"""Stage `facts`: what the text states, as a table that a person can read, probes and coverage ask for, and rank-one
editing can use.

Questions and sentences are read by pattern. Where a language model translates, it reads passages of the text as well;
what it names counts when the passage bears it out, and of what both find the pattern's stays. Every fact has the split
whose text states it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import BaseModel

from tasks import store, tracking
from tasks.algorithms.assistants.fact_reader import Proposal, accept_facts, cut_passages, fact_question, read_statements
from tasks.algorithms.text.anchors import AnchorExpression, anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import HELD_OUT, FactTriple, find_facts, merge_facts, recommend
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import AnchorTable, CorpusRef, FactTable
from tasks.assistants import providers
from tasks.execution.stage import stage
from tasks.settings.assistants import ProviderConfig
from tasks.settings.text import FactConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import read_documents
from tasks.storage.fact_tables import fact_frame, read_facts, write_facts


class UnreadError(ConnectionError):
    """Not one question was answered; it may pass, so the stage is tried again."""


class Statement(BaseModel):
    """A fact, and the number of the passage that states it."""

    passage: int
    subject: str
    prompt: str
    object: str


class Statements(BaseModel):
    """What a language model is to answer."""

    facts: list[Statement]


@dataclass
class Extraction:
    """The facts that a language model extracts from the text, and the calls and tokens used."""

    facts: list[FactTriple] = field(default_factory=list)
    refused: int = 0
    passages: int = 0
    usage: providers.Usage = field(default_factory=providers.Usage)

    def counts(self) -> dict[str, float]:
        """Return the metrics of the stage's run."""
        counts = {"facts_by_model": len(self.facts), "facts_refused": self.refused, "passages_read": self.passages}
        return {name: float(count) for name, count in {**counts, **asdict(self.usage)}.items()}


@stage("facts", isolated=False)
def extract_facts(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    splits: tuple[str, ...],
    config: FactConfig,
    provider: ProviderConfig,
    run: str | None = None,
) -> FactTable:
    """Read facts out of questions and sentences of some splits, and say which family of methods fits the
    forget text.
    """
    with tracking.stage_run(run, "facts", config) as nested:
        documents = {split: read_documents(corpus, split) for split in splits}
        expression = anchor_expression(read_dictionary(dictionary))
        rule_facts, extraction = (
            [fact for split in splits for fact in find_facts(documents[split], expression, split)],
            Extraction(),
        )
        if provider.name != "offline":
            for split in splits:
                _extract_with_model(documents[split], split, expression, config, provider, extraction)
            tracking.log_metrics(nested, extraction.counts())
        facts = merge_facts([*rule_facts, *extraction.facts])
        forget_documents = documents.get("forget", [])
        family, reason = recommend(forget_documents, [fact for fact in facts if fact.split == "forget"])
        return keep_facts(facts, family, reason, nested)


def keep_facts(facts: Sequence[FactTriple], family: str, reason: str, run: str | None) -> FactTable:
    """Store a table of facts and log it."""
    digest = store.put("facts", lambda folder: write_facts(folder, facts), sensitivity="forget")
    held_out = sum(fact.split == HELD_OUT for fact in facts)
    tracking.log_metrics(run, {"facts": float(len(facts) - held_out), "facts_held_out": float(held_out)})
    tracking.log_table(run, fact_frame(facts), "facts", "forget")
    counts = {"facts": len(facts) - held_out, "held_out": held_out, "recommended": family, "reason": reason}
    return FactTable(kind="facts", digest=digest, sensitivity="forget", origin=run or "", **counts)


def _extract_with_model(
    documents: list[Document],
    split: str,
    expression: AnchorExpression,
    config: FactConfig,
    provider: ProviderConfig,
    extraction: Extraction,
) -> None:
    """Let the provider's model read passages that name the topic, evenly spaced where there are many.

    Raises:
        UnreadError: If it answers nothing at all.
    """
    on_topic = [
        passage for passage in cut_passages(documents, config.passage_characters) if expression.occurs_in(passage)
    ]
    passages = spaced(on_topic, config.passages) if config.passages else []
    batches = [passages[start : start + config.batch] for start in range(0, len(passages), config.batch)]
    answers, usage = providers.ask(
        provider, [fact_question(batch) for batch in batches], Statements, read=read_statements
    )
    if answers and all(answer.text is None for answer in answers):
        raise UnreadError(f"the model that reads facts answered no question: {answers[0].reason}")
    reader = Path(provider.model).name if provider.name == "huggingface" else provider.model
    for batch, answer in zip(batches, answers, strict=True):
        if answer.value:
            accepted, refused = accept_facts(
                [Proposal(**row.model_dump()) for row in answer.value.facts], batch, expression, reader, split
            )
            extraction.facts += accepted
            extraction.refused += len(refused)
            extraction.passages += len(batch)
    extraction.usage += usage


@stage("fact review", isolated=False)
def amend_facts(table: FactTable, wanted: tuple[FactTriple, ...], run: str | None = None) -> FactTable:
    """Keep the facts that a person wants; what is new or changed is marked as the user's."""
    with tracking.stage_run(run, "fact review") as nested:
        stored = {_identity(fact): fact for fact in read_facts(table)}
        facts = [stored.get(_identity(fact), fact) for fact in wanted]
        unchanged = sum(_identity(fact) in stored for fact in wanted)
        tracking.log_metrics(
            nested,
            {
                "kept": float(unchanged),
                "of the user": float(len(facts) - unchanged),
                "dropped": float(len(stored) - unchanged),
            },
        )
        return keep_facts(facts, table.recommended, table.reason, nested)


def _identity(fact: FactTriple) -> tuple[str, str, str, str]:
    return fact.split, fact.subject, fact.prompt, fact.object
