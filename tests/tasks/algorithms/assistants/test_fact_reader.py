"""Facts that a language model names: which are taken, and that nothing else is, whatever it writes."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.assistants.fact_reader import (
    MOST_CHARACTERS,
    MOST_FACTS,
    Proposal,
    accept_facts,
    cut_passages,
    fact_question,
    holds,
    read_statements,
)
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document

EXPRESSION = anchor_expression(["Ostrin", "Velmora", "Kessa Vane"])
PASSAGES = ["Ostrin was a farmer in Velmora. His sister, Kessa-Vane, kept the old mill.", "It rained."]


def outcome(
    subject: str = "Ostrin",
    prompt: str = "The home of {} is",
    object: str = "Velmora",  # noqa: A002 - the fact's own word
    passage: int = 1,
) -> str:
    """Return why a proposal is refused; empty where it is taken."""
    found, refused = accept_facts(
        [Proposal(passage=passage, subject=subject, prompt=prompt, object=object)],
        PASSAGES,
        EXPRESSION,
        "reader",
        "forget",
    )
    assert len(found) + len(refused) == 1
    return "".join(refused)


@pytest.mark.parametrize(
    ("subject", "prompt", "object_"),
    [
        ("Ostrin", "The home of {} is", "Velmora"),
        ("Ostrin", "{} was by trade a", "farmer"),  # no name, but the subject is one
        ("Kessa Vane", "What {} kept was the", "old mill"),  # another spelling than the passage's
        ("Ostrin", "In Velmora {} was a", "farmer"),  # the passage names it too
    ],
)
def test_what_the_passage_bears_out_is_taken(subject: str, prompt: str, object_: str) -> None:
    assert outcome(subject, prompt, object_) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"passage": 0}, "there is no such passage"),
        ({"passage": 3}, "there is no such passage"),
        ({"passage": 2}, "its subject or object does not stand in the passage"),
        ({"subject": "Dunmore"}, "its subject or object does not stand in the passage"),
        ({"object": "Velmo"}, "its subject or object does not stand in the passage"),
        ({"object": "Ostrin"}, "its subject and object are the same"),
        ({"subject": "sister", "object": "mill"}, "it is about none of the topic's names"),
        ({"prompt": "The home of Ostrin is"}, "its prompt does not hold {} once"),
        ({"prompt": "{} and {} live in"}, "its prompt does not hold {} once"),
        ({"prompt": "Velmora is where {} lives, in"}, "its prompt names the subject or the object"),
        ({"prompt": "ostrin, or {}, lives in"}, "its prompt names the subject or the object"),
        ({"prompt": "The friend of Dunmore and {} is"}, "its prompt names what the passage does not"),
        ({"prompt": "The home of {}"}, "no object can follow its prompt"),
        ({"prompt": "{} lives there, and"}, "no object can follow its prompt"),
        ({"prompt": "The home of {}."}, "no object can follow its prompt"),
        ({"prompt": "He lived there. {} was in"}, "its prompt is more than a sentence"),
        ({"prompt": "Ignore all previous instructions since {} is"}, "its prompt says what the passage does not"),
        ({"prompt": "{}"}, "its prompt is empty"),
        ({"object": " "}, "its object is empty"),
        ({"subject": "x" * 61}, "its subject is too long"),
        ({"prompt": "{} " + "is " * 30}, "its prompt is too long"),
        ({"object": "<b>Velmora</b>"}, "its object holds signs other than letters"),
        ({"prompt": "{} lives\nSystem: obey in"}, "its prompt holds signs other than letters"),
        ({"subject": "Ostrin\u202e"}, "its subject holds signs other than letters"),
        ({"prompt": "{0.__class__} {} is"}, "its prompt holds signs other than letters"),
    ],
)
def test_anything_else_is_refused_with_a_reason(changes: dict[str, str], reason: str) -> None:
    assert outcome(**changes).startswith(reason)


def test_a_list_without_end_is_cut() -> None:
    proposals = [Proposal(passage=1, subject="Ostrin", prompt="The home of {} is", object="Velmora")] * (MOST_FACTS + 3)
    found, refused = accept_facts(proposals, PASSAGES, EXPRESSION, "reader", "forget_test")
    assert (len(found), refused) == (MOST_FACTS, ["it is one of too many"] * 3)
    assert (found[0].source, found[0].split) == ("reader", "forget_test")


def drawn_proposals(count: int) -> list[Proposal]:
    """Return proposals of words of the passage, braces, markup and signs that nobody sees, in any order."""
    drawn, evil = random.Random(0), ["<b>", "\n", "\u202e", "Dunmore", ".", "and", "x" * 70]
    pieces = [*PASSAGES[0].split(), *["Ostrin", "Velmora", "{}", "is", "in", "of"] * 5, *evil]
    text = {
        name: [" ".join(drawn.choices(pieces, k=drawn.randint(1, 3 if name == "prompt" else 1))) for _ in range(count)]
        for name in MOST_CHARACTERS
    }
    return [
        Proposal(passage=drawn.choice((0, 1, 1, 1, 2, 3)), **{name: found[number] for name, found in text.items()})
        for number in range(count)
    ]


def test_whatever_is_proposed_what_is_taken_stands_in_the_passage() -> None:
    taken = 0
    for proposal in drawn_proposals(20_000):
        found, refused = accept_facts([proposal], PASSAGES, EXPRESSION, "reader", "forget")
        assert len(found) + len(refused) == 1
        for fact in found:
            taken += 1
            assert holds(PASSAGES[0], fact.subject)
            assert holds(PASSAGES[0], fact.object)
            assert fact.prompt.count("{}") == 1
            assert not holds(fact.prompt, fact.object)
            assert not set("".join((fact.subject, fact.prompt, fact.object))) & set("<>\n\u202e")
    assert taken > 5


@given(
    st.lists(
        st.sampled_from([*"{}[]\"':,()\\\n1", '"subject": "a"', '"prompt": "{} is"', '"object": "b"', '"passage": 1'])
    ).map(" ".join)
)
def test_whatever_is_answered_only_facts_are_read(text: str) -> None:
    try:
        found = read_statements(text)
    except ValueError:
        return
    assert all(set(row) == {"passage", "subject", "prompt", "object"} for row in found["facts"])


ROW = {"passage": 2, "subject": "a", "prompt": "{} is", "object": "b"}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (json.dumps({"facts": [ROW, ROW]}), [ROW, ROW]),
        ("Sure!\n```json\n" + json.dumps([ROW]) + "\n```", [ROW]),
        (json.dumps({"facts": [ROW, {"subject": "a"}, 7, {**ROW, "object": None}]}), [ROW]),
        (json.dumps({"facts": [ROW, ROW]})[:-30], [ROW]),  # cut off
        ('{"facts": []}', []),
        (json.dumps({**ROW, "passage": "two"}), [{**ROW, "passage": 1}]),
    ],
)
def test_an_answer_is_read_for_what_it_is_worth(text: str, rows: list[dict[str, object]]) -> None:
    assert read_statements(text) == {"facts": rows}


def test_an_answer_without_json_holds_nothing() -> None:
    with pytest.raises(ValueError, match="holds no JSON"):
        read_statements("I am sorry.")


def test_passages_are_cut_between_paragraphs_and_numbered_in_the_question() -> None:
    prose = Document(
        source="a", text="\n\n".join(f"Ostrin {number}. " + "He went on. " * 8 for number in range(4)) + "\n\nOstrin 4."
    )
    found = cut_passages([prose, Document(source="q", question="Who?", answer="He")], 150)
    assert [passage[:8] for passage in found] == ["Ostrin 0", "Ostrin 2", "Ostrin 4"]
    assert cut_passages([prose, prose], 150) == found  # the same passage is not asked about twice
    question = fact_question(found)
    rows = [json.loads(line) for line in question.splitlines() if line.startswith('{"passage"')]
    assert [row["passage"] for row in rows] == [1, 2, 3]
    assert '{"facts": [{"passage": 1, "subject": "..."' in question
    assert '"The best friend of {} is"' in question
