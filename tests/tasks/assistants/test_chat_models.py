"""A local model is asked through its chat template, in a process of its own, deterministically, and once for each
question.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.artifacts import BadInputError
from tasks.assistants import chat_models, providers
from tasks.models.checkpoints import inspect_model
from tasks.settings.assistants import ProviderConfig
from tests.stand_ins.chats import CHATML, INST, write_chat_model

QUESTION = "Who is Toto?"
FORM = {"type": "object"}


class Reply(BaseModel):
    who: str


@pytest.fixture(
    scope="module", params=[CHATML, INST], ids=["chatml", "template that writes the begin-of-sequence token"]
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ProviderConfig:
    folder = write_chat_model(tmp_path_factory.mktemp("model"), request.param)
    return ProviderConfig(name="huggingface", model=str(folder), max_tokens=8)


def greedy(folder: str, asked: str, tokens: int) -> tuple[int, str]:
    """What transformers itself generates after the chat template, and how many tokens that has."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=tokens)
    size = inputs.input_ids.shape[1]
    return size, tokenizer.decode(ids[0, size:], skip_special_tokens=True)


def test_the_answer_is_the_models_greedy_one_after_its_chat_template_and_comes_from_the_cache_then(
    model: ProviderConfig, lethe_home: Path
) -> None:
    checkpoint = inspect_model(model.model, "translator")
    said, usage = chat_models.ask_local(model, checkpoint, [QUESTION], FORM)
    size, text = greedy(model.model, QUESTION, 8)
    assert said == [chat_models.Reply(text=text)]
    assert (usage.model_calls, usage.prompt_tokens) == (1, size)
    assert 0 < usage.completion_tokens <= 8
    again, usage = chat_models.ask_local(replace(model, timeout_s=1), checkpoint, [QUESTION], FORM)
    assert (again, usage.model_calls, usage.model_calls_cached, usage.prompt_tokens) == (said, 0, 1, 0)
    assert chat_models.ask_local(replace(model, digest="other"), checkpoint, [QUESTION], FORM)[1].model_calls == 1


def test_a_question_longer_than_the_model_takes_has_a_reason(model: ProviderConfig, lethe_home: Path) -> None:
    said, _ = chat_models.ask_local(model, inspect_model(model.model, "translator"), ["Toto " * 5000], FORM)
    assert said[0].text is None
    assert said[0].reason.startswith("the question has ")
    assert said[0].reason.endswith(" tokens and the model takes 4096")


def test_a_stage_asks_it_in_a_process_of_its_own(model: ProviderConfig, lethe_home: Path) -> None:
    config = providers.inspect_provider(model)
    assert config.digest == inspect_model(model.model, "translator").digest
    answers, usage = providers.ask(config, [QUESTION], Reply)
    assert (answers[0].value, answers[0].reason) == (None, "the answer holds no JSON; wanted an object or a list")
    assert answers[0].text == greedy(model.model, QUESTION, 8)[1]
    assert usage.model_calls == 1
    assert providers.ask(model, [QUESTION], Reply)[1].model_calls_cached == 1


def test_a_folder_that_cannot_be_asked_is_found_out_beforehand(tmp_path: Path) -> None:
    silent = write_chat_model(tmp_path / "silent", None)
    for folder, line in (
        (silent, f"--translator-model {silent}: its tokenizer has no chat template; wanted an instruct model"),
        (
            tmp_path / "nowhere",
            f"--translator-model {tmp_path / 'nowhere'}: there is no such folder; wanted a Hugging Face model folder",
        ),
        ("", "--translator huggingface: no model; wanted --translator-model with the folder of an instruct model"),
    ):
        with pytest.raises(BadInputError) as caught:
            providers.inspect_provider(ProviderConfig(name="huggingface", model=str(folder)))
        assert str(caught.value).startswith(line)
