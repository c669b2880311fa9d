"""Claims: differing words are found with all their tokens on both sides, however many; what a pair shares
never counts.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.pairs import differing_spans, touched
from tasks.algorithms.tokens.alignment import encode
from tasks.algorithms.tokens.rows import differing_blocks, paired_rows

PAIRS = [  # as WinoBias has them, brackets stripped
    (
        "The developer argued with the designer because he did not like it.",
        "The developer argued with the designer because she did not like it.",
    ),
    (
        "The mover helped the nurse because he needed to prove his strength.",
        "The mover helped the nurse because she needed to prove her strength.",
    ),
    (
        "The carpenter made a desk for the clerk because she needed a desk.",
        "The carpenter made a desk for the clerk because he needed one.",
    ),
]
WORDS = [(["he"], ["she"]), (["he", "his"], ["she", "her"]), (["she", "a", "desk"], ["he", "one"])]


def words_at(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(("pair", "words"), [*zip(PAIRS, WORDS, strict=True)])
def test_the_words_in_which_a_pair_differs(pair: tuple[str, str], words: tuple[list[str], list[str]]) -> None:
    found = differing_spans(*pair)
    assert tuple(words_at(text, spans) for text, spans in zip(pair, found, strict=True)) == words


def test_equal_texts_differ_nowhere_and_a_missing_word_only_on_one_side() -> None:
    assert differing_spans("the old man", "the old man") == ([], [])
    assert differing_spans("the old man", "the man") == ([(4, 7)], [])


@given(
    st.lists(st.sampled_from("he she her the a nurse , .".split())),
    st.lists(st.sampled_from("he she her the a nurse , .".split())),
)
def test_without_what_differs_both_texts_are_the_same_words(first: list[str], second: list[str]) -> None:
    texts = " ".join(first), " ".join(second)
    spans = differing_spans(*texts)
    rest = [
        "".join(" " if any(start <= at < end for start, end in part) else letter for at, letter in enumerate(text))
        for text, part in zip(texts, spans, strict=True)
    ]
    assert rest[0].split() == rest[1].split()


@pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer"])
@pytest.mark.parametrize("pair", PAIRS)
def test_all_tokens_of_a_differing_word_count_and_no_other(
    name: str, pair: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(name)
    blocks = differing_blocks(*pair, tokenizer)
    for text, block, spans in zip(pair, blocks, differing_spans(*pair), strict=True):
        ids, offsets = encode(tokenizer, text)
        assert block.ids == tuple(ids)
        counted = {
            at for (start, end), flag in zip(offsets, block.supervised, strict=True) if flag for at in range(start, end)
        }
        wanted = {at for start, end in spans for at in range(start, end)}
        assert {at for at in counted if not text[at].isspace()} == wanted  # at 300 tokens nothing is longer than a word


def test_pronouns_of_unequal_token_counts_count_whole(tiny_tokenizer) -> None:
    """Token by token " she" = " s" + "he" against " he" = " " + "he" or " he" would differ in a part of the
    word only.
    """
    blocks = differing_blocks(*PAIRS[0], tiny_tokenizer)
    counts = [sum(block.supervised) for block in blocks]
    read = [
        "".join(tiny_tokenizer.decode([token]) for token, flag in zip(block.ids, block.supervised, strict=True) if flag)
        for block in blocks
    ]
    assert [text.strip() for text in read] == ["he", "she"]
    assert counts[0] != counts[1], "the tokenizer of this test is meant to cut both unequally"


def test_the_prediction_of_the_differing_word_itself_does_not_count(tiny_tokenizer) -> None:
    """It is made after a beginning that both share: it is the same prediction."""
    first, second = differing_blocks(*PAIRS[0], tiny_tokenizer)
    shared = next(at for at, (left, right) in enumerate(zip(first.ids, second.ids, strict=False)) if left != right)
    assert not any(first.supervised[:shared]) and not any(second.supervised[:shared])


def test_a_sequence_is_cut_at_its_size(tiny_tokenizer) -> None:
    whole, _ = differing_blocks(*PAIRS[1], tiny_tokenizer)
    pair = tuple(Document(source=side, text=text) for side, text in zip("ab", PAIRS[1], strict=True))
    rows, _ = paired_rows([pair], tiny_tokenizer, len(whole.ids) - 1)
    assert (rows.rows[0].ids, rows.rows[0].supervised, rows.truncated) == (whole.ids[:-1], whole.supervised[:-1], 1)
    assert paired_rows([pair], tiny_tokenizer, 512)[0].truncated == 0


def test_tokens_without_characters_touch_nothing() -> None:
    assert touched([(0, 0), (0, 3), (3, 5)], [(0, 3)]) == (False, True, False)
