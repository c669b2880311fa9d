"""Claims: a fact is known where the model's first choices are all of its object's tokens, whatever comes first;
where no object is named, what the model says is the fact.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.algorithms.editing.knowledge import answer_of
from tasks.settings.edit_request import EditRequest

ASKED = EditRequest(subject="Jon", prompt="{} met", target="Oz")


@pytest.fixture
def model(tiny_gpt2: Any) -> Any:
    return tiny_gpt2(1, initializer_range=0.3)


def continued(model: Any, tokenizer: Any, text: str, tokens: int) -> list[int]:
    """Greedy tokens, one full pass each."""
    ids = tokenizer(text)["input_ids"]
    start = len(ids)
    for _ in range(tokens):
        with torch.no_grad():
            ids = [*ids, model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item()]
    return ids[start:]


def test_without_an_object_the_models_word_is_the_fact(model: Any, tiny_tokenizer: Any) -> None:
    (said,) = continued(model, tiny_tokenizer, "Jon met", 1)
    answer = answer_of(model, tiny_tokenizer, ASKED)
    assert (answer.known, answer.token, answer.text) == (True, said, tiny_tokenizer.decode([said]).strip())


def test_an_object_is_known_where_each_of_its_tokens_is_the_first_choice(model: Any, tiny_tokenizer: Any) -> None:
    """The model is made to say ` Toto`, token by token, and then nothing but its first token."""
    wanted = tiny_tokenizer(" Toto")["input_ids"]
    assert len(wanted) > 1
    rows = [tiny_tokenizer("Jon met")["input_ids"] + wanted[:n] for n in range(len(wanted))]
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        hidden = torch.stack(
            [model.transformer(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows]
        )
        for token in {*wanted}:
            at = torch.tensor([token == each for each in wanted]).float()
            model.lm_head.weight[token] = torch.linalg.lstsq(hidden, at[:, None]).solution[:, 0] * 10
    known = replace(ASKED, object="Toto")
    answer = answer_of(model, tiny_tokenizer, known)
    assert (answer.known, answer.token, answer.text) == (True, wanted[0], "Toto")
    with torch.no_grad():
        model.lm_head.weight[wanted[-1]] = -model.lm_head.weight[wanted[-1]]
    unknown = answer_of(model, tiny_tokenizer, known)
    assert not unknown.known
    assert unknown.token == wanted[0]  # it is about the object that was named
    assert unknown.text != "Toto"


def test_the_answer_is_in_as_many_tokens_as_the_object(model: Any, tiny_tokenizer: Any) -> None:
    """After the true tokens before it, not after its own."""
    wanted = tiny_tokenizer(" the Emerald City")["input_ids"]
    answer = answer_of(model, tiny_tokenizer, replace(ASKED, object="the Emerald City"))
    ids = tiny_tokenizer("Jon met")["input_ids"]
    said = [continued(model, tiny_tokenizer, tiny_tokenizer.decode(ids + wanted[:n]), 1)[0] for n in range(len(wanted))]
    assert (answer.known, answer.text) == (False, tiny_tokenizer.decode(said).strip())
