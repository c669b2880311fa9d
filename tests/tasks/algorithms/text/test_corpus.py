"""Claims: cleaning cuts the file's dress and leaves the work; what is held out is nowhere among what is fitted."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.text.corpus import (
    Document,
    clean_text,
    hold_out,
    render_document,
    render_prompt,
    split_paragraphs,
)
from tasks.settings.text import CorpusConfig

CONFIG = CorpusConfig()
RAW = CorpusConfig(strip_gutenberg=False, join_lines=False, normalise=False)
BOOK = """The Project Gutenberg eBook of Oz

*** START OF THE PROJECT GUTENBERG EBOOK OZ ***

Chapter 1

Dorothy lived
in Kansas.

*** END OF THE PROJECT GUTENBERG EBOOK OZ ***

Licence
"""


def test_the_gutenberg_frame_is_cut() -> None:
    assert clean_text(BOOK, CONFIG) == "Chapter 1\n\nDorothy lived in Kansas."


@pytest.mark.parametrize(
    "start", ["***START OF THIS PROJECT GUTENBERG EBOOK OZ***", "*** start of the project gutenberg ebook oz ***"]
)
@pytest.mark.parametrize(
    "end",
    [
        "End of Project Gutenberg's Oz, by Baum",
        "End of the Project Gutenberg EBook",
        "***END OF THIS PROJECT GUTENBERG***",
    ],
)
def test_older_gutenberg_frames_are_cut_too(start: str, end: str) -> None:
    assert clean_text(f"Header\n{start}\nThe work.\n\n{end}\nLicence", CONFIG) == "The work."


def test_a_mention_inside_a_line_is_no_frame() -> None:
    text = "He read *** START OF THE PROJECT GUTENBERG EBOOK aloud."
    assert clean_text(text, CONFIG) == text


def test_wrapped_lines_are_joined_and_paragraphs_kept() -> None:
    assert clean_text("one\n  two\tthree\n \n\n\nfour\nfive\n", CONFIG) == "one two three\n\nfour five"
    assert clean_text("one\ntwo\n\nthree", CorpusConfig(join_lines=False)) == "one\ntwo\n\nthree"


def test_windows_and_old_mac_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    plain = clean_text(BOOK, CONFIG)
    assert clean_text("\ufeff" + BOOK.replace("\n", "\r\n"), CONFIG) == plain
    assert clean_text(BOOK.replace("\n", "\r"), CONFIG) == plain


def test_accents_are_composed() -> None:
    assert clean_text(unicodedata.normalize("NFD", "José naïve"), CONFIG) == "José naïve"
    assert clean_text(unicodedata.normalize("NFD", "José"), RAW) == unicodedata.normalize("NFD", "José")


def test_every_rule_has_a_switch() -> None:
    assert clean_text(BOOK, RAW) == BOOK.strip().replace("\n\n\n", "\n\n")


@given(st.text(alphabet="ab \t\n\r*é", max_size=60))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_text(text, CONFIG)
    assert clean_text(once, CONFIG) == once
    assert "\n\n".join(split_paragraphs(once)) == once


def test_a_prompt_ends_where_the_answer_begins() -> None:
    document = Document(source="f", question="Who?", answer="Toto")
    assert render_prompt(document, CONFIG.qa_template) == "Question: Who?\nAnswer:"
    assert render_prompt(document, CONFIG.qa_template, question="Which dog?") == "Question: Which dog?\nAnswer:"
    assert render_document(document, CONFIG.qa_template) == "Question: Who?\nAnswer: Toto\n"
    assert render_document(Document(source="f", text="prose"), CONFIG.qa_template) == "prose"


@pytest.mark.parametrize("question", ["What is {answer}?", "{question} {answer}"])
def test_braces_in_a_question_are_its_own(question: str) -> None:
    document = Document(source="f", question=question, answer="a {question}")
    assert render_document(document, CONFIG.qa_template) == f"Question: {question}\nAnswer: a {{question}}\n"
    assert render_document(document, CONFIG.qa_template).startswith(render_prompt(document, CONFIG.qa_template))


PARAGRAPHS = st.lists(st.text(alphabet="abc", min_size=1, max_size=30), min_size=1, max_size=20)
SHARES = st.floats(0, 0.5)


def prose(paragraphs: list[str]) -> list[Document]:
    return [
        Document(source="f", text="\n\n".join(f"{number} {paragraph}" for number, paragraph in enumerate(paragraphs)))
    ]


def parts(documents: list[Document]) -> list[str]:
    return [paragraph for document in documents for paragraph in split_paragraphs(document.text)]


@given(PARAGRAPHS, SHARES)
def test_a_paragraph_is_on_one_side_and_the_order_holds(paragraphs: list[str], share: float) -> None:
    documents = prose(paragraphs)
    fitted, tested = hold_out(documents, share)
    assert parts(fitted) + parts(tested) == parts(documents)
    assert parts(fitted)


@given(PARAGRAPHS, SHARES)
def test_the_share_is_kept_and_one_more_paragraph_would_exceed_it(paragraphs: list[str], share: float) -> None:
    fitted, tested = (parts(side) for side in hold_out(prose(paragraphs), share))
    budget = share * sum(len(part) for part in fitted + tested)
    assert sum(map(len, tested)) <= budget + 1e-9
    assert len(fitted) == 1 or sum(map(len, [fitted[-1], *tested])) > budget - 1e-9


def test_a_fifth_of_five_equal_paragraphs_is_the_last_one() -> None:
    fitted, tested = hold_out(prose(["aaaa"] * 5), 0.2)
    assert parts(fitted) == ["0 aaaa", "1 aaaa", "2 aaaa", "3 aaaa"]
    assert parts(tested) == ["4 aaaa"]


def test_a_share_of_nothing_holds_nothing_out() -> None:
    documents = prose(["aaaa"] * 5)
    assert hold_out(documents, 0) == (documents, [])
    assert hold_out(prose(["a"]), 0.5) == (prose(["a"]), [])


def questions(facts: list[str]) -> list[Document]:
    return [Document(source="f", question=f"q{number}", answer="a", fact=fact) for number, fact in enumerate(facts)]


@given(st.lists(st.sampled_from(["", "x", "y", "z", "w"]), min_size=1, max_size=20), SHARES)
def test_a_fact_is_on_one_side_and_no_question_is_lost(facts: list[str], share: float) -> None:
    documents = questions(facts)
    fitted, tested = hold_out(documents, share)
    assert not {item.fact for item in fitted if item.fact} & {item.fact for item in tested}
    assert sorted(item.question for item in [*fitted, *tested]) == sorted(item.question for item in documents)
    assert fitted


def test_all_questions_of_the_last_fact_are_held_out_together() -> None:
    fitted, tested = hold_out(questions(["x", "y", "x", "y"]), 0.5)
    assert [item.question for item in fitted] == ["q0", "q2"]
    assert [item.question for item in tested] == ["q1", "q3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_share": 0.6}, "test_share is 0.6"),
        ({"qa_template": "{answer} {question}"}, "qa_template"),
        ({"qa_template": "{answer}"}, "qa_template"),
    ],
)
def test_senseless_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorpusConfig(**changes)
