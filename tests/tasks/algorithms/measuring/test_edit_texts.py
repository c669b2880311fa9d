"""Claims: entropy and likeness are those by hand; what is drawn depends on the seed and the request's place alone."""

import pytest
import torch

from tasks.algorithms.measuring.edit_texts import (
    WrittenText,
    _gumbel,
    _RankSampling,
    n_gram_entropy,
    reference_scores,
    write_texts,
)
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tests.conftest import SENTENCES
from tests.reference import edit_scores as reference
from tests.stand_ins.scored_edits import REQUESTS


def test_entropy_by_hand() -> None:
    # "a b a b": bigrams ab, ba, ab -> H = log2(3) - 2/3; trigrams aba, bab -> 1 bit
    bigrams = (2 / 3) * 0.5849625007211562 + (1 / 3) * 1.584962500721156
    assert n_gram_entropy("a b a b") == pytest.approx((2 / 3 * bigrams + 4 / 3) / 2)
    # all 5 bigrams and 4 trigrams of six different words differ
    assert n_gram_entropy("a b c d e f") == pytest.approx((2 / 3 * 2.321928094887362 + 4 / 3 * 2) / 2)
    assert n_gram_entropy("and and and and and") == n_gram_entropy("word") == n_gram_entropy("") == 0


@pytest.mark.parametrize("text", [*SENTENCES, "he said: he said, he said."])
def test_entropy_equals_the_slow_one(text: str) -> None:
    assert n_gram_entropy(text) == pytest.approx(reference.n_gram_entropy(text), abs=1e-12)


def written(request: int, text: str, number: int = 0) -> WrittenText:
    return WrittenText(request=request, number=number, text=text)


def test_likeness_equals_the_slow_one() -> None:
    references = [tuple(SENTENCES[:2]), (), (SENTENCES[2],)]
    texts = [
        written(0, "Dorothy met"),
        written(0, "the Tin Woodman", 1),
        written(1, "a"),
        written(2, "Tom and Tom met"),
    ]
    found = reference_scores(texts, references)
    documents = SENTENCES[:3]
    assert found == {
        0: pytest.approx(reference.reference_score("Dorothy met the Tin Woodman", " ".join(SENTENCES[:2]), documents)),
        2: pytest.approx(reference.reference_score("Tom and Tom met", SENTENCES[2], documents)),
    }
    assert 0 < found[0] < 1


def test_the_reference_itself_is_all_alike_and_other_words_not_at_all() -> None:
    texts = [written(0, SENTENCES[0]), written(1, "quite other words")]
    found = reference_scores(texts, [(SENTENCES[0],), (SENTENCES[0],)])
    assert found == {0: pytest.approx(1), 1: 0}
    assert reference_scores(texts, [(), ()]) == {}
    assert reference_scores([], [(SENTENCES[0],)]) == {}


def test_a_text_is_its_prompt_with_what_the_model_adds(tiny_gpt2, tiny_tokenizer) -> None:
    model = tiny_gpt2(1, initializer_range=0.3)
    config = EditEvaluationConfig(generation_tokens=6, generation_top_k=1)
    found = write_texts(model, tiny_tokenizer, REQUESTS, config, 0)
    assert [(one.request, one.number) for one in found] == [(0, 0), (0, 1), (1, 0)]
    for one in found:
        prompt = REQUESTS[one.request].generation[one.number]
        said = tiny_tokenizer.decode(reference.greedy(model, tiny_tokenizer, prompt, 6))
        assert one.text == prompt + said.split("<|endoftext|>")[0]
    assert write_texts(model, tiny_tokenizer, REQUESTS, EditEvaluationConfig(generations=0), 0) == []
    fewer = EditEvaluationConfig(generations=1, generation_tokens=6, generation_top_k=1)
    assert write_texts(model, tiny_tokenizer, REQUESTS, fewer, 0) == [found[0], found[2]]


def test_what_is_drawn_depends_on_the_seed_and_the_requests_place(tiny_gpt2, tiny_tokenizer) -> None:
    model, state = tiny_gpt2(1, initializer_range=0.3), torch.get_rng_state()
    config = EditEvaluationConfig(generation_tokens=12)
    found = write_texts(model, tiny_tokenizer, REQUESTS, config, 0)
    assert write_texts(model, tiny_tokenizer, REQUESTS, config, 0, only=(1,)) == [found[2]]
    other = write_texts(model, tiny_tokenizer, REQUESTS, EditEvaluationConfig(generation_tokens=12, seed=7), 0)
    assert found != other
    assert torch.equal(torch.get_rng_state(), state)


def test_tokens_are_drawn_from_the_likeliest_ones_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([3.0, 2.5, 1.0, 5.0, -2.0, 0.0]).log_softmax(-1)
    draws = 4000
    noise = torch.stack([_gumbel(EditEvaluationConfig(generation_top_k=3), 0, number, 1) for number in range(draws)])
    left = _RankSampling(noise)(torch.zeros(draws, 1, dtype=torch.long), logits.repeat(draws, 1))
    assert (left.isfinite().sum(-1) == 1).all()
    shares = torch.bincount(left.argmax(-1), minlength=6) / draws
    expected = torch.zeros(6)
    expected[[3, 0, 1]] = logits[[3, 0, 1]].softmax(-1)
    # standard error of a share is below 0.008
    assert torch.allclose(shares, expected, atol=0.03)
    assert (shares[[2, 4, 5]] == 0).all()


def test_each_text_has_noise_of_its_own() -> None:
    config = EditEvaluationConfig(generation_top_k=4)
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    noises = [_gumbel(config, *place, 6) for place in places] + [_gumbel(EditEvaluationConfig(seed=1), 0, 0, 6)[:, :4]]
    assert len({tuple(noise.flatten().tolist()) for noise in noises}) == 5
    assert torch.equal(_gumbel(config, 1, 0, 6), noises[2])


def test_a_prompt_beyond_the_context_is_cut_on_the_left(tiny_gpt2, tiny_tokenizer) -> None:
    from dataclasses import replace

    model = tiny_gpt2(1, initializer_range=0.3, n_positions=32)
    long = "The boy met the girl. " * 20
    (found,) = write_texts(model, tiny_tokenizer, [replace(REQUESTS[2], generation=(long,))], EditEvaluationConfig(), 0)
    assert found.text.startswith(long.rstrip())
