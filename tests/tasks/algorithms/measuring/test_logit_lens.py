"""Claims: the rank is that of float64, layer by layer; after the last layer the lens is the model itself; what was
overwritten at the end alone stays in sight.
"""

import dataclasses

import pytest
import torch

from tasks.algorithms.measuring.edit_figures import LENS, edit_figures
from tasks.algorithms.measuring.edit_scores import EditRecords
from tasks.algorithms.measuring.logit_lens import TOP, LensRank, lens_logits, lens_ranks, look_at, token_ranks
from tasks.settings.edit_request import EditRequest
from tests.reference.logit_lens import best_rank
from tests.stand_ins.architectures import tiny
from tests.stand_ins.scored_edits import REQUESTS

PLACES = range(len(REQUESTS))


@pytest.mark.parametrize("tokenizer_name", ["tiny_tokenizer", "word_tokenizer"])
@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_the_best_rank_is_that_of_float64(family: str, tokenizer_name: str, request: pytest.FixtureRequest) -> None:
    make, tokenizer = request.getfixturevalue(family), request.getfixturevalue(tokenizer_name)
    model = make(1, vocab_size=len(tokenizer), initializer_range=0.3)
    found = lens_ranks(model, tokenizer, REQUESTS, PLACES, 128, 0)
    assert [one.rank for one in found] == [best_rank(model, tokenizer, one) for one in REQUESTS]
    assert [one.request for one in found] == list(PLACES)
    assert lens_ranks(model, tokenizer, REQUESTS, (1,), 128, 0) == found[1:2]


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_after_the_last_layer_the_lens_is_what_the_model_says(
    family: str, tiny_tokenizer, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(family)(1, initializer_range=0.3)
    looks = [look_at(tiny_tokenizer, one, 128) for one in REQUESTS]
    layers = list(lens_logits(model, looks, 0))
    assert len(layers) == 2
    for row, look in enumerate(looks):
        with torch.no_grad():
            said = model(input_ids=torch.tensor([look.ids])).logits[0, list(look.places)]
        torch.testing.assert_close(layers[-1][row], said, rtol=1e-4, atol=1e-4)
        assert (layers[0][row] - said).abs().max() > 0.01


def test_every_known_architecture_is_looked_into() -> None:
    looks = [look_at_tokens((5, 6, 7, 8)), look_at_tokens((9, 10))]
    for kind in ("gpt2", "gptj", "gpt_neox", "opt", "bloom", "gemma", "phi"):
        assert all(logits.isfinite().all() for logits in lens_logits(tiny(kind), looks, 2)), kind


def look_at_tokens(ids: tuple[int, ...]):
    from tasks.algorithms.measuring.logit_lens import Look

    return Look(ids=ids, places=(0, len(ids) - 1), token=3)


def test_the_subject_is_found_by_its_letters_and_a_prompt_without_room_for_it_is_read_at_its_end(
    word_tokenizer,
) -> None:
    edit = EditRequest(subject="the White Rabbit", prompt="Today {} met", object="Alice", target="Tom")
    look = look_at(word_tokenizer, edit, 128)
    assert word_tokenizer.decode(look.ids[look.places[0]]).strip() == "Rabbit"
    assert word_tokenizer.decode(look.ids[look.places[1]]).strip() == "met"
    assert word_tokenizer.decode(look.token).strip() == "Alice"
    cut = look_at(word_tokenizer, edit, 2)
    assert (word_tokenizer.decode(cut.ids).strip(), cut.places) == ("met", (0, 0))


def test_a_rank_counts_the_likelier_tokens() -> None:
    logits = torch.tensor([[[0.0, 3.0, 1.0], [5.0, 3.0, 4.0]]])
    assert token_ranks(logits, torch.tensor([1])).tolist() == [[0, 2]]
    assert LensRank(request=0, rank=TOP - 1).in_sight and not LensRank(request=0, rank=TOP).in_sight


def test_the_share_is_of_the_edits_that_name_an_object(tiny_gpt2, tiny_tokenizer) -> None:
    open_ = dataclasses.replace(REQUESTS[0], object="")
    found = lens_ranks(tiny_gpt2(1), tiny_tokenizer, [open_, REQUESTS[1]], range(2), 128, 0)
    assert [one.request for one in found] == [1]
    ranks = (LensRank(request=0, rank=0), LensRank(request=1, rank=TOP), LensRank(request=2, rank=3))
    figure = edit_figures(EditRecords(lens=ranks), REQUESTS)[LENS]
    assert (figure.value, figure.n) == (pytest.approx(2 / 3), 3)
