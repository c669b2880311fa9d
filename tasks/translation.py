"""Stage `translation`: a generic translation for every anchor. A user's own dictionary wins.

TRANSLATORS is the seam for providers: a translator gets the anchors and the ordinary words and returns term -> generic, for as many
terms as it can; the offline translator fills what is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import formats, store, tracking
from tasks.algorithms.anchors import Anchor
from tasks.algorithms.config import TranslationConfig
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.runs import lowercase_words
from tasks.algorithms.translation import Translation, check_translations, translate_offline
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.stage import stage
from tasks.user_anchors import read_user_anchors

if TYPE_CHECKING:
    import pandas

Translator = Callable[[list[Anchor]], Mapping[str, str]]
TRANSLATORS: dict[str, Translator] = {"offline": lambda anchors: {}}
"""Name -> translator that is asked before the offline one."""


@stage("translation", isolated=False)
def translate_anchors(
    table: AnchorTable, corpus: CorpusRef, config: TranslationConfig, reading: CorpusConfig, user: InputFile | None = None, run: str | None = None
) -> AnchorTable:
    """Translate every anchor and check that no translation is an anchor itself."""
    with tracking.stage_run(run, "translation", config) as nested:
        anchors = formats.read_anchors(table)
        texts = formats.StoredTexts(corpus, ("forget", "retain", "general"), reading.qa_template)
        fixed = read_user_anchors(Path(user.path)).generics if user else {}
        proposed = dict(TRANSLATORS[config.translator](anchors))
        translations = translate_offline(anchors, lowercase_words(texts), fixed={**proposed, **fixed}, seed=config.seed)
        try:
            check_translations(translations)
        except ValueError as error:
            raise BadInputError(str(error)) from None
        digest = store.put("dictionaries", lambda folder: _write(folder, anchors, translations), sensitivity="forget")
        record = AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", origin=nested or "", anchors=len(anchors), pipeline=table.pipeline)
        tracking.log_table(nested, _frame(record), "anchors", "forget")
        return record


def _write(folder: Path, anchors: list[Anchor], translations: list[Translation]) -> None:
    rows = [{**asdict(anchor), **asdict(item)} for anchor, item in zip(anchors, translations, strict=True)]
    formats.write_json(folder / "dictionary.json", rows)
    formats.write_rows(folder / "anchors.csv", rows)


def _frame(record: AnchorTable) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(formats.read_json(store.path(record) / "dictionary.json"))
