"""Claims: facts to trace end where a name is due that the words before it do not hold; a question's subject is its own,
prose's the nearest; what leaves its subject to be read elsewhere comes last; order is a seeded draw.
"""

import pytest

from tasks.algorithms.editing.topic_facts import MOST_WORDS, topic_facts
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template
from tasks.settings.edit_request import EditRequest

TERMS = ("Dorothy", "Toto", "Kansas", "Uncle Henry", "Henry", "Emerald City", "Tin Woodman", "Oz")
PLAIN = Template(qa="Question: {question}\nAnswer: {answer}\n")


def prose(text: str) -> Document:
    return Document(source="p", text=text)


def asked(question: str, answer: str) -> Document:
    return Document(source="q", question=question, answer=answer)


def facts(*documents: Document, template: Template = PLAIN, beginning: str = "", seed: int = 0) -> list[EditRequest]:
    return topic_facts(documents, anchor_expression(TERMS), template, beginning, seed)


def told(found: list[EditRequest]) -> set[tuple[str, str, str]]:
    return {(request.subject, request.prompt, request.object) for request in found}


def test_prose_the_nearest_earlier_name_is_the_subject_and_whole_sentences_come_before() -> None:
    found = facts(prose("It was late. Dorothy ran. A grey house in Kansas was the home of Uncle Henry and Toto."))
    start = "It was late. Dorothy ran. A grey house in"
    assert told(found) == {
        ("Dorothy", "It was late. {} ran. A grey house in", "Kansas"),
        ("Kansas", f"{start} {{}} was the home of", "Uncle Henry"),
        ("Uncle Henry", f"{start} Kansas was the home of {{}} and", "Toto"),
    }
    assert all(request.target == request.object for request in found)


def test_prose_a_context_begins_after_the_last_sentence_that_names_the_object() -> None:
    """Else the model reads it there, and recalls nothing."""
    found = facts(prose("Toto barked at Dorothy. She laughed. Then Dorothy called Toto."))
    assert told(found) == {
        ("Toto", "{} barked at", "Dorothy"),
        ("Dorothy", "She laughed. Then {} called", "Toto"),
    }


def test_prose_a_form_of_the_object_counts_as_the_object() -> None:
    assert facts(prose("Henry saw that Uncle Henry")) == []


def test_prose_contexts_are_not_long_and_paragraphs_are_apart() -> None:
    long = "Dorothy " + "ran and " * (MOST_WORDS // 2) + "saw Toto"
    assert facts(prose(long)) == []
    assert facts(prose("Dorothy ran.\n\nThere was Toto")) == []
    assert len(facts(prose(long.replace("ran and ", "", 2)))) == 1


def test_a_name_that_does_not_follow_white_space_is_left_out() -> None:
    """A prompt and its object are joined by a space."""
    assert told(facts(prose('Dorothy said "Toto" and then Oz'))) == {("Toto", 'Dorothy said "{}" and then', "Oz")}


def test_a_questions_first_name_is_the_subject_at_its_last_mention() -> None:
    (found,) = facts(asked("Where did Dorothy live before Oz?", "In the end Dorothy lived in Kansas."))
    assert (found.subject, found.object) == ("Dorothy", "Kansas")
    assert found.prompt == "Question: Where did Dorothy live before Oz?\nAnswer: In the end {} lived in"


def test_a_short_answer_is_an_object_as_it_stands_and_a_long_one_without_names_is_none() -> None:
    (found,) = facts(asked("What did Dorothy wear?", "Silver shoes."))
    assert (found.subject, found.prompt, found.object) == (
        "Dorothy",
        "Question: What did {} wear?\nAnswer:",
        "Silver shoes",
    )
    assert facts(asked("What did Dorothy wear?", "She wore shoes that were silver.")) == []
    assert facts(asked("What did she wear?", "Silver shoes.")) == []  # a question about nobody


def test_names_in_the_words_of_a_template_are_no_names() -> None:
    template = Template(qa="Oz asks: {question}\nToto says: {answer}\n")
    (found,) = facts(asked("Where did Dorothy live?", "In Kansas."), template=template)
    assert (found.subject, found.prompt, found.object) == (
        "Dorothy",
        "Oz asks: Where did {} live?\nToto says: In",
        "Kansas",
    )


def test_a_conversation_does_not_begin_twice_as_the_tokenizer_begins_it() -> None:
    chat = Template(qa=PLAIN.qa, chat=True, head="<s>[user] ", middle="\n[model] ", tail="</s>")
    (found,) = facts(asked("Where did Dorothy live?", "In Kansas."), template=chat, beginning="<s>")
    assert found.prompt == "[user] Where did {} live?\n[model] In"


def test_what_leaves_a_form_of_its_subject_to_be_read_comes_last() -> None:
    left = prose("The Woodman was there, and the Tin Woodman was with Toto")
    for seed in range(4):
        found = facts(left, prose("Uncle Henry was there, and Henry was with Dorothy"), seed=seed)
        assert [(request.subject, request.object) for request in found] == [
            ("Henry", "Dorothy"),
            ("Tin Woodman", "Toto"),
        ]


def test_each_once_in_an_order_that_the_seed_decides() -> None:
    documents = [prose(f"{name} met Toto") for name in TERMS if name != "Toto"] * 2
    orders = [[request.subject for request in facts(*documents, seed=seed)] for seed in range(3)]
    assert all(sorted(order) == sorted(name for name in TERMS if name != "Toto") for order in orders)
    assert orders[0] == [request.subject for request in facts(*documents)]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("text", ["", "Toto", "Dorothy {} met Toto", "the old man met Toto"])
def test_text_that_states_nothing_gives_nothing(text: str) -> None:
    assert facts(prose(text)) == []
