"""Stage `anchors`: named entities and distinctive terms of the forget text, counted and ranked."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store, tracking
from tasks.algorithms.text.aliases import name_aliases
from tasks.algorithms.text.anchors import Anchor
from tasks.algorithms.text.corpus import text_stretches
from tasks.algorithms.text.distinctive import select_anchors
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.inputs.english_pipeline import NAME, ruled_pipeline
from tasks.inputs.user_anchors import UserAnchors, read_user_anchors
from tasks.settings.text import AnchorConfig, CorpusConfig
from tasks.storage.documents import StoredTexts
from tasks.storage.plain_files import write_json, write_rows

if TYPE_CHECKING:
    from spacy.language import Language

INSTALLED = "en_core_web_sm"
KIND_OF_LABEL = {
    **{"PERSON": "PERSON", "GPE": "PLACE", "LOC": "PLACE", "FAC": "PLACE", "NORP": "GROUP", "ORG": "GROUP"},
    **{"PLACE": "PLACE", "GROUP": "GROUP"},
}
"""Entity labels of spaCy's pipelines and of ours -> kind of anchor; other named things are THING, numbers and dates are
left out."""
IGNORED = frozenset({"DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL", "LANGUAGE"})


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
        raise BadInputError(
            f"anchors.pipeline is {name!r}, which is not installed; wanted auto, {NAME}, or an installed spaCy pipeline"
        ) from None


def find_entities(pipeline: "Language", texts: Iterable[str], characters: int = 0) -> dict[str, Counter[str]]:
    """Go through texts once, in stretches: a pipeline refuses what is longer than its limit, and names agree better in
    long ones.

    Args:
        pipeline: Marks entities.
        texts: What to read.
        characters: Their length together, to tell how far it is; may be rough.

    Returns:
        Term -> kind -> occurrences.
    """
    counts: dict[str, Counter[str]] = {}
    characters_read = 0
    for document in pipeline.pipe(stretch for text in texts for stretch in text_stretches(text)):
        for entity in document.ents:
            if entity.label_ not in IGNORED:
                counts.setdefault(" ".join(entity.text.split()), Counter())[
                    KIND_OF_LABEL.get(entity.label_, "THING")
                ] += 1
        characters_read += len(document.text)
        progress.report(characters_read, max(characters_read, characters))
    return counts


@stage("anchors", isolated=False)
def extract_anchors(
    corpus: CorpusRef,
    config: AnchorConfig,
    corpus_config: CorpusConfig,
    user: InputFile | None = None,
    wanted: bool = True,
    run: str | None = None,
) -> AnchorTable:
    """Find the anchors of the forget text; a user's own terms are always among them.

    Raises:
        BadInputError: If there are none and they are `wanted`: a method needs them, an evaluation goes on without.
    """
    with tracking.stage_run(run, "anchors", config) as nested:
        texts, background = (
            StoredTexts(corpus, splits, corpus_config.qa_template) for splits in (("forget",), ("retain", "general"))
        )
        user_anchors = read_user_anchors(Path(user.path)) if user else UserAnchors()
        pipeline, name = (None, "user") if user_anchors.complete else load_pipeline(config.pipeline)
        entities = find_entities(pipeline, texts, corpus.characters["forget"]) if pipeline else {}
        anchors = name_aliases(
            select_anchors(entities, texts, background, config, user_anchors.anchors, only_users=user_anchors.complete)
        )
        if wanted and not anchors:
            raise BadInputError(
                "no anchors were found in the forget text; wanted terms of its own: lower --set anchors.min_count or"
                " anchors.min_log_odds_z, name a pipeline with --set anchors.pipeline, or give terms with --anchors"
                " FILE"
            )
        digest = store.put("anchors", lambda folder: _write(folder, anchors), sensitivity="forget")
        tracking.log_metrics(nested, {"anchors": float(len(anchors))})
        tracking.log_artifact(nested, store.path(_record(digest, len(anchors), name, nested)) / "anchors.csv", "forget")
        return _record(digest, len(anchors), name, nested)


def _record(digest: str, count: int, pipeline: str, origin: str | None) -> AnchorTable:
    return AnchorTable(
        kind="anchors", digest=digest, sensitivity="forget", origin=origin or "", anchors=count, pipeline=pipeline
    )


def _write(folder: Path, anchors: list[Anchor]) -> None:
    rows = [asdict(anchor) for anchor in anchors]
    write_json(folder / "anchors.json", rows)
    write_rows(folder / "anchors.csv", rows)
