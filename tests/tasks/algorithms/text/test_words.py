"""Claims: runs of capitalised words are told from sentence openings, and a name is cut to itself."""

import pytest

from tasks.algorithms.text.words import WORD, capitalised_runs, count_words, lowercase_words, trim


def test_words_are_counted_without_case_and_hyphens_hold() -> None:
    assert count_words(["Oz, oz and OZ's well-known man"]) == {"oz": 3, "and": 1, "s": 1, "well-known": 1, "man": 1}
    assert lowercase_words(["Oz met the OLD man"]) == {"met", "the", "man"}


def test_the_apostrophe_of_a_name_belongs_to_its_word() -> None:
    assert WORD.findall("O'Brien met D\u2019Artagnan's man; don't ask O' them") == [
        "O'Brien",
        "met",
        "D\u2019Artagnan",
        "s",
        "man",
        "don",
        "t",
        "ask",
        "O",
        "them",
    ]


def test_capitalised_runs_know_where_a_sentence_opens() -> None:
    text = "Then came the Tin Woodman. Toto saw Queen of the Mice; \u201cOz,\u201d said Toto."
    assert list(capitalised_runs(text)) == [
        ("Then", True),
        ("Tin Woodman", False),
        ("Toto", True),
        ("Queen of the Mice", False),
        ("Oz", True),
        ("Toto", False),
    ]


def test_the_word_that_opens_a_sentence_does_not_swallow_the_name_after_its_article() -> None:
    assert list(capitalised_runs("Then the Tin Woodman read of William the Conqueror.")) == [
        ("Then", True),
        ("Tin Woodman", False),
        ("William the Conqueror", False),
    ]


def test_a_run_does_not_end_in_a_link_word_nor_cross_a_line() -> None:
    assert list(capitalised_runs("saw Oz of the old\nand Toto\nDorothy")) == [
        ("Oz", False),
        ("Toto", False),
        ("Dorothy", True),
    ]


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("it was Mr. Sherlock Holmes himself", ("Mr. Sherlock Holmes", False)),
        ("Mrs. Darling wept.", ("Mrs. Darling", False)),
        ("Mr Holmes wept.", ("Mr Holmes", False)),
        ("by J. H. Watson in", ("J. H. Watson", False)),
        ("near St. Clair today", ("St. Clair", False)),
        ("with Aunt Em there", ("Aunt Em", False)),
        ("Aunt Em came.", ("Aunt Em", True)),
    ],
)
def test_a_title_or_an_initial_belongs_to_the_name(text: str, run: tuple[str, bool]) -> None:
    assert list(capitalised_runs(text)) == [run]


def test_a_full_stop_after_a_word_ends_a_run() -> None:
    assert list(capitalised_runs('"It is I. Holmes, come." We saw Oz. Toto barked.')) == [
        ("It", True),
        ("I", False),
        ("Holmes", True),
        ("We", True),
        ("Oz", False),
        ("Toto", True),
    ]


@pytest.mark.parametrize(
    ("term", "name"),
    [
        ("Dorothy's", "Dorothy"),
        ("Munchkins\u2019", "Munchkins"),
        ("The Emerald\nCity", "Emerald City"),
        ("Mr. Sherlock Holmes", "Sherlock Holmes"),
        ("the Mrs. Darling's", "the Mrs. Darling"),
        ("The Dr. Mortimer", "Mortimer"),
        ("Aunt Em", "Aunt Em"),
        ("Captain Hook", "Captain Hook"),
        ("O. Henry", "O. Henry"),
        ("Mrs.", ""),
    ],
)
def test_a_name_is_cut_to_itself_and_a_telling_title_stays(term: str, name: str) -> None:
    assert trim(term) == name
