"""Stage `prompting`: the prompts that invite the models of a run to speak of the topic, the same for all of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tasks import store, tracking
from tasks.algorithms.assistants.answers import read_values
from tasks.algorithms.assistants.prompt_writer import Drafts, find_drafts
from tasks.algorithms.assistants.translator import find_sentences
from tasks.algorithms.text.facts import HELD_OUT
from tasks.algorithms.text.invitations import Invitation, invitations, of_fact, read_published
from tasks.algorithms.text.json_values import parse_json
from tasks.algorithms.text.spacing import spaced
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, FactTable, InputFile, PromptSet
from tasks.assistants import providers
from tasks.execution.stage import stage
from tasks.inputs.plain_text import read_utf8
from tasks.settings.assistants import PromptingConfig
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import main_names
from tasks.storage.documents import StoredTexts
from tasks.storage.fact_tables import read_facts
from tasks.storage.plain_files import read_json, write_json

TURNS = 2
"""How often a language model is asked for what is missing."""


class Draft(BaseModel):
    """A prompt, as a language model writes it."""

    prompt: str
    references: list[str]
    subtlety: int


class Prompts(BaseModel):
    """What a language model is to answer."""

    prompts: list[Draft]


@stage("prompting", isolated=False)
def make_invitations(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    facts: FactTable,
    user_prompts: tuple[InputFile, ...],
    config: ProbingConfig,
    corpus_config: CorpusConfig = CorpusConfig(),
    writing: PromptingConfig = PromptingConfig(),
    run: str | None = None,
) -> PromptSet:
    """Write prompts about the anchors, about facts that the test text alone states in these words, and those of the
    user's files.

    Those about anchors come from a language model where one is set; what it does not give is written by rules.
    """
    with tracking.stage_run(run, "prompting", {"invitations": config.invitations, "writing": writing}) as nested:
        rows = read_json(store.path(dictionary) / "dictionary.json")
        kinds = {row["term"]: row["kind"] for row in rows}
        held_out_facts = [fact for fact in read_facts(facts, HELD_OUT) if not fact.is_question]
        fixed = [
            *map(of_fact, spaced(held_out_facts, config.invitations)),
            *(invitation for file in user_prompts for invitation in read_prompts(Path(file.path))),
        ]
        names = {name: kinds[name] for name in main_names(dictionary)}
        written = _ask_for_prompts(
            corpus, corpus_config, names, [item.text for item in fixed], config.invitations, writing, nested
        )
        prompts = [*written, *invitations(kinds, config.invitations - len(written)), *fixed]
        digest = store.put(
            "prompts",
            lambda folder: write_json(folder / "prompts.json", [asdict(item) for item in prompts]),
            sensitivity="forget",
        )
        tracking.log_metrics(nested, {"prompts": float(len(prompts))})
        return PromptSet(kind="prompts", digest=digest, sensitivity="forget", origin=nested or "", prompts=len(prompts))


def _ask_for_prompts(
    corpus: CorpusRef,
    corpus_config: CorpusConfig,
    names: Mapping[str, str],
    taken: Iterable[str],
    wanted: int,
    config: PromptingConfig,
    run: str | None,
) -> list[Invitation]:
    """Return up to `wanted` prompts of the provider's model that can be accepted.

    Raises:
        UnansweredError: If a server answers nothing, and the run is not to go on without it.
        BadInputError: If a local model can answer nothing.
    """
    if config.provider.name == "offline" or not names or not wanted:
        return []
    drafts, used = Drafts(taken), providers.Usage()
    texts = StoredTexts(corpus, ("forget", "forget_test"), corpus_config.qa_template)
    rows = _rows(
        dict(list(names.items())[:wanted]), StoredTexts(corpus, ("forget",), corpus_config.qa_template), config
    )
    for turn in range(TURNS):
        questions = _questions(drafts, rows, wanted - len(drafts.accepted), config.batch)
        answers, usage = providers.ask(config.provider, questions, Prompts, read=_parse_prompts, option=config.option)
        used += usage
        if turn == 0 and not providers.any_answered(config, answers):
            break
        drafts.consider(
            [draft.model_dump() for answer in answers if answer.value for draft in answer.value.prompts], texts, wanted
        )
    tracking.log_metrics(
        run, asdict(used) | {"prompts_written": len(drafts.accepted), "prompts_refused": drafts.refused.total()}
    )
    return drafts.accepted


def _rows(names: Mapping[str, str], texts: Iterable[str], config: PromptingConfig) -> list[dict[str, str]]:
    sentences = find_sentences(names, texts, config.context_characters)
    return [
        {"name": name, "kind": kind.lower()} | ({"sentence": sentences[name]} if name in sentences else {})
        for name, kind in names.items()
    ]


def _questions(drafts: Drafts, rows: list[dict[str, str]], missing: int, batch: int) -> list[str]:
    """Return questions for what is missing, each about names of its own as far as there are enough."""
    counts = [min(batch, missing - start) for start in range(0, missing, batch)]
    return [
        drafts.question(rows[number * batch : (number + 1) * batch] or rows[:batch], count)
        for number, count in enumerate(counts)
    ]


def _parse_prompts(text: str) -> dict[str, list[Any]]:
    """Return the drafts of an answer that have the form of one, so that a bad one among them costs only itself."""
    fitting = []
    for record in find_drafts(read_values(text)):
        try:
            fitting.append(Draft.model_validate(record))
        except ValidationError:
            continue
    if not fitting:
        raise ValueError("the answer holds no prompts")
    return {"prompts": fitting}


def read_prompts(path: Path) -> Iterator[Invitation]:
    """Read a file of prompts as they are published.

    Raises:
        BadInputError: If it is missing, no file, no JSON, or a record of it has no prompt.
    """
    given = f"--prompts {path}"
    text = read_utf8(path, given, "a JSON list of prompts")
    try:
        yield from read_published(parse_json(text))
    except json.JSONDecodeError as error:
        raise BadInputError(f"{given}, line {error.lineno}: {error.msg}; wanted a JSON list of prompts") from None
    except ValueError as error:
        raise BadInputError(f"{given}: {error}") from None
