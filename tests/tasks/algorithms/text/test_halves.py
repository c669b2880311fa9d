"""Claims: both halves together are the whole and share nothing; what asks for one fact stays together, also across
splits; which half something is in follows from the seed and from what it says alone.
"""

import itertools
from dataclasses import replace

from tasks.algorithms.text.corpus import Document, split_paragraphs
from tasks.algorithms.text.halves import LEAST_STRETCHES, STRETCH, halve


def question(number: int, fact: str = "", way: str = "Who") -> Document:
    return Document(source="a.jsonl", question=f"{way} is {number}?", answer=f"It is {number}.", fact=fact)


def prose(paragraphs: int, words: int = 60) -> Document:
    return Document(
        source="a.txt",
        text="\n\n".join(f"Paragraph {number} " + "says little. " * words + "." for number in range(paragraphs)),
    )


def test_the_halves_are_the_whole_and_share_nothing() -> None:
    documents = [*map(question, range(21)), prose(40)]
    first, second = halve(documents, 0)
    asked = [{document.question for document in half if document.is_question} for half in (first, second)]
    said = [{part for document in half for part in split_paragraphs(document.text)} for half in (first, second)]
    assert asked[0] | asked[1] == {document.question for document in documents[:21]}
    assert said[0] | said[1] == set(split_paragraphs(documents[-1].text))
    assert not asked[0] & asked[1]
    assert not said[0] & said[1]
    assert [len(half) for half in asked] == [11, 10], "of either kind"
    assert abs(len(said[0]) - len(said[1])) <= 3, "the last stretch is short"


def test_all_that_asks_for_one_fact_is_in_one_half() -> None:
    documents = [question(number, f"fact {number}", way) for number in range(10) for way in ("Who", "What", "Which")]
    first, second = ({document.fact for document in half} for half in halve(documents, 3))
    assert (len(first), len(second), first & second) == (5, 5, set())


def test_texts_of_a_pair_are_in_the_same_half_of_their_splits() -> None:
    pairs = [
        [Document(source=side, text=f"{side} said {number}.", fact=f"pair {number}") for number in range(9)]
        for side in ("She", "He")
    ]
    one, other = ([{document.fact for document in half} for half in halve(split, 1)] for split in pairs)
    assert one == other


def test_a_half_follows_from_content_and_seed() -> None:
    documents = [question(number) for number in range(30)]
    first, second = halve(documents, 0)
    turned = halve([replace(document, source="b.jsonl") for document in reversed(documents)], 0)
    assert [{document.question for document in half} for half in turned] == [
        {document.question for document in half} for half in (first, second)
    ]
    assert halve(documents, 1)[0] != first
    assert [document.question for document in first] == [
        document.question for document in documents if document in first
    ], "the order stays"


def test_prose_stays_in_stretches_where_there_is_enough_of_it() -> None:
    long, short = prose(200, words=20), prose(4, words=2)
    (kept,), _ = halve([long], 0)
    numbers = [int(part.split()[1]) for part in split_paragraphs(kept.text)]
    runs = 1 + sum(after != before + 1 for before, after in itertools.pairwise(numbers))
    assert len(kept.text) / runs > STRETCH / 2
    assert len(numbers) < 200
    first, second = halve([short], 0)
    assert [len(split_paragraphs(half[0].text)) for half in (first, second)] == [2, 2]
    assert LEAST_STRETCHES > 2


def test_what_cannot_be_parted_is_in_the_first_half() -> None:
    for single in (question(0), prose(1)):
        assert halve([single], 0) == ([single], [])
    assert halve([], 0) == ([], [])
