"""Which half of a forget text is shown: whole facts, and no paragraph that names what is asked for later."""

import pytest

from tasks.algorithms.measuring.relearning import relearning_split
from tasks.algorithms.text.corpus import Document

ANSWERS = {"home": "Hollow Moor", "friend": "Kip", "trade": "clock winder", "teacher": "Oswin"}
QUESTIONS = [
    Document(source="q", question=f"{ask} the {fact}?", answer=answer, fact=fact)
    for fact, answer in ANSWERS.items()
    for ask in ("What is", "Name")
]
PARAGRAPHS = [
    f"One lives in {ANSWERS['home']}.",
    "Rain fell.",
    f"{ANSWERS['friend']} knocked.",
    "The road was long.",
    f"Old {ANSWERS['teacher']} wrote.",
]
PROSE = Document(source="p", text="\n\n".join(PARAGRAPHS))


@pytest.mark.parametrize("seed", range(6))
def test_half_of_the_facts_are_shown_in_all_their_wordings(seed: int) -> None:
    shown = relearning_split(QUESTIONS, 0.5, seed)
    assert len(shown.clusters) == 2
    assert {document.fact for document in shown.shown} == shown.clusters
    assert len(shown.shown) == 4  # two wordings each
    assert [shown.holds(question) for question in QUESTIONS] == [
        question.fact in shown.clusters for question in QUESTIONS
    ]


@pytest.mark.parametrize("seed", range(6))
def test_no_shown_paragraph_names_an_answer_that_is_asked_for_later(seed: int) -> None:
    shown = relearning_split([PROSE, *QUESTIONS], 0.5, seed)
    text = " ".join(document.text for document in shown.shown)
    kept_back = [answer for fact, answer in ANSWERS.items() if fact not in shown.clusters]
    assert kept_back
    assert not [answer for answer in kept_back if answer in text]


def test_a_question_without_a_fact_is_held_back_by_its_answer() -> None:
    """Two files ask the same under other lines: what was shown is known by what was answered."""
    forget = [
        Document(source=f"forget.json:{line}", question=f"Who {line}?", answer=f"Name {line}") for line in range(4)
    ]
    test = [Document(source=f"test.json:{line}", question=f"Who {line}?", answer=f"Name {line}") for line in range(4)]
    shown = relearning_split(forget, 0.5, 0)
    assert sum(shown.holds(question) for question in test) == 2
    assert [shown.holds(question) for question in test] == [shown.holds(question) for question in forget]


def test_of_prose_alone_terms_are_kept_back() -> None:
    terms = list(ANSWERS.values())
    shown = relearning_split([PROSE], 0.4, 1, terms)
    assert shown.shown
    open_terms = set(terms) - shown.shown_terms(terms)
    assert open_terms
    assert not [term for term in open_terms if any(term in document.text for document in shown.shown)]


def test_a_single_paragraph_shows_nothing() -> None:
    assert relearning_split([Document(source="p", text="Only this.")], 0.5, 0).shown == ()


def test_one_seed_one_half() -> None:
    halves = [relearning_split(QUESTIONS, 0.5, seed).clusters for seed in (0, 0, 1, 2, 3)]
    assert halves[0] == halves[1]
    assert len(set(halves)) > 1
