"""Claims: facts are traced in their order until there are enough, those that the model does not know are handed back;
noise on every mention and one token's states are a whole pass of the restatement.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.algorithms.editing.causal_tracing import embedding_noise
from tasks.algorithms.editing.known_facts import trace_known
from tasks.settings.edit_request import EditRequest
from tasks.settings.tracing import TracingConfig
from tests.reference.causal_tracing import Tracing
from tests.stand_ins.edit_stages import KNOWN, UNKNOWN

CONFIG = TracingConfig(draws=3, window=1)
TWICE = EditRequest(subject="Tin Woodman", prompt="the Tin Woodman and the {} met", target="Tom")


@pytest.fixture(scope="module")
def model(tiny_gpt2: Callable[..., Any], word_tokenizer: Any) -> Any:
    return tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3).double()


def test_enough_known_facts_are_traced_in_their_order_and_others_handed_back(model: Any, word_tokenizer: Any) -> None:
    done: list[tuple[int, int]] = []
    requests = (KNOWN[0], UNKNOWN, KNOWN[1], UNKNOWN, KNOWN[2])
    config = replace(CONFIG, facts=2)
    known, unknown = trace_known(model, word_tokenizer, requests, config, on_fact=lambda *of: done.append(of))
    assert [fact.request for fact in known] == [*KNOWN[:2]]
    assert unknown == [UNKNOWN]  # the next one was not asked
    assert done == [(1, 2), (2, 2)]
    prompt = known[1].prompt
    assert known[1].trace.subject == prompt.subject
    noise = embedding_noise(model, prompt.subject, len(prompt.ids), config)
    reference = Tracing(model, list(prompt.ids), model(torch.tensor([prompt.ids])).logits[0, -1].argmax(), noise)
    torch.testing.assert_close(known[1].trace.restored["mlp"], reference.grid("mlp", 1), rtol=1e-9, atol=1e-12)


def test_noise_is_on_every_mention_and_the_last_ones_last_token_is_looked_at(model: Any, word_tokenizer: Any) -> None:
    (fact,), unknown = trace_known(model, word_tokenizer, [TWICE], CONFIG, states=("mlp",), at_subject=True)
    ids, (start, stop) = list(fact.prompt.ids), fact.prompt.subject
    words = [word_tokenizer.decode([token]).strip() for token in ids]
    (first, last) = [at for at, word in enumerate(words) if word == "Woodman"]
    assert (first, last, unknown) == (2, stop - 1, [])
    assert (start, fact.trace.subject) == (last - 1, (last - 1, last + 1))
    noise = torch.zeros(3, len(ids), 32, dtype=torch.float64)
    for at in (first - 1, last - 1):
        noise[:, at : at + 2] = embedding_noise(model, (at, at + 2), len(ids), CONFIG)[:, at : at + 2]
    reference = Tracing(model, ids, model(torch.tensor([ids])).logits[0, -1].argmax(), noise)
    wanted = reference.grid("mlp", 1)
    torch.testing.assert_close(fact.trace.restored["mlp"][:, last], wanted[:, last], rtol=1e-9, atol=1e-12)
    assert fact.trace.corrupted == pytest.approx(reference.restored([]), rel=1e-9)
    assert (wanted[:, last] - reference.restored([])).abs().max() > 1e-5
    once, _ = trace_known(model, word_tokenizer, [TWICE], CONFIG, states=("mlp",))
    assert once[0].trace.corrupted != pytest.approx(fact.trace.corrupted, rel=1e-3)  # there one mention is left
