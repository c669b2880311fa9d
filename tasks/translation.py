"""Stage `translation`: a generic translation for every anchor, and who made it.

A user's own dictionary wins. What it leaves open is asked from the provider's model, in batches that keep the forms of
a name together; a term whose proposal is refused is asked again once, with the reason. The offline translator fills
what is still missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from tasks import store, tracking
from tasks.algorithms.assistants.answers import read_pairs
from tasks.algorithms.assistants.translator import Proposals, find_sentences, make_batches
from tasks.algorithms.text.anchors import Anchor
from tasks.algorithms.text.translation import Translation, check_translations, translate_offline
from tasks.algorithms.text.words import lowercase_words
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.assistants import providers
from tasks.execution.stage import stage
from tasks.inputs.user_anchors import read_user_anchors
from tasks.settings.assistants import TranslationConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_anchors, write_dictionary
from tasks.storage.documents import StoredTexts
from tasks.storage.plain_files import read_json

if TYPE_CHECKING:
    import pandas

SPLITS = ("forget", "retain", "general")
"""Text that says which words are ordinary."""
TURNS = 2
"""How often a term is asked for."""


class Pair(BaseModel):
    """An expression and what takes its place."""

    term: str
    generic: str


class Dictionary(BaseModel):
    """What a language model is to answer."""

    translations: list[Pair]


@stage("translation", isolated=False)
def translate_anchors(
    table: AnchorTable,
    corpus: CorpusRef,
    config: TranslationConfig,
    corpus_config: CorpusConfig,
    user: InputFile | None = None,
    run: str | None = None,
) -> AnchorTable:
    """Translate every anchor and check that no translation is an anchor itself."""
    with tracking.stage_run(run, "translation", config) as nested:
        anchors = read_anchors(table)
        ordinary = lowercase_words(StoredTexts(corpus, SPLITS, corpus_config.qa_template))
        forget = StoredTexts(corpus, ("forget",), corpus_config.qa_template)
        user_generics = read_user_anchors(Path(user.path)).generics if user else {}
        fixed = [Translation(term=term, generic=generic, translator="user") for term, generic in user_generics.items()]
        fixed += _propose(anchors, forget, ordinary, user_generics, config, nested)
        translations = translate_offline(anchors, ordinary, fixed=fixed, seed=config.seed)
        try:
            check_translations(translations)
        except ValueError as error:
            raise BadInputError(str(error)) from None
        digest = store.put("dictionaries", lambda folder: _write(folder, anchors, translations), sensitivity="forget")
        record = AnchorTable(
            kind="dictionaries",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            anchors=len(anchors),
            pipeline=table.pipeline,
        )
        tracking.log_table(nested, _frame(record), "anchors", "forget")
        return record


def _propose(
    anchors: list[Anchor],
    texts: Iterable[str],
    ordinary: frozenset[str],
    user_translations: Mapping[str, str],
    config: TranslationConfig,
    run: str | None,
) -> list[Translation]:
    """Ask the provider's model for what the user has not given; return what can be accepted.

    Raises:
        UnansweredError: If a server answers nothing, and the run is not to go on without it.
        BadInputError: If a local model can answer nothing.
    """
    waiting = [anchor for anchor in anchors if anchor.term not in user_translations]
    if config.provider.name == "offline" or not waiting:
        return []
    proposals, used = Proposals(anchors, ordinary, user_translations), providers.Usage()
    sentences = find_sentences((anchor.term for anchor in waiting), texts, config.context_characters)
    for turn in range(TURNS):
        batches = make_batches(waiting, ordinary, config.batch)
        answers, usage = providers.ask(
            config.provider,
            [proposals.question(batch, sentences) for batch in batches],
            Dictionary,
            read=_parse_translations,
        )
        used += usage
        if turn == 0 and not providers.any_answered(config, answers):
            break
        for batch, answer in zip(batches, answers, strict=True):
            pairs = {pair.term: pair.generic for pair in answer.value.translations} if answer.value else {}
            proposals.consider(batch, pairs, answer.reason or "the answer does not hold it")
        waiting = [anchor for anchor in waiting if anchor.term not in proposals.accepted]
        if not waiting:
            break
    share = len(proposals.accepted) / len(anchors)
    tracking.log_metrics(
        run, {**{name: float(count) for name, count in asdict(used).items()}, "translated_by_model": share}
    )
    return [
        Translation(term=term, generic=generic, translator=config.provider.title)
        for term, generic in proposals.accepted.items()
    ]


def _parse_translations(text: str) -> dict[str, list[dict[str, str]]]:
    pairs = read_pairs(text)
    if not pairs:
        raise ValueError("the answer holds no translations")
    return {"translations": [{"term": term, "generic": generic} for term, generic in pairs.items()]}


def _write(folder: Path, anchors: list[Anchor], translations: list[Translation]) -> None:
    write_dictionary(
        folder, [{**asdict(anchor), **asdict(item)} for anchor, item in zip(anchors, translations, strict=True)]
    )


def _frame(record: AnchorTable) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(read_json(store.path(record) / "dictionary.json"))
