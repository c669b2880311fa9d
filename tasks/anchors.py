"""Stage `anchors`: named entities and distinctive terms of the forget text, counted and ranked."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import formats, progress, store, tracking
from tasks.algorithms.anchors import Anchor, AnchorConfig, count_terms, select_anchors
from tasks.algorithms.corpus import CorpusConfig, render_document, split_paragraphs
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.ruled_pipeline import NAME, ruled_pipeline
from tasks.stage import stage

if TYPE_CHECKING:
    from spacy.language import Language

INSTALLED = "en_core_web_sm"
KINDS = {"PERSON": "PERSON", "GPE": "PLACE", "LOC": "PLACE", "FAC": "PLACE", "NORP": "GROUP", "ORG": "GROUP", "PLACE": "PLACE", "GROUP": "GROUP"}
"""Entity labels of spaCy's pipelines and of ours -> kind of anchor; other named things are THING, numbers and dates are left out."""
IGNORED = frozenset({"DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL", "LANGUAGE"})
_CHUNK_CHARACTERS = 50_000


def load_pipeline(name: str) -> tuple["Language", str]:
    """Load a spaCy pipeline by name or folder; `auto` falls back to the project's own.

    Raises:
        BadInputError: If a pipeline was named and is not installed.
    """
    import spacy

    if name in ("auto", NAME):
        if name == "auto" and spacy.util.is_package(INSTALLED):
            return spacy.load(INSTALLED), INSTALLED
        return ruled_pipeline(), NAME
    try:
        return spacy.load(name), name
    except OSError:
        raise BadInputError(f"anchors.pipeline is {name!r}, which is not installed; wanted auto, {NAME}, or an installed spaCy pipeline") from None


def find_entities(pipeline: "Language", texts: list[str]) -> dict[str, Counter[str]]:
    """Return term -> kind -> occurrences."""
    found: dict[str, Counter[str]] = {}
    chunks = [chunk for text in texts for chunk in _chunks(text)]
    for done, document in enumerate(pipeline.pipe(chunks), 1):
        for entity in document.ents:
            if entity.label_ not in IGNORED:
                found.setdefault(" ".join(entity.text.split()), Counter())[KINDS.get(entity.label_, "THING")] += 1
        progress.report(done, len(chunks))
    return found


def _chunks(text: str) -> list[str]:
    """Cut long text at paragraphs: a pipeline refuses what is longer than its limit, and names agree better in long stretches."""
    chunks = [""]
    for paragraph in split_paragraphs(text):
        if len(chunks[-1]) + len(paragraph) > _CHUNK_CHARACTERS and chunks[-1]:
            chunks.append("")
        chunks[-1] += paragraph + "\n\n"
    return chunks


@stage("anchors", isolated=False)
def extract_anchors(
    corpus: CorpusRef, config: AnchorConfig, reading: CorpusConfig, user: InputFile | None = None, wanted: bool = True, run: str | None = None
) -> AnchorTable:
    """Find the anchors of the forget text; a user's own terms are always among them.

    Raises:
        BadInputError: If there are none and they are `wanted`: a method needs them, an evaluation goes on without.
    """
    with tracking.stage_run(run, "anchors", config) as nested:
        texts = [render_document(item, reading.qa_template) for item in formats.read_documents(corpus, "forget")]
        background = [render_document(item, reading.qa_template) for split in ("retain", "general") for item in formats.read_documents(corpus, split)]
        pipeline, name = load_pipeline(config.pipeline)
        found = select_anchors(find_entities(pipeline, texts), texts, background, config)
        anchors = _with_user_terms(found, formats.read_user_anchors(user) if user else {}, texts)
        if wanted and not anchors:
            raise BadInputError(
                "no anchors were found in the forget text; wanted terms of its own: lower --set anchors.min_count or anchors.min_log_odds_z, "
                "name a pipeline with --set anchors.pipeline, or give terms with --anchors FILE"
            )
        digest = store.put("anchors", lambda folder: _write(folder, anchors), sensitivity="forget")
        tracking.log_metrics(nested, {"anchors": float(len(anchors))})
        tracking.log_artifact(nested, store.path(_record(digest, len(anchors), name, nested)) / "anchors.csv", "forget")
        return _record(digest, len(anchors), name, nested)


def _record(digest: str, count: int, pipeline: str, origin: str | None) -> AnchorTable:
    return AnchorTable(kind="anchors", digest=digest, sensitivity="forget", origin=origin or "", anchors=count, pipeline=pipeline)


def _with_user_terms(found: list[Anchor], user: dict[str, str], texts: list[str]) -> list[Anchor]:
    kept = [anchor for anchor in found if anchor.term not in user]
    counts = count_terms(texts, [*user, *(anchor.term for anchor in kept)]) if user else {}
    given = [Anchor(term=term, kind="THING", count=counts[term], log_odds_z=0.0, origin="user") for term in user if counts[term]]
    return sorted(given + kept, key=lambda anchor: (-anchor.count, anchor.term))


def _write(folder: Path, anchors: list[Anchor]) -> None:
    rows = [asdict(anchor) for anchor in anchors]
    formats.write_json(folder / "anchors.json", rows)
    formats.write_rows(folder / "anchors.csv", rows)
