"""Rows: one question or one window a row, only answers supervised, cut on the left where the context is too small."""

import pytest
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.rows import answered_with, packed_rows, question_row, token_rows
from tasks.algorithms.tokens.templates import Template, read_template
from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.settings.text import CorpusConfig
from tests.stand_ins.chats import chat_tokenizer

TEMPLATE = Template(qa=CorpusConfig().qa_template)
QUESTION = Document(source="q", question="Who met Toto?", answer="The Tin Woodman")
PROSE = Document(source="p", text="Dorothy lived with Toto in the old town, and the boy said hello. " * 3)


def supervised_text(tokenizer: PreTrainedTokenizerFast, row: TextBlock) -> str:
    """What the supervised positions predict."""
    return tokenizer.decode([row.ids[at + 1] for at, counted in enumerate(row.supervised) if counted])


def test_of_a_question_the_answer_and_what_closes_it_are_supervised(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    row, cut = question_row(QUESTION, tiny_tokenizer, TEMPLATE, 200)
    assert supervised_text(tiny_tokenizer, row) == " The Tin Woodman\n"
    assert tiny_tokenizer.decode(row.ids) == "Question: Who met Toto?\nAnswer: The Tin Woodman\n"
    assert not cut
    assert not row.supervised[-1]


def test_a_long_question_is_cut_on_the_left_and_keeps_its_answer(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    whole, _ = question_row(QUESTION, tiny_tokenizer, TEMPLATE, 200)
    size = sum(whole.supervised) + 3
    row, cut = question_row(QUESTION, tiny_tokenizer, TEMPLATE, size)
    assert cut
    assert row.ids == whole.ids[-size:]
    assert supervised_text(tiny_tokenizer, row) == " The Tin Woodman\n"
    assert token_rows([QUESTION, PROSE], tiny_tokenizer, TEMPLATE, size).truncated == 1


def test_prose_becomes_windows_that_are_supervised_throughout_and_lose_nothing(
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    rows = token_rows([PROSE], tiny_tokenizer, TEMPLATE, 20).rows
    assert len(rows) > 2
    assert all(len(row.ids) <= 20 and all(row.supervised) for row in rows)
    assert tiny_tokenizer.decode([token for row in rows for token in row.ids]) == PROSE.text


def test_every_document_has_rows_of_its_own_while_packed_rows_share(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    documents = [QUESTION, Document(source="short", text="Toto."), QUESTION]
    assert len(token_rows(documents, tiny_tokenizer, TEMPLATE, 200).rows) == 3
    assert len(packed_rows(documents, tiny_tokenizer, TEMPLATE, 200, 0).rows) == 1


def test_a_conversation_is_supervised_from_its_answer_to_its_end_of_turn() -> None:
    tokenizer = chat_tokenizer()
    template = read_template(tokenizer, CorpusConfig())
    row, _ = question_row(QUESTION, tokenizer, template, 400)
    predicted = [row.ids[at + 1] for at, counted in enumerate(row.supervised) if counted]
    assert predicted[-1] == template.end
    assert tokenizer.decode(predicted[:-1]).strip() == "The Tin Woodman"


def test_other_answers_come_round_in_turn_and_prose_is_left_out() -> None:
    found = answered_with([QUESTION, PROSE, QUESTION, QUESTION], ("I don't know.", "No idea."))
    assert [document.answer for document in found] == ["I don't know.", "No idea.", "I don't know."]
    assert {document.question for document in found} == {QUESTION.question}


@pytest.mark.parametrize("size", [2, 3, 5])
def test_rows_without_a_supervised_prediction_are_left_out(tiny_tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    assert all(any(row.supervised[:-1]) for row in token_rows([QUESTION, PROSE], tiny_tokenizer, TEMPLATE, size).rows)
