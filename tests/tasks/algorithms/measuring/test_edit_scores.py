"""Claims: every score of a model is that of float64, prompt by prompt; edits alone and together are scored alike."""

import pytest

from tasks.algorithms.measuring.edit_figures import LENS, edit_figures, request_scores
from tasks.algorithms.measuring.edit_questions import TOGETHER
from tasks.algorithms.measuring.edit_scores import (
    EditRecords,
    ObjectScore,
    prepare_questions,
    score_edits,
    score_texts,
)
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tests.conftest import SENTENCES
from tests.reference import edit_scores as reference
from tests.reference.labels import log_softmax, logits_of
from tests.stand_ins.scored_edits import REQUESTS, known_texts
from tests.stand_ins.taught import taught_model
from tests.stand_ins.tiny_models import train_tokenizer

CONFIG = EditEvaluationConfig(generations=0)


def scored(model, tokenizer, base=None, config=CONFIG, *, together: bool = False, only=None) -> EditRecords:
    questions = prepare_questions(base or model, tokenizer, REQUESTS, config, 0, together=together)
    return score_edits(model, tokenizer, REQUESTS, questions, config, 0, only=only)


@pytest.mark.parametrize("tokenizer_name", ["tiny_tokenizer", "word_tokenizer"])
@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_every_score_equals_float64(family: str, tokenizer_name: str, request: pytest.FixtureRequest) -> None:
    make, tokenizer = request.getfixturevalue(family), request.getfixturevalue(tokenizer_name)
    base, model = (make(seed, vocab_size=len(tokenizer), initializer_range=0.3) for seed in (1, 2))
    found = request_scores(scored(model, tokenizer, base), REQUESTS)
    for at, edit in enumerate(REQUESTS):
        expected = reference.scores(model, tokenizer, edit)
        ours = {name: own[at] for name, own in found.items() if at in own and name not in ("s", "alteration", LENS)}
        assert set(ours) == set(expected)
        for name, value in expected.items():
            assert ours[name] == pytest.approx(value, abs=1e-5), name
    facts = {0: REQUESTS[0].unrelated[1:3], 1: REQUESTS[1].unrelated}
    for at, unrelated in facts.items():
        assert found["alteration"][at] == reference.alteration(base, model, tokenizer, unrelated)


@pytest.fixture(scope="module")
def knowing(tiny_llama):
    return taught_model(known_texts(), tiny_llama, train_tokenizer)


def test_an_unedited_model_that_knows_the_facts_has_no_efficacy_and_says_the_old_object(knowing) -> None:
    figures = edit_figures(scored(*knowing), REQUESTS)
    value = {name: figure.value for name, figure in figures.items()}
    assert value["es"] == value["ps"] == value["s"] == value["rewrite_new_share"] == 0
    assert value["rewrite_old_share"] == value["paraphrase_old_share"] == 1
    assert value["ns"] == value["neighborhood_old_share"] == value["name_sharers_own_share"] == 1
    assert value["em"] < -0.8 < 0.8 < value["nm"]
    assert value["rewrite_old_probability"] > 0.8 > 0.2 > value["rewrite_new_probability"]
    assert value["zsre_unrelated"] == 1
    assert figures["es"].n == 3 and figures["ns"].n == 2


def test_a_model_that_says_the_new_objects_and_keeps_the_rest_has_every_score(tiny_llama) -> None:
    model, tokenizer = taught_model(known_texts(edited=True), tiny_llama, train_tokenizer)
    value = {name: figure.value for name, figure in edit_figures(scored(model, tokenizer), REQUESTS).items()}
    perfect = ("es", "ps", "ns", "s", "rewrite_new_share", "paraphrase_new_share", "neighborhood_old_share")
    assert {name: value[name] for name in perfect} == dict.fromkeys(perfect, 1)
    assert value["rewrite_old_share"] == value["paraphrase_old_share"] == value["neighborhood_new_share"] == 0
    assert value["em"] > 0.8 and value["nm"] > 0.8
    assert value["zsre_rewrite"] == value["zsre_paraphrase"] == value["zsre_unrelated"] == 1


@pytest.mark.parametrize("together", [False, True])
def test_a_model_scored_twice_alters_nothing(together: bool, tiny_gpt2, tiny_tokenizer) -> None:
    model = tiny_gpt2(1, initializer_range=0.3)
    first, again = (scored(model, tiny_tokenizer, together=together) for _ in range(2))
    assert first == again
    figure = edit_figures(again, REQUESTS)["alteration"]
    assert (figure.value, figure.n) == (0, 3 if together else 4)
    assert figure.ci95[0] == 0 < figure.ci95[1]


def test_edits_scored_one_by_one_are_those_scored_at_once(tiny_llama, tiny_tokenizer) -> None:
    base, model = (tiny_llama(seed, initializer_range=0.3) for seed in (1, 2))
    config = EditEvaluationConfig(generation_tokens=8)
    at_once = scored(model, tiny_tokenizer, base, config)
    single = EditRecords()
    for at in range(len(REQUESTS)):
        single += scored(model, tiny_tokenizer, base, config, only=(at,))
    assert sorted(single.written, key=repr) == sorted(at_once.written, key=repr)
    place = {(one.request, one.role, one.number, one.object): one for one in single.objects}
    assert len(place) == len(at_once.objects)
    for one in at_once.objects:
        alone = place[one.request, one.role, one.number, one.object]
        assert alone.hits == one.hits
        assert alone.log_p_nats == pytest.approx(one.log_p_nats, abs=1e-4)  # padded to another width


def test_after_some_edits_in_one_model_all_of_them_are_scored_and_what_is_unrelated_to_all(
    tiny_llama, tiny_tokenizer
) -> None:
    found = scored(tiny_llama(1, initializer_range=0.3), tiny_tokenizer, together=True, only=range(2))
    assert {one.request for one in found.objects} == {0, 1, TOGETHER}
    assert edit_figures(found, REQUESTS)["es"].n == 2
    assert edit_figures(found, REQUESTS)["alteration"].n == 3


def test_one_text_in_two_places_is_scored_once(tiny_llama, tiny_tokenizer) -> None:
    steps: list[tuple[int, int]] = []
    model = tiny_llama(1, initializer_range=0.3)
    questions = prepare_questions(model, tiny_tokenizer, REQUESTS, CONFIG, 0, together=False)
    found = score_edits(model, tiny_tokenizer, REQUESTS, questions, CONFIG, 0, on_step=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1] == len({one.sequence for one in questions}) < len(questions)
    twice = [one for one in found.objects if one.role == "unrelated" and one.object == "own" and one.number in (2, 3)]
    assert twice[0].log_p_nats == twice[1].log_p_nats


def test_completion_and_probability_are_those_of_all_tokens() -> None:
    score = ObjectScore(request=0, role="rewrite", number=0, object="new", log_p_nats=-3.0, hits=(True, False))
    assert (score.mean_log_p_nats, score.completed) == (-1.5, False)
    hit = ObjectScore(request=0, role="rewrite", number=0, object="new", log_p_nats=-3.0, hits=(True,))
    assert hit.completed


def test_texts_are_scored_in_windows_that_are_evenly_spaced(tiny_llama, tiny_tokenizer) -> None:
    model = tiny_llama(1, initializer_range=0.3)
    config = EditEvaluationConfig(window=16, text_tokens=64)
    every = score_texts(model, tiny_tokenizer, SENTENCES, EditEvaluationConfig(window=16), 0).texts
    some = score_texts(model, tiny_tokenizer, SENTENCES, config, 0).texts
    assert len(some) == 4 < len(every)
    assert {one.text for one in every} == set(range(len(SENTENCES)))
    ids = tiny_tokenizer(SENTENCES[0])["input_ids"]
    logits = logits_of(model, ids[:16])
    expected = sum(float(log_softmax(logits[at - 1])[ids[at]]) for at in range(1, 16))
    assert (every[0].log_p_nats, every[0].tokens) == (pytest.approx(expected, rel=1e-5), 15)
    assert some[0].text == 0 and some[0].log_p_nats == pytest.approx(expected, rel=1e-5)
    assert score_texts(model, tiny_tokenizer, SENTENCES, EditEvaluationConfig(text_tokens=0), 0).texts == ()
