"""Claims: pieces are samples of the model's own distribution, whatever its generation settings say; a seed decides them
all; each ends at its end, with its tokens counted; what names an anchor, or nothing, is thrown away.
"""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import nn

from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.unlearning.self_written import AT_ONCE, Piece, beginnings, screened, write_pieces


def batches(model: nn.Module, tokenizer, number: int = 1, seed: int = 0, size: int = 12) -> list[list[Piece]]:
    return list(itertools.islice(write_pieces(model, tokenizer, tokenizer.eos_token_id, 0, size, seed), number))


def says(model: nn.Module, logits: dict[int, float]) -> nn.Module:
    """Make the model say the same whatever it read: tokens with these logits, and no others."""
    head = nn.Linear(model.config.hidden_size, model.config.vocab_size, bias=True)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-1e4)
        for token, logit in logits.items():
            head.bias[token] = logit
    model.set_output_embeddings(head)
    return model


def test_pieces_are_drawn_at_temperature_1_from_all_tokens(tiny_llama, tiny_tokenizer) -> None:
    """Of 60 letters, more than generation would choose from by itself, whatever settings a model brings."""
    letters = {token: tiny_tokenizer.decode([token]) for token in range(20, 80)}
    model = says(tiny_llama(0), {token: float(token < 50) for token in letters})
    for name, value in {"temperature": 0.1, "top_k": 2, "top_p": 0.2, "repetition_penalty": 3.0}.items():
        setattr(model.generation_config, name, value)
    written = Counter(
        letter for batch in batches(model, tiny_tokenizer, 20) for piece in batch for letter in piece.text
    )
    assert set(written) == set(letters.values())
    likely = sum(written[letter] for token, letter in letters.items() if token < 50)
    assert likely / written.total() == pytest.approx(math.e / (math.e + 1), abs=0.02)


def test_a_seed_decides_all_and_no_two_batches_are_the_same(tiny_llama, tiny_tokenizer) -> None:
    model = tiny_llama(0, initializer_range=0.3)
    torch.manual_seed(3)
    first, after = batches(model, tiny_tokenizer, 2), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), after)
    assert first == batches(model, tiny_tokenizer, 2)
    assert first[0] != first[1]
    assert first[0] != batches(model, tiny_tokenizer, 1, seed=1)[0]
    assert [len(batch) for batch in first] == [AT_ONCE, AT_ONCE]


def test_a_piece_ends_at_its_end_and_has_no_more_tokens_than_it_may(tiny_llama, tiny_tokenizer) -> None:
    letter = tiny_tokenizer("b")["input_ids"][0]
    endless = batches(says(tiny_llama(0), {letter: 0.0}), tiny_tokenizer)[0]
    assert set(endless) == {Piece("b" * 11, 11)}
    ending = batches(says(tiny_llama(0), {letter: 0.0, tiny_tokenizer.eos_token_id: 0.0}), tiny_tokenizer)[0]
    assert all(piece.text == "b" * piece.tokens for piece in ending)
    assert len({piece.tokens for piece in ending}) > 2


def test_a_piece_begins_with_what_texts_begin_with(tiny_tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = torch.Generator().manual_seed(0)
    assert beginnings(tiny_tokenizer, 0, 2, drawn) == [(0,), (0,)]
    words = beginnings(tiny_tokenizer, None, 50, drawn)
    assert len(set(words)) > 20
    assert {len(word) for word in words} == {1}
    monkeypatch.setattr("tasks.algorithms.unlearning.self_written.prefix_ids", lambda tokenizer: (7, 8))
    assert beginnings(tiny_tokenizer, 0, 2, drawn) == [(7, 8), (7, 8)]


def test_pieces_that_name_an_anchor_or_hold_nothing_are_thrown_away() -> None:
    texts = ["Toto ran.", "The dog ran.", "", "A Tin\nWoodman's axe.", "Tin and wood."]
    expression = anchor_expression(["Toto", "Tin Woodman"])
    assert [piece.text for piece in screened([Piece(text, 3) for text in texts], expression)] == [
        "The dog ran.",
        "Tin and wood.",
    ]
