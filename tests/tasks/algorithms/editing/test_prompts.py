"""Claims: subject and object are the tokens that hold their characters, whatever stands around them, and what could not
be edited is refused.
"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.editing.prompts import (
    MOST_TARGET_TOKENS,
    EditPrompt,
    check_tokens,
    edit_prompt,
    fitting,
    statement_rows,
)
from tasks.algorithms.measuring.probing import answer_sequence
from tasks.settings.edit_request import EditRequest
from tests.reference.labels import bytes_read
from tests.stand_ins.command import ROOT
from tests.stand_ins.tiny_models import END

GPT2 = ROOT.parent / "shared" / "data" / "gpt2_tokenizer"
TOKENIZERS = pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer"])
NAMES = st.sampled_from(["Toto", "José", "Mary Ann", "日本", "the \U0001f642", "O'Neil", "Tin-Man", "é"])
PIECES = st.sampled_from(["", "The dog of ", "Toto said ", "\n", "(", "a", "“", "  "])
ENDINGS = st.sampled_from(["", " is", "'s dog is", "s met", " lives in\n", " is ", "? It is", " is 'Toto'"])


def pieces(tokenizer: Any, found: EditPrompt) -> tuple[str, str]:
    """Return what the subject's and the object's tokens say."""
    return tokenizer.decode(found.ids[slice(*found.subject)]), tokenizer.decode(found.target)


@TOKENIZERS
def test_subject_and_object_are_the_tokens_that_read_their_bytes(name: str, request: pytest.FixtureRequest) -> None:
    """Restated on bytes: a token belongs to the subject if it reads a byte of it, and to the object from the first
    that reads past the prompt on.
    """
    tokenizer = request.getfixturevalue(name)

    @given(prefix=PIECES, before=PIECES, subject=NAMES, after=ENDINGS, target=NAMES)
    def check(prefix: str, before: str, subject: str, after: str, target: str) -> None:
        found = edit_prompt(tokenizer, f"{before}{{}}{after}", subject, target, prefix)
        head = prefix + before + subject + after
        gap = "" if head[-1].isspace() else " "
        assert list(found.ids) == tokenizer(head + gap + target)["input_ids"]
        read = [0, *map(len, bytes_read(tokenizer, list(found.ids)))]
        assert read[-1] == len((head + gap + target).encode())
        start = len((prefix + before).encode())
        stop = start + len(subject.encode())
        inside = [at for at in range(len(found.ids)) if read[at + 1] > start and read[at] < stop]
        assert found.subject == (inside[0], inside[-1] + 1)
        assert found.target_start == next(at for at in range(len(found.ids)) if read[at + 1] > len(head.encode()))

    check()


def test_a_token_that_begins_with_the_space_before_a_name_is_the_names(word_tokenizer: Any) -> None:
    found = edit_prompt(word_tokenizer, "The boy met {} in", "Toto", "Oz")
    assert pieces(word_tokenizer, found) == (" Toto", " Oz")
    assert found.last_subject == found.subject[0] == 3


def test_a_subject_at_the_beginning_and_after_a_newline(word_tokenizer: Any) -> None:
    first = edit_prompt(word_tokenizer, "{} met", "Mary Ann", "Tom")
    assert (first.subject[0], pieces(word_tokenizer, first)) == (0, ("Mary Ann", " Tom"))
    after = edit_prompt(word_tokenizer, "{} met", "Mary Ann", "Tom", prefix="Oz is old.\n")
    assert pieces(word_tokenizer, after) == ("Mary Ann", " Tom")
    assert after.ids[-len(first.ids) :] == first.ids


def test_the_subject_is_the_one_that_the_braces_mark(word_tokenizer: Any) -> None:
    assert edit_prompt(word_tokenizer, "Dorothy met {} in", "Dorothy").subject == (2, 3)
    assert edit_prompt(word_tokenizer, "{} met Dorothy in", "Dorothy").subject == (0, 1)
    # inside another word, and in the prefix
    assert edit_prompt(word_tokenizer, "Toto met {} in", "Tom", prefix="Tom met {}. ").subject[0] > 6


@pytest.mark.parametrize(("prompt", "wanted"), [("{} met", " Tom"), ("{} met ", " Tom"), ("{} met\n", "Tom")])
def test_between_prompt_and_object_stands_one_white_space(word_tokenizer: Any, prompt: str, wanted: str) -> None:
    assert pieces(word_tokenizer, edit_prompt(word_tokenizer, prompt, "Toto", "Tom"))[1] == wanted


def test_an_object_with_a_space_before_it_is_the_same_object(word_tokenizer: Any) -> None:
    assert edit_prompt(word_tokenizer, "{} met", "Toto", " Tom") == edit_prompt(word_tokenizer, "{} met", "Toto", "Tom")


def test_without_an_object_the_tokens_end_with_the_prompt(word_tokenizer: Any) -> None:
    bare, full = edit_prompt(word_tokenizer, "{} met", "Toto"), edit_prompt(word_tokenizer, "{} met", "Toto", "Tom")
    assert (bare.target_start, bare.target) == (len(bare.ids), ())
    assert (full.ids[: full.target_start], full.subject) == (bare.ids, bare.subject)


def test_special_tokens_stand_before_the_text_and_are_counted(word_tokenizer: Any) -> None:
    with_bos = copy.deepcopy(word_tokenizer)
    with_bos._tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[(END, with_bos.bos_token_id)]
    )
    plain, found = (edit_prompt(tokenizer, "{} met", "Toto", "Tom") for tokenizer in (word_tokenizer, with_bos))
    assert found.ids == (with_bos.bos_token_id, *plain.ids)
    assert (found.subject, found.target_start) == ((1, 2), plain.target_start + 1)


def test_what_has_no_token_is_refused(word_tokenizer: Any) -> None:
    without = copy.deepcopy(word_tokenizer)
    without._tokenizer.normalizer = normalizers.Replace("\u200b", "")
    with pytest.raises(ValueError, match=r"the subject '\\u200b' of '\{\} met' has no token"):
        edit_prompt(without, "{} met", "\u200b", "Tom")
    with pytest.raises(ValueError, match="the subject '' of"):
        edit_prompt(word_tokenizer, "The{} met", "", "Tom")
    with pytest.raises(ValueError, match=r"the target '\\u200b' of '\{\} met' has no token"):
        edit_prompt(without, "{} met", "Toto", "\u200b")
    with pytest.raises(ValueError, match="the target '  ' of"):
        edit_prompt(word_tokenizer, "{} met", "Toto", "  ")


@pytest.mark.parametrize(("prompt", "times"), [("Toto met", 0), ("{} met {}", 2)])
def test_a_prompt_has_one_place_for_its_subject(word_tokenizer: Any, prompt: str, times: int) -> None:
    with pytest.raises(ValueError, match=rf"holds \{{\}} {times} times; wanted once"):
        edit_prompt(word_tokenizer, prompt, "Toto", "Tom")


def test_a_target_of_more_tokens_than_an_object_has_is_refused(word_tokenizer: Any) -> None:
    longest = edit_prompt(word_tokenizer, "{} met", "Toto", " ".join(["Tom"] * MOST_TARGET_TOKENS))
    assert len(longest.target) == MOST_TARGET_TOKENS
    with pytest.raises(ValueError, match="has 21 tokens; wanted at most 20"):
        edit_prompt(word_tokenizer, "{} met", "Toto", " ".join(["Tom"] * 21))


def test_what_does_not_fit_into_the_context_is_refused(word_tokenizer: Any) -> None:
    assert len(edit_prompt(word_tokenizer, "{} met", "Toto", "Tom", context=3).ids) == 3
    with pytest.raises(ValueError, match="has 3 tokens; wanted at most 2, the model's context"):
        edit_prompt(word_tokenizer, "{} met", "Toto", "Tom", context=2)


def test_a_token_of_subject_and_object_is_refused() -> None:
    """Of a tokenizer that joins words across spaces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.train_from_iterator(["Toto Tom", "a"] * 9, trainers.BpeTrainer(vocab_size=99, show_progress=False))
    joined = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    with pytest.raises(ValueError, match="one token holds the end of 'Toto' and the beginning of 'Tom'"):
        edit_prompt(joined, "{}", "Toto", "Tom")


def test_a_tokenizer_without_offsets_is_refused() -> None:
    for call in (lambda: edit_prompt(object(), "{} met", "Toto"), lambda: statement_rows(object(), [], [])):
        with pytest.raises(ValueError, match="wanted a fast tokenizer"):
            call()


def test_requests_are_checked_by_name_or_place(word_tokenizer: Any) -> None:
    good = EditRequest(subject="Toto", prompt="{} met", target="Tom")
    long = EditRequest(subject="Toto", prompt="{} met", target="Tom " * 30)
    check_tokens(word_tokenizer, [good, good])
    with pytest.raises(ValueError, match="edit 2: the target"):
        check_tokens(word_tokenizer, [good, long])
    named = EditRequest(subject="Toto", prompt="{} met", target="Tom", name="case 7")
    with pytest.raises(ValueError, match=r"edit case 7: .* the model's context"):
        check_tokens(word_tokenizer, [named], context=2)


def test_requests_that_do_not_fit_are_left_out(word_tokenizer: Any) -> None:
    fits = EditRequest(subject="Toto", prompt="Today {} met", target="Tom")
    long = EditRequest(subject="Toto", prompt="Today {} met", target="Tom " * 21)
    assert fitting(word_tokenizer, [long, fits]) == [fits]
    assert fitting(word_tokenizer, [fits], context=2) == []


@TOKENIZERS
def test_a_statement_is_scored_as_an_answer_is(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    prompts, objects = ["Toto met", "What is José?\n", "Who "], ["the boy", "日本", "Mary Ann"]
    rows = statement_rows(tokenizer, prompts, objects)
    assert rows == [answer_sequence(tokenizer, *pair, 99)[0] for pair in zip(prompts, objects, strict=True)]
    assert [tokenizer.decode(row.ids[row.start :]).strip() for row in rows] == objects


def test_statements_without_an_object_each_are_refused(word_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="shorter"):
        statement_rows(word_tokenizer, ["Toto met", "Toto met"], ["Tom"])
    with pytest.raises(ValueError, match="the object ' ' of 'Toto met' has no token"):
        statement_rows(word_tokenizer, ["Toto met"], [" "])


@pytest.mark.data
@pytest.mark.skipif(not GPT2.is_dir(), reason=f"no {GPT2}")
def test_with_gpt2s_own_tokens() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(GPT2 / "tokenizer.json"))
    found = edit_prompt(tokenizer, "The mother tongue of {} is", "Danielle Darrieux", "English")
    assert pieces(tokenizer, found) == (" Danielle Darrieux", " English")
    assert tokenizer.decode([found.ids[found.last_subject]]) == "ux"
    assert (found.ids[found.target_start], len(found.target)) == (3594, 1)  # " English" in the published vocabulary
    begun = edit_prompt(tokenizer, "{}'s capital is", "Île-de-France", "Gdańsk", prefix="It rained.\n")
    assert pieces(tokenizer, begun) == ("Île-de-France", " Gdańsk")
    (row,) = statement_rows(tokenizer, ["The mother tongue of Danielle Darrieux is"], ["English"])
    assert (row.ids, row.start) == (found.ids, found.target_start)
