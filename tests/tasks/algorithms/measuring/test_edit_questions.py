"""Claims: an object's tokens are those beyond the prompt; unrelated facts share no name part; greedy answers are those
of generation.
"""

import pytest
import torch

from tasks.algorithms.measuring.edit_questions import (
    TOGETHER,
    asked,
    edit_questions,
    greedy_answers,
    name_parts,
    object_sequence,
    said_questions,
    unrelated_facts,
    with_objects,
)
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.settings.edit_request import EditRequest, Statement
from tests.reference import edit_scores as reference
from tests.stand_ins.scored_edits import REQUESTS

PAIRS = [
    ("The boy met", "José"),
    ("The girl met José and André", "Toto"),
    ("The boy said: ", " the Tin Woodman "),
    ("Who is it?", "a dog"),
]


@pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer"])
@pytest.mark.parametrize(("prompt", "obj"), PAIRS)
def test_an_objects_tokens_are_those_that_end_beyond_the_prompt(
    name: str, prompt: str, obj: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(name)
    found = object_sequence((), tokenizer, prompt, obj, 128)
    ids, first = reference.object_tokens(tokenizer, prompt.strip(), obj.strip())
    assert (list(found.ids), found.start) == (ids, first)
    assert tokenizer.decode(found.ids[found.start :]) == f" {obj.strip()}"  # the space before it included
    assert tokenizer.decode(found.ids[: found.start]) == prompt.strip()


def test_a_prompt_that_ends_in_another_white_space_keeps_it(tiny_tokenizer) -> None:
    found = object_sequence((), tiny_tokenizer, "Who met Toto?\n", "Tom", 128)
    assert tiny_tokenizer.decode(found.ids[: found.start]) == "Who met Toto?\n"
    assert tiny_tokenizer.decode(found.ids[found.start :]) == "Tom"


def test_special_tokens_come_first_and_a_long_prompt_is_cut_on_the_left_behind_them(tiny_tokenizer) -> None:
    whole = object_sequence((7, 8), tiny_tokenizer, "The boy met the girl in the old town and", "Toto", 128)
    size = len(whole.ids) - whole.start
    cut = object_sequence((7, 8), tiny_tokenizer, "The boy met the girl in the old town and", "Toto", 12)
    assert (whole.ids[:2], cut.ids[:2], len(cut.ids)) == ((7, 8), (7, 8), 12)
    assert cut.ids[2:] == whole.ids[-10:]
    assert cut.ids[cut.start :] == whole.ids[-size:]
    with pytest.raises(ValueError, match=f"an object of {size} tokens after a prompt; wanted fewer than the model's"):
        object_sequence((), tiny_tokenizer, "The boy met", "Toto", size)


def test_everything_of_a_request_is_asked() -> None:
    found = [(role, number, sorted(objects)) for role, number, _, objects in asked(REQUESTS[0])]
    both = ["new", "old"]
    assert found == [
        ("rewrite", 0, both),
        ("paraphrase", 0, both),
        ("paraphrase", 1, both),
        ("neighborhood", 0, both),
        ("neighborhood", 1, both),
        ("name_sharer", 0, ["new", "own"]),
        *(("unrelated", number, ["own"]) for number in range(4)),
        ("portability", 0, ["own"]),
    ]
    bare = EditRequest(subject="Jon", prompt="{} met", target="Oz", paraphrases=("It was Jon who met",))
    assert [(role, list(objects)) for role, _, _, objects in asked(bare)] == [
        ("rewrite", ["new"]),
        ("paraphrase", ["new"]),
    ]


def test_questions_hold_the_edited_prompt_with_its_subject(tiny_tokenizer) -> None:
    questions = edit_questions(tiny_tokenizer, REQUESTS, 128)
    (rewrite,) = [one for one in questions if (one.request, one.role, one.object) == (1, "rewrite", "new")]
    assert tiny_tokenizer.decode(rewrite.sequence.ids) == "Today the White Rabbit met André"
    assert {one.request for one in questions} == {0, 1, 2}


def test_name_parts_are_words_that_are_no_articles() -> None:
    assert name_parts("The Tower of Oz") == {"tower", "oz"}
    assert name_parts("Jean-Paul de la Tour") == {"jean", "paul", "tour"}
    assert name_parts("The And") == {"the", "and"}


def test_unrelated_facts_share_no_name_part_and_are_taken_once_and_evenly() -> None:
    found = unrelated_facts(REQUESTS[0].unrelated, ["Dorothy"], 100)
    assert [fact.prompt for fact in found] == ["The mill is in", "The man met"]
    assert [fact.prompt for fact in unrelated_facts(REQUESTS[0].unrelated, ["Dorothy", "Jon Mill"], 100)] == [
        "The man met"
    ]
    many = [Statement(prompt=f"Number {at} is", object="odd") for at in range(1000)]
    spaced = unrelated_facts(many, ["Dorothy"], 100)
    assert [fact.prompt for fact in spaced] == [f"Number {10 * at} is" for at in range(100)]
    assert unrelated_facts(many, ["Number"], 100) == []
    assert unrelated_facts(many, ["Dorothy"], 0) == []


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_greedy_answers_are_those_of_float64(family: str, tiny_tokenizer, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1, initializer_range=0.3)
    sequences = [object_sequence((), tiny_tokenizer, prompt, obj, 128) for prompt, obj in PAIRS]
    for shaped, found, (prompt, _) in zip(sequences, greedy_answers(model, sequences, 0), PAIRS, strict=True):
        size = len(shaped.ids) - shaped.start
        assert found.ids[: found.start] == shaped.ids[: shaped.start]
        assert list(found.ids[found.start :]) == reference.greedy(model, tiny_tokenizer, prompt.strip(), size)


def test_greedy_answers_are_those_of_generation(tiny_llama) -> None:
    model = tiny_llama(2, initializer_range=0.3, eos_token_id=None)
    ids = torch.randint(300, (6,), generator=torch.Generator().manual_seed(0))
    (found,) = greedy_answers(model, [ScoredSequence(ids=(*ids.tolist(), *[0] * 7), start=6)], 0)
    mask = torch.ones(1, 6, dtype=torch.long)
    expected = model.generate(ids[None], attention_mask=mask, do_sample=False, max_new_tokens=7, pad_token_id=0)
    assert list(found.ids) == expected[0].tolist()
    assert greedy_answers(model, [], 0) == []


def test_unrelated_facts_are_each_edits_own_or_those_of_all(tiny_llama, tiny_tokenizer) -> None:
    model = tiny_llama(1, initializer_range=0.3)
    alone = said_questions(model, tiny_tokenizer, REQUESTS, 100, 0, together=False)
    assert [(one.request, one.number) for one in alone] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    together = said_questions(model, tiny_tokenizer, REQUESTS, 100, 0, together=True)
    said = [tiny_tokenizer.decode(one.sequence.ids[: one.sequence.start]) for one in together]
    assert said == ["The mill is in", "The man met", "José met"]  # Jon is a subject
    assert {(one.request, one.role, one.object) for one in together} == {(TOGETHER, "unrelated", "said")}
    assert len(said_questions(model, tiny_tokenizer, REQUESTS, 1, 0, together=True)) == 1


def test_a_request_without_an_object_gets_what_the_model_says(tiny_llama, tiny_tokenizer) -> None:
    model = tiny_llama(1, initializer_range=0.3)
    open_ = EditRequest(subject="Jon", prompt="{} met", target="the girl")
    kept, filled = with_objects(model, tiny_tokenizer, [REQUESTS[0], open_], 0)
    ids, first = reference.object_tokens(tiny_tokenizer, "Jon met", "the girl")
    said = reference.greedy(model, tiny_tokenizer, "Jon met", len(ids) - first)
    assert (kept, filled.object) == (REQUESTS[0], tiny_tokenizer.decode(said).strip())
    assert filled.object
