"""Claims: an excerpt has the first occurrence of a term, whole words around it, and one line; texts are read no farther
than they are needed.
"""

from collections.abc import Iterator

import pytest

from tasks.algorithms.text.excerpts import excerpts


def test_the_first_occurrence_with_words_around_it() -> None:
    text = "In the morning\nOstrin  walked with Velmora by the river. Then Ostrin slept."
    assert excerpts([text], ["Ostrin", "Velmora"], around=12) == {
        "Ostrin": "\u2026 morning Ostrin walked \u2026",
        "Velmora": "\u2026 with Velmora by the \u2026",
    }


def test_at_the_ends_of_a_text_nothing_is_left_out() -> None:
    assert excerpts(["Ostrin slept."], ["Ostrin"]) == {"Ostrin": "Ostrin slept."}


@pytest.mark.parametrize(("text", "term"), [("the brindle-\nwick", "brindle-wick"), ("Ostrin\u2019s", "Ostrin")])
def test_any_spelling_is_found(text: str, term: str) -> None:
    assert set(excerpts([text], [term])) == {term}


def test_texts_are_read_until_all_terms_are_found() -> None:
    read = []

    def texts() -> Iterator[str]:
        for text in ("Wick.", "Ostrin slept.", "Ostrin again."):
            read.append(text)
            yield text

    assert excerpts(texts(), ["Ostrin", "Wick"]) == {"Wick": "Wick.", "Ostrin": "Ostrin slept."}
    assert len(read) == 3  # it looks only when the next one is there
    assert excerpts(["Ostrin"], ["Tamsin"]) == {}
    assert excerpts(["Ostrin"], []) == {}
