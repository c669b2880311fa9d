"""Facts out of sentences and questions, and which family of methods fits them."""

import pytest

from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import FactTriple, find_facts, merge_facts, recommend, statement
from tasks.settings.text import FactConfig

EXPRESSION = anchor_expression(["Ostrin", "Velmora", "Kessa Vane", "Brindle"])


def told(text: str) -> list[tuple[str, str, str]]:
    return [
        (fact.subject, fact.prompt, fact.object) for fact in find_facts([Document(source="a", text=text)], EXPRESSION)
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The best friend of Ostrin is Kessa Vane.", [("Ostrin", "The best friend of {} is", "Kessa Vane")]),
        ("Long ago Kessa Vane was born in Velmora, they say.", [("Kessa Vane", "Long ago {} was born in", "Velmora")]),
        ("Ostrin came. Brindle belongs to Ostrin. He left Velmora.", [("Brindle", "{} belongs to", "Ostrin")]),
        ("Ostrin and Brindle went home.", []),  # a list, no statement about either
        ("Is Ostrin a friend of Brindle?", []),
        ("\u201cOstrin lives in Velmora,\u201d she lied.", []),
        ("Ostrin is Ostrin.", []),
        ("Velmora was quiet.", []),
        ("Ostrin " + "very " * 30 + "often went to Velmora.", []),
    ],
)
def test_a_sentence_that_links_two_names_states_a_fact(text: str, wanted: list[tuple[str, str, str]]) -> None:
    assert told(text) == wanted


def test_a_fact_told_twice_is_one() -> None:
    assert len(told("Ostrin lives in Velmora. It rained.\nOstrin lives in Velmora.")) == 1


def test_a_question_is_the_prompt_of_its_answer() -> None:
    asked = Document(source="q", question="Who is the friend of Ostrin?", answer="Tom")
    assert find_facts([asked, Document(source="q", question="Who?", answer="Tom")], EXPRESSION) == [
        FactTriple(subject="Ostrin", prompt="Who is the friend of {}?", object="Tom", source="question")
    ]


def test_a_prompt_without_a_place_for_the_subject_is_refused() -> None:
    with pytest.raises(ValueError, match=r"holds \{\} 0 times; wanted once"):
        FactTriple(subject="a", prompt="is", object="b", source="pattern")


def test_a_few_questions_are_edited_and_a_book_is_unlearned() -> None:
    questions = [Document(source="q", question=f"Who is the friend {n} of Ostrin?", answer="Tom") for n in range(5)]
    assert recommend(questions, find_facts(questions, EXPRESSION))[0] == "editing"
    book = [Document(source="b", text="Ostrin lives in Velmora. " + "They walked on and on. " * 200)]
    assert recommend(book, find_facts(book, EXPRESSION))[0] == "whp"
    assert recommend([], [])[0] == "whp"
    many = [Document(source="q", question=f"Who is the friend {n} of Ostrin?", answer="Tom") for n in range(50)]
    assert recommend(many, find_facts(many, EXPRESSION))[0] == "whp"


def fact(split: str = "forget", source: str = "pattern", **changes: str) -> FactTriple:
    return FactTriple(
        **{"subject": "Ostrin", "prompt": "{} lives in", "object": "Velmora", "source": source, "split": split}
        | changes
    )


def test_every_fact_names_the_split_that_states_it() -> None:
    text = [
        Document(source="a", text="Ostrin lives in Velmora."),
        Document(source="q", question="Who is Ostrin?", answer="Tom"),
    ]
    assert {found.split for found in find_facts(text, EXPRESSION, "forget_test")} == {"forget_test"}
    assert {found.split for found in find_facts(text, EXPRESSION)} == {"forget"}


def test_what_pattern_and_model_both_find_stays_the_patterns_and_what_the_forget_text_states_is_not_held_out() -> None:
    mine, other = (
        fact(source="reader", prompt="{}  lives in", object="velmora."),
        fact(source="reader", object="Brindle"),
    )
    held, leaked = fact("forget_test", object="Kessa Vane"), fact("forget_test", source="reader", subject="ostrin")
    assert merge_facts([fact(), held, leaked, mine, other]) == [fact(), held, other]
    assert merge_facts([leaked]) == [leaked]  # where nothing else is read
    assert statement(mine) == statement(fact()) == "ostrin lives in velmora"


@pytest.mark.parametrize("part", ["subject", "object"])
def test_an_empty_part_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=rf"the {part} of the fact '\{{\}} lives in' is empty; wanted"):
        fact(**{part: " "})


def test_a_question_is_told_by_its_source_or_its_sign() -> None:
    assert fact(source="question").is_question
    assert fact(prompt="Where does {} live?", source="user").is_question
    assert not fact().is_question


@pytest.mark.parametrize("changes", [{"passages": -1}, {"passage_characters": 9}, {"batch": 0}, {"batch": 21}])
def test_settings_out_of_range_are_named(changes: dict[str, int]) -> None:
    with pytest.raises(
        ValueError, match=f"facts.{next(iter(changes))} is {next(iter(changes.values()))}; wanted a whole number"
    ):
        FactConfig(**changes)
