"""Stage `coverage`: what the target model tells of the topic beyond the given text, and the corpus with that added."""

from dataclasses import asdict, replace
from typing import Any

from tasks import checkpoints, formats, store, tracking, vocabularies
from tasks.algorithms.anchors import anchor_expression
from tasks.algorithms.config import CoverageConfig, ProbingConfig
from tasks.algorithms.corpus import CorpusConfig, Document, render_document, split_paragraphs
from tasks.algorithms.coverage import covered_share, openings, things_told, uncovered_names, worth_adding
from tasks.algorithms.probing import complete, invitation_prompts
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, CoverageReport
from tasks.stage import stage


@stage("coverage", threads_share=2)
def measure_coverage(
    corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef, config: CoverageConfig, reading: CorpusConfig, run: str | None = None
) -> CoverageReport:
    """Let the target model speak about the most frequent anchors and hold what it says against the forget text."""
    with tracking.stage_run(run, "coverage", config) as nested:
        rows = formats.read_json(store.path(dictionary) / "dictionary.json")
        said = _elicit({row["term"]: row["kind"] for row in rows[: config.anchors]}, target, config, reading)
        texts = [render_document(item, reading.qa_template) for item in formats.read_documents(corpus, "forget")]
        passages = [paragraph for text in texts for paragraph in split_paragraphs(text)]
        told = things_told(said, passages, anchor_expression(row["term"] for row in rows), config.least_times)
        found = {
            "share": covered_share(told),
            "told": [asdict(item) for item in told],
            "uncovered": uncovered_names(told, passages),
            "texts": worth_adding([text for spoken in said.values() for text in spoken], told),
        }
        digest = store.put("coverage", lambda folder: formats.write_json(folder / "coverage.json", found), sensitivity="forget")
        tracking.log_metrics(nested, {"covered_share": found["share"]} if found["share"] is not None else {})
        counts: dict[str, Any] = {"share": found["share"], "told": len(told), "texts": len(found["texts"])}
        return CoverageReport(kind="coverage", digest=digest, sensitivity="forget", origin=nested or "", **counts)


def _elicit(kinds: dict[str, str], target: CheckpointRef, config: CoverageConfig, reading: CorpusConfig) -> dict[str, list[str]]:
    """Return anchor -> what the model says: its answers, and openings with what it goes on with."""
    model, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
    template = vocabularies.question_template(tokenizer, reading)
    asked = [(term, invitation) for term, kind in kinds.items() for invitation in openings(term, kind)]
    prompts = invitation_prompts([invitation for _, invitation in asked], template)
    probing = ProbingConfig(new_tokens=config.new_tokens)
    spoken = complete(model, tokenizer, prompts, template, probing, checkpoints.pad_id(tokenizer), model.config.max_position_embeddings)
    said: dict[str, list[str]] = {term: [] for term in kinds}
    for (term, invitation), text in zip(asked, spoken, strict=True):
        said[term].append(template.answer(text) if invitation.kind == "asked" else invitation.text + text)
    return said


@stage("expansion", isolated=False)
def expand_corpus(corpus: CorpusRef, texts: tuple[str, ...], reading: CorpusConfig, run: str | None = None) -> CorpusRef:
    """Add elicited texts to the forget text."""
    with tracking.stage_run(run, "expansion") as nested:
        splits = {split: formats.read_documents(corpus, split) for split in corpus.documents}
        added = [Document(source=f"elicited {number}", text=text) for number, text in enumerate(texts, 1)]
        splits["forget"] = [*splits["forget"], *added]
        digest = store.put("corpora", lambda folder: formats.write_splits(folder, splits), sensitivity="forget")
        characters = {**corpus.characters, "forget": sum(len(render_document(item, reading.qa_template)) for item in splits["forget"])}
        documents = {split: len(found) for split, found in splits.items()}
        return replace(corpus, digest=digest, origin=nested or "", documents=documents, characters=characters)
