"""Stage `coverage`: what the target model tells of the topic beyond the given text, and the corpus with that added."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tasks import store, tracking
from tasks.algorithms.measuring.coverage import (
    Completed,
    anchor_associations,
    complete_facts,
    covered_share,
    fact_associations,
    merge_associations,
    openings,
    uncovered_names,
    without_retain_names,
    worth_adding,
)
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document, render_document, split_paragraphs
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.text.invitations import of_fact
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, CoverageReport, FactTable
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id
from tasks.settings.measuring import CoverageConfig, ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import StoredTexts, read_documents, write_splits
from tasks.storage.fact_tables import read_facts
from tasks.storage.plain_files import read_json, write_json


@stage("coverage", threads_share=2)
def measure_coverage(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    facts: FactTable,
    target: CheckpointRef,
    config: CoverageConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> CoverageReport:
    """Let the target model speak about the most frequent anchors and complete facts; hold what it says against the
    forget text.
    """
    with tracking.stage_run(run, "coverage", config) as nested:
        kinds = {row["term"]: row["kind"] for row in read_json(store.path(dictionary) / "dictionary.json")}
        stated = spaced(read_facts(facts, "forget"), config.facts)
        completions, completed_facts = _elicit(
            dict(list(kinds.items())[: config.anchors]), stated, target, config, corpus_config
        )
        texts = [render_document(item, corpus_config.qa_template) for item in read_documents(corpus, "forget")]
        passages, expression = (
            [paragraph for text in texts for paragraph in split_paragraphs(text)],
            anchor_expression(kinds),
        )
        retain_text = "\n".join(StoredTexts(corpus, ("retain",), corpus_config.qa_template))
        by_anchor = anchor_associations(completions, passages, expression, config.least_times)
        elicited = merge_associations(by_anchor, fact_associations(completed_facts, passages, expression))
        elicited = without_retain_names(elicited, retain_text)
        generated = [
            *(text for answers in completions.values() for text in answers),
            *(item.text for item in completed_facts),
        ]
        coverage = {
            "share": covered_share(elicited),
            "told": [asdict(item) for item in elicited],
            "uncovered": uncovered_names(elicited, passages),
            "facts": [asdict(item) for item in completed_facts],
            "texts": worth_adding(generated, elicited),
        }
        return _report(coverage, nested)


def _report(coverage: dict[str, Any], run: str | None) -> CoverageReport:
    digest = store.put("coverage", lambda folder: write_json(folder / "coverage.json", coverage), sensitivity="forget")
    counts = {name: len(coverage[name]) for name in ("told", "texts", "facts")} | {
        "reproduced": sum(row["reproduced"] for row in coverage["facts"])
    }
    metrics = {"covered_share": coverage["share"]} if coverage["share"] is not None else {}
    metrics |= {"reproduced_share": counts["reproduced"] / counts["facts"]} if counts["facts"] else {}
    tracking.log_metrics(run, metrics)
    return CoverageReport(
        kind="coverage", digest=digest, sensitivity="forget", origin=run or "", share=coverage["share"], **counts
    )


def _elicit(
    kinds: dict[str, str],
    stated: Sequence[FactTriple],
    target: CheckpointRef,
    config: CoverageConfig,
    corpus_config: CorpusConfig,
) -> tuple[dict[str, list[str]], list[Completed]]:
    """Return anchor -> completions (answers to questions, and openings with their continuations), and the completed
    facts.
    """
    from tasks.algorithms.measuring.probing import complete, invitation_prompts
    from tasks.algorithms.models.heads import context_size

    model, tokenizer = load_model(target), load_tokenizer(target)
    template, probing = (
        vocabularies.question_template(tokenizer, corpus_config),
        ProbingConfig(new_tokens=config.new_tokens),
    )
    anchor_prompts = [(term, invitation) for term, kind in kinds.items() for invitation in openings(term, kind)]
    invited = [*(invitation for _, invitation in anchor_prompts), *map(of_fact, stated)]
    prompts, context = invitation_prompts(invited, template), context_size(model.config)
    generated = complete(model, tokenizer, prompts, template, probing, pad_id(tokenizer), context)
    generated = [
        template.answer(text) if item.kind == "asked" else text for item, text in zip(invited, generated, strict=True)
    ]
    completions: dict[str, list[str]] = {term: [] for term in kinds}
    for (term, invitation), text in zip(anchor_prompts, generated[: len(anchor_prompts)], strict=True):
        completions[term].append(text if invitation.kind == "asked" else invitation.text + text)
    return completions, complete_facts(stated, generated[len(anchor_prompts) :])


@stage("expansion", isolated=False)
def expand_corpus(
    corpus: CorpusRef, texts: tuple[str, ...], corpus_config: CorpusConfig, run: str | None = None
) -> CorpusRef:
    """Add elicited texts to the forget text."""
    with tracking.stage_run(run, "expansion") as nested:
        splits = {split: read_documents(corpus, split) for split in corpus.documents}
        added = [Document(source=f"elicited {number}", text=text) for number, text in enumerate(texts, 1)]
        splits["forget"] = [*splits["forget"], *added]
        digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
        characters = {
            **corpus.characters,
            "forget": sum(len(render_document(item, corpus_config.qa_template)) for item in splits["forget"]),
        }
        documents = {split: len(split_documents) for split, split_documents in splits.items()}
        return replace(corpus, digest=digest, origin=nested or "", documents=documents, characters=characters)
