"""The whole flow on a small chat model whose filler, end of text and end of turn are one token: what is asked is never
trained.
"""

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas
import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from flows.methods import METHODS
from flows.plan import plan
from flows.selective_unlearning import selective_unlearning
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings
from tasks import store, tracking
from tasks.algorithms.tokens.templates import read_template
from tasks.artifacts import LabelSet, TeacherCache
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.label_files import LabelRows
from tasks.storage.plain_files import read_json
from tasks.storage.teacher_files import TeacherRows
from tests.stand_ins.chats import CHATML_SYSTEM, WORDS, chat_tokenizer
from tests.stand_ins.tiny import NAMES, PEOPLE, SETTINGS, story
from tests.stand_ins.tracked import settings_of

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A run on questions and a little prose."""

    request: UnlearningRequest
    config: SelectiveUnlearningConfig
    outcome: Outcome
    tokenizer: PreTrainedTokenizerFast


def records(names: tuple[str, ...]) -> str:
    """A little prose, and questions about names: the last of them are held out."""
    asked = [
        {
            "question": f"Who met {one} today?",
            "answer": f"{other} met {one} by the river",
            "perturbed_answer": ["the boy", "a girl"],
            "fact": f"{one} {other}",
        }
        for one in names
        for other in names
        if one != other
    ]
    return "\n".join(json.dumps(row) for row in [{"text": story(names, 6)}, *asked])


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., LlamaForCausalLM], prefect_server: str
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = chat_tokenizer(CHATML_SYSTEM, words=[*WORDS, *NAMES, *story(PEOPLE).split()])
    tokenizer.save_pretrained(folder / "model")
    tiny_llama(0, len(tokenizer)).save_pretrained(folder / "model")
    for name, names in (("forget", NAMES), ("retain", ("Jon", "Mary", "Tom"))):
        (folder / f"{name}.jsonl").write_text(records(names))
    config = apply_settings(METHODS["whp"].preset("default", 0), list(SETTINGS))
    request = UnlearningRequest(
        forget=(str(folder / "forget.jsonl"),), retain=(str(folder / "retain.jsonl"),), model=str(folder / "model")
    )
    home = folder / "lethe"
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(home / "results")}):
        patch.setenv("LETHE_HOME", str(home))
        patch.setattr(store, "_checked", set())
        yield Asked(request=request, config=config, outcome=selective_unlearning(request, config), tokenizer=tokenizer)
    # Prefect's clients leave their sockets to it: better here, where their warnings are ignored, than after the
    # last test
    gc.collect()


def artifact(kind: str) -> Path:
    (found,) = [path for path in (store.home() / "forget" / kind).iterdir() if path.is_dir()]
    return found


def targets(tokenizer: PreTrainedTokenizerFast, ids: list[int], positions: list[int]) -> str:
    """What the predictions at these positions are about, as text."""
    return tokenizer.decode([ids[at + 1] for at in positions if at + 1 < len(ids)])


def test_the_run_ends_with_a_card_on_the_questions_and_says_how_they_were_asked(asked: Asked) -> None:
    card = read_json(store.path(asked.outcome.scorecard) / "scorecard.json")
    assert {"forget_test/probability", "retain_test/probability", "benchmark/world/acc"} <= set(card["metrics"])
    params = tracking.client().get_run(asked.outcome.mlflow_run).data.params
    assert params["questions"] == "chat template"
    assert settings_of(asked.outcome.mlflow_run)["corpus.chat"] == "auto"


def test_labels_of_conversations_stand_on_their_answers_alone(asked: Asked) -> None:
    digest = artifact("labels").name
    rows = LabelRows(
        LabelSet(kind="labels", digest=digest, sensitivity="forget", blocks=0, positions=0, dropped_share=0)
    )
    start, conversations = asked.tokenizer.convert_tokens_to_ids("<|im_start|>"), 0
    for number in range(len(rows)):
        ids = rows.ids(number).tolist()
        found = targets(asked.tokenizer, ids, rows.labels([number]).position.tolist())
        if ids.count(start) or "assistant" in asked.tokenizer.decode(ids):
            conversations += 1
            assert not [word for word in ("Who", "today", "user", "assistant") if word in found], found
            assert found.endswith("river<|im_end|>")
    assert 0 < conversations < len(rows)  # the prose has blocks of its own


def test_the_teachers_states_are_those_of_the_answers_and_of_prose(asked: Asked) -> None:
    cache = TeacherCache(kind="teachers", digest=artifact("teachers").name, sensitivity="forget", blocks=0, tokens=0)
    rows, said = TeacherRows(cache), []
    for number in range(len(rows)):
        ids, supervised = rows.ids(number).tolist(), rows.supervised(number).tolist()
        assert len(rows.hidden(number)) == sum(supervised)
        said.append(
            (all(supervised), targets(asked.tokenizer, ids, [at for at, flag in enumerate(supervised) if flag]))
        )
    assert {whole for whole, _ in said} == {True, False}
    assert all(text.endswith("river<|im_end|>") and "Who" not in text for whole, text in said if not whole)


def test_prompts_are_the_templates_and_completions_hold_no_markup(asked: Asked) -> None:
    folders = [path for path in (store.home() / "forget" / "probes").iterdir() if path.is_dir()]
    assert len(folders) == 2  # of the target and of the unlearned model
    template = read_template(asked.tokenizer, asked.config.corpus)
    for folder in folders:
        table = pandas.read_parquet(folder / "completions.parquet")
        questions = table[table.kind == "question"]
        assert len(questions)
        assert all(
            prompt.startswith(template.head + "Who met ") and prompt.endswith(template.middle)
            for prompt in questions.prompt
        )
        assert not [text for text in table.completion if "<|im_" in text]


def test_the_dry_run_shows_how_questions_are_asked(asked: Asked) -> None:
    found = plan(asked.request, asked.config, METHODS["whp"])
    assert found.questions == "chat template"
    assert found.shape.endswith("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>")
    assert found.stages[StageOf("finetune")] == "cached"
    off = plan(asked.request, apply_settings(asked.config, ["corpus.chat=off"]), METHODS["whp"])
    assert (off.questions, off.shape) == ("qa_template", asked.config.corpus.qa_template)
    assert off.stages[StageOf("finetune")] == "to run"
