"""Stage `judging`: a language model rates how much of the topic each completion of one model knows, and is not told
which model that is.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tasks import store, tracking
from tasks.algorithms.assistants.answers import read_values
from tasks.algorithms.assistants.judge import Exchange, find_verdicts, make_sheets, read_sheet
from tasks.algorithms.assistants.translator import find_sentences
from tasks.artifacts import AnchorTable, CorpusRef, JudgeRecords, ProbeRecords
from tasks.assistants import providers
from tasks.execution.stage import stage
from tasks.settings.assistants import JudgingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import main_names
from tasks.storage.documents import StoredTexts
from tasks.storage.probe_records import read_completions, write_verdicts

if TYPE_CHECKING:
    import pandas

TURNS = 2
"""How often a completion is asked about: the second time in smaller questions."""
SPLIT = "forget_test"


class Verdict(BaseModel):
    """A row of a question and its score."""

    id: int
    score: int


class Verdicts(BaseModel):
    """What a judge is to answer."""

    verdicts: list[Verdict]


@stage("judging", isolated=False)
def judge_completions(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    probes: ProbeRecords,
    config: JudgingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> JudgeRecords:
    """Have what a model says about the forgotten topic rated from 0 to 3; a score that cannot be read is missing."""
    with tracking.stage_run(run, f"judging {label}", config) as nested:
        table = read_completions(probes)
        rows = table[table.split == SPLIT]
        names, passage = _topic(corpus, dictionary, config, corpus_config)
        exchanges = _exchanges(rows)
        scores, used = _rate(exchanges, names, passage, config)
        scored = [float(scores.get(place, "nan")) for place in range(len(rows))]
        digest = store.put(
            "verdicts", lambda folder: write_verdicts(folder, list(rows.index), scored), sensitivity="forget"
        )
        tracking.log_metrics(nested, asdict(used) | {"judged": len(scores), "unreadable": len(rows) - len(scores)})
        return JudgeRecords(
            kind="verdicts",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            judged=len(scores),
            requested=len(rows),
        )


def _topic(
    corpus: CorpusRef, dictionary: AnchorTable, config: JudgingConfig, corpus_config: CorpusConfig
) -> tuple[list[str], str]:
    """Return names of the topic, and a sentence of the text that holds one of them."""
    names = main_names(dictionary)[: max(config.names, 1)]
    sentences = find_sentences(names, StoredTexts(corpus, ("forget",), corpus_config.qa_template), config.characters)
    return names[: config.names], next((sentences[name] for name in names if name in sentences), "")


def _exchanges(table: "pandas.DataFrame") -> list[Exchange]:
    """Of an answer to a question only what comes before the text that closes it counts."""
    completions = table.answer.where(table.kind.isin(("question", "asked")), table.completion)
    return [
        Exchange(prompt=prompt, completion=text, truth=truth)
        for prompt, text, truth in zip(table.prompt, completions, table.truth, strict=True)
    ]


def _rate(
    exchanges: Sequence[Exchange], names: Sequence[str], passage: str, config: JudgingConfig
) -> tuple[dict[int, int], providers.Usage]:
    """Return index -> score, and what asking took; what is empty is 0 without asking."""
    scores, used = {index: 0 for index, exchange in enumerate(exchanges) if exchange.is_empty}, providers.Usage()
    for turn in range(TURNS):
        waiting = [index for index in range(len(exchanges)) if index not in scores]
        sheets = make_sheets(exchanges, waiting, names, passage, max(1, config.batch // (turn + 1)), config.characters)
        answers, usage = providers.ask(
            config.provider, [sheet.text for sheet in sheets], Verdicts, read=_parse_verdicts, option=config.option
        )
        used += usage
        if turn == 0 and not providers.any_answered(config, answers):
            break
        for sheet, answer in zip(sheets, answers, strict=True):
            scores |= read_sheet(
                sheet, [(verdict.id, verdict.score) for verdict in answer.value.verdicts] if answer.value else []
            )
    return scores, used


def _parse_verdicts(text: str) -> dict[str, Any]:
    verdicts = find_verdicts(read_values(text))
    if not verdicts:
        raise ValueError("the answer holds no verdicts")
    return {"verdicts": verdicts}
