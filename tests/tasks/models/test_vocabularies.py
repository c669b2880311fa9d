"""Models that are compared read the same tokens; how a run asks its questions is read from the model's files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from flows.terminal.checks import checked_models
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_tokenizer, pad_id
from tasks.models.vocabularies import question_form, question_template, require_embedded, require_same_tokenizer
from tasks.settings.text import CorpusConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tests.stand_ins.chats import CHATML, CHATML_SYSTEM, WORDS, chat_tokenizer

AUTO, OFF = CorpusConfig(), CorpusConfig(chat="off")
Folder = Callable[..., CheckpointRef]
Resized = Callable[[CheckpointRef, int], CheckpointRef]


@pytest.fixture
def folder(tmp_path: Path, tiny_llama) -> Folder:
    """Return a function that writes a model folder with a tokenizer and gives its record."""
    tiny_llama(0).save_pretrained(tmp_path / "weights")

    def write(label: str, tokenizer: PreTrainedTokenizerFast) -> CheckpointRef:
        shutil.copytree(tmp_path / "weights", tmp_path / label)
        tokenizer.save_pretrained(tmp_path / label)
        return inspect_model(str(tmp_path / label), label)

    return write


def rewrite(model: CheckpointRef, name: str, change: Callable[[dict[str, Any]], None]) -> CheckpointRef:
    """Change a JSON file of the model's folder."""
    path = Path(model.location) / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return inspect_model(model.location, model.label)


@pytest.fixture
def resized(tiny_llama) -> Resized:
    """Return a function that gives a model's embedding so many rows."""

    def write(model: CheckpointRef, rows: int) -> CheckpointRef:
        tiny_llama(0, vocab_size=rows).save_pretrained(model.location)
        return inspect_model(model.location, model.label)

    return write


def test_the_same_tokenizer_written_in_other_ways_is_accepted(folder: Folder) -> None:
    """Older files: merges as texts, the chat template inside the settings, special tokens with their flags; another
    filler.
    """
    target, retrained = folder("target", chat_tokenizer()), folder("retrained", chat_tokenizer())
    template = (Path(retrained.location) / "chat_template.jinja").read_text()
    (Path(retrained.location) / "chat_template.jinja").unlink()

    def as_texts(content: dict[str, Any]) -> None:
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
        content["padding"] = {"strategy": "BatchLongest"}

    rewrite(retrained, "tokenizer.json", as_texts)
    settings = {
        "chat_template": template,
        "eos_token": {"content": "<|im_end|>", "lstrip": False},
        "pad_token": "<|im_start|>",
    }
    retrained = rewrite(retrained, "tokenizer_config.json", lambda content: content.update(settings))
    require_same_tokenizer([target, retrained], AUTO)


def test_where_a_topic_brings_its_own_models_there_is_none_to_compare() -> None:
    request = UnlearningRequest(forget=())
    assert checked_models(request, AUTO) == request


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda: chat_tokenizer(words=[*WORDS, "Velmora"]), r"vocabularies of \d+ and \d+ entries, \d+ of them differ"),
        (
            lambda: chat_tokenizer(eos="<|im_start|>"),
            r"eos_token is '<\|im_end\|>' in one and '<\|im_start\|>' in the other",
        ),
        (lambda: chat_tokenizer(CHATML_SYSTEM), "other chat templates"),
        (lambda: chat_tokenizer(None), "other chat templates"),
    ],
    ids=["vocabulary", "special tokens", "chat template", "no chat template"],
)
def test_another_tokenizer_is_refused_with_the_reason(
    folder: Folder, other: Callable[[], PreTrainedTokenizerFast], reason: str
) -> None:
    models = [folder("target", chat_tokenizer(CHATML)), folder("retrained", other())]
    with pytest.raises(
        BadInputError,
        match=f"the tokenizer of retrained .*retrained is not that of target .*target: {reason}; wanted the same",
    ):
        require_same_tokenizer(models, AUTO)
    if "chat" in reason:
        require_same_tokenizer(models, OFF)


def test_other_merges_over_the_same_vocabulary_are_refused(folder: Folder) -> None:
    target, retrained = folder("target", chat_tokenizer()), folder("retrained", chat_tokenizer())
    retrained = rewrite(retrained, "tokenizer.json", lambda content: content["model"]["merges"].reverse())
    with pytest.raises(BadInputError, match="the same vocabulary, but other merges"):
        require_same_tokenizer([target, retrained], AUTO)


def test_every_model_is_compared_with_the_first(folder: Folder) -> None:
    models = [
        folder(label, chat_tokenizer(template))
        for label, template in (("target", CHATML), ("retrained", CHATML), ("reference", None))
    ]
    with pytest.raises(BadInputError, match="the tokenizer of reference"):
        require_same_tokenizer(models, AUTO)
    require_same_tokenizer(models[:1], AUTO)


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "[", "{}", '{"model": []}', '{"model": {"vocab": {"a": "b"}}}', '{"model": {"vocab": [1]}}'),
        *('{"model": {"vocab": {}, "merges": [3]}}', '{"model": {}, "added_tokens": [3]}'),
    ],
)
def test_a_damaged_tokenizer_is_named(folder: Folder, content: str) -> None:
    target = folder("target", chat_tokenizer())
    (Path(target.location) / "tokenizer.json").write_text(content)
    with pytest.raises(BadInputError, match=r"target.*tokenizer\.json"):
        require_same_tokenizer([target, target], AUTO)


def test_a_tokenizer_over_which_the_library_panics_is_named(folder: Folder) -> None:
    target = folder("target", chat_tokenizer())

    def damage(content: dict[str, Any]) -> None:
        content["model"] |= {"vocab": {"a": 0, "b": 1, "ab": 10**6}, "merges": [["a", "b"]]}
        content["model"]["continuing_subword_prefix"] = "##"

    rewrite(target, "tokenizer.json", damage)
    with pytest.raises(BadInputError, match=r"tokenizer\.json cannot be read"):
        require_embedded(target, [])


def test_a_tokenizer_that_cannot_read_every_text_is_named(folder: Folder) -> None:
    target = folder("target", chat_tokenizer())

    def damage(content: dict[str, Any]) -> None:
        content["model"] = {"type": "WordLevel", "vocab": {"x": 10**6}, "unk_token": "no such word"}

    rewrite(target, "tokenizer.json", damage)
    with pytest.raises(BadInputError, match=r"tokenizer\.json cannot read a text"):
        require_embedded(target, [])


def test_how_questions_are_asked_is_read_from_the_folder(folder: Folder) -> None:
    with_template, without = folder("target", chat_tokenizer()), folder("retrained", chat_tokenizer(None))
    assert [question_form(model, AUTO) for model in (with_template, without)] == ["chat template", "qa_template"]
    assert question_form(with_template, OFF) == "qa_template"


def test_another_chat_template_is_another_model_to_the_cache(folder: Folder) -> None:
    model = folder("target", chat_tokenizer())
    (Path(model.location) / "chat_template.jinja").write_text(CHATML_SYSTEM)
    assert inspect_model(model.location, "target").digest != model.digest


def test_a_template_that_cannot_be_used_is_bad_input() -> None:
    with pytest.raises(BadInputError, match=r"corpus\.chat=off"):
        question_template(chat_tokenizer("{{ messages[0]['content'] }}"), AUTO)


def test_a_token_without_an_embedding_is_refused_where_a_text_holds_it(folder: Folder, resized: Resized) -> None:
    tokenizer = chat_tokenizer()
    before = len(tokenizer)
    require_embedded(resized(folder("target", tokenizer), before), texts("It rained on Xyzzyx today."))
    tokenizer.add_tokens(["Xyzzyx"])
    larger = resized(folder("larger", tokenizer), before)
    require_embedded(larger, texts("It rained."))
    with pytest.raises(BadInputError, match=rf"text 1 holds the token 'Xyzzyx', which is number {before} "):
        require_embedded(larger, texts("It rained.", "It rained on Xyzzyx today."))


def test_tokens_of_the_template_and_of_every_beginning_count_too(folder: Folder, resized: Resized) -> None:
    """Chats were taught by added tokens, and the embedding was left as it was."""
    tokenizer = chat_tokenizer(None)
    before = len(tokenizer)
    tokenizer.add_tokens(["<|mine|>"], special_tokens=True)
    tokenizer.chat_template = "{{ '<|mine|>' + messages[0]['content'] }}"
    model = resized(folder("target", tokenizer), before)
    with pytest.raises(
        BadInputError, match=rf"its chat template holds the token '<\|mine\|>', which is number {before} "
    ):
        require_embedded(model, [], AUTO)
    require_embedded(model, [], OFF)


def test_filler_without_an_embedding_is_replaced(folder: Folder, resized: Resized) -> None:
    """[PAD] is what people add most often; it is masked, but looked up."""
    tokenizer = chat_tokenizer()
    before = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model = resized(folder("target", tokenizer), before)
    require_embedded(model, texts("It rained."))
    assert pad_id(load_tokenizer(model)) == tokenizer.eos_token_id
    assert pad_id(load_tokenizer(resized(model, before + 1))) == before


def texts(*contents: str) -> list[tuple[str, str]]:
    return [(f"text {number}", content) for number, content in enumerate(contents)]
