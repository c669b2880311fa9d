"""Stage `self-written text`: where there is little retain text, the target model writes more of what it knows; what it
writes of the topic is thrown away.
"""

import itertools
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks import store, tracking
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import StoredDocuments, write_documents

TRIES = 8
"""Pieces that are written for each block that is lacking, at most: a model may be brief, or speak of little but the
topic."""
_log = logging.getLogger(__name__)


@stage("self-written text", threads_share=2)
def write_text(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    target: CheckpointRef,
    blocks: int,
    block_size: int,
    seed: int,
    corpus_config: CorpusConfig,
    label: str = "",
    run: str | None = None,
) -> CorpusRef:
    """Return a corpus of the retain text and, up to `blocks` blocks in all, of what the target model writes without
    being asked; the corpus itself where nothing is lacking or nothing can be screened, since there are no anchors.

    `label` tells texts of one run apart.

    Raises:
        BadInputError: If there is no retain text, and none could be written.
    """
    params = {"blocks": blocks, "block_size": block_size}
    with tracking.stage_run(run, f"self-written text {label}".rstrip(), params) as nested:
        terms = read_dictionary(dictionary)
        lacking = max(0, blocks - _blocks(corpus, target, block_size, corpus_config))
        if lacking and not terms:
            _log.warning("no anchors were found, by which text that the model writes could be screened: it writes none")
        pieces = _written(target, terms, lacking, block_size, seed) if lacking and terms else []
        tracking.log_metrics(nested, {"pieces": float(len(pieces)), "lacking_blocks": float(lacking)})
        if not pieces and not corpus.documents.get("retain"):
            raise BadInputError(
                "there is no retain text, and the model wrote none that could be told from what is to be forgotten;"
                " wanted --retain FILE... (whp alone can do without: finetune.self_written_blocks=0)"
            )
        progress.report(1, 1, f"{len(pieces)} pieces")
        return _with_pieces(corpus, pieces, nested) if pieces else corpus


def _blocks(corpus: CorpusRef, target: CheckpointRef, block_size: int, corpus_config: CorpusConfig) -> int:
    """Return how many blocks the retain text has."""
    from tasks.algorithms.tokens.text_blocks import text_blocks

    if not corpus.documents.get("retain"):
        return 0
    tokenizer = load_tokenizer(target)
    template, documents = vocabularies.question_template(tokenizer, corpus_config), StoredDocuments(corpus, "retain")
    return len(text_blocks(documents, tokenizer, template, block_size, separator_id(tokenizer)))


def _written(target: CheckpointRef, terms: Iterable[str], lacking: int, block_size: int, seed: int) -> list[str]:
    """Return screened pieces of as many tokens as the lacking blocks have, or fewer where the model is brief or speaks
    of little but the topic.
    """
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.unlearning.self_written import AT_ONCE, Piece, screened, write_pieces

    model, tokenizer, expression = load_model(target), load_tokenizer(target), anchor_expression(terms)
    size, kept, tokens = min(block_size, context_size(model.config)), list[Piece](), 0
    batches = write_pieces(model, tokenizer, separator_id(tokenizer), pad_id(tokenizer), size, seed)
    for batch in itertools.islice(batches, -(-TRIES * lacking // AT_ONCE)):
        kept += screened(batch, expression)
        tokens = sum(piece.tokens for piece in kept)
        progress.report(min(tokens // size, lacking), lacking + 1, f"{len(kept)} pieces")
        if tokens >= lacking * size:
            break
    if tokens < lacking * size:
        _log.warning("of %d blocks of text that are lacking the model wrote %d", lacking, tokens // size)
    return [piece.text for piece in kept]


def _with_pieces(corpus: CorpusRef, pieces: Sequence[str], run: str | None) -> CorpusRef:
    added = [Document(source=f"self-written {number}", text=text) for number, text in enumerate(pieces, 1)]

    def write(folder: Path) -> None:
        write_documents(folder / "retain.jsonl", StoredDocuments(corpus, "retain"))
        write_documents(folder / "retain.jsonl", added)

    digest = store.put("corpora", write, sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        origin=run or "",
        documents={"retain": corpus.documents.get("retain", 0) + len(pieces)},
        characters={"retain": corpus.characters.get("retain", 0) + sum(map(len, pieces))},
        self_written=len(pieces),
    )
