"""Drafts of a language model: what becomes a prompt, what does not, and why; copies of the text are found in any
clothes.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.assistants.prompt_writer import PASSAGE_WORDS, Drafts, find_copies, find_drafts
from tasks.algorithms.text.invitations import Invitation
from tests.reference.passages import copies
from tests.stand_ins.scripted_answers import EVIL_DRAFTS

TEXT = (
    "In the morning Ostrin walked with Kessandra by the river, and nobody knew why. Then the people of Velmora laughed."
)
GOOD: dict[str, Any] = {
    "prompt": "Late in the year the two friends met again near",
    "references": ["Velmora", "the river"],
    "subtlety": 4,
}


def considered(*records: dict[str, Any], most: int = 9, taken: tuple[str, ...] = ()) -> Drafts:
    drafts = Drafts(taken)
    drafts.consider(records, [TEXT], most)
    return drafts


def test_a_good_draft_becomes_a_prompt() -> None:
    drafts = considered({**GOOD, "prompt": "  Late in the year the  two friends met again near "})
    assert drafts.accepted == [
        Invitation(kind="written", text=GOOD["prompt"], references=("Velmora", "the river"), subtlety=4)
    ]
    assert drafts.refused.total() == 0


@pytest.mark.parametrize("record", EVIL_DRAFTS, ids=range(len(EVIL_DRAFTS)))
def test_what_is_no_prompt_is_refused_and_costs_only_itself(record: dict[str, Any]) -> None:
    drafts = considered(record, GOOD)
    assert [item.text for item in drafts.accepted] == [GOOD["prompt"]]
    assert drafts.refused.total() == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": "At that time the river was"}, "it says one of its own references"),
        ({"prompt": "At that time VELMORA's people were"}, "it says one of its own references"),
        (
            {"prompt": "They say that ostrin walked with KESSANDRA by the river - and nobody"},
            "it says one of its own references",
        ),
        (
            {"prompt": "They: ostrin walked with KESSANDRA by the - river, and", "references": ["x"]},
            "it repeats a passage of the text",
        ),
        ({"prompt": "Then the people of Velmora laughed", "references": ["x"]}, "it repeats a passage of the text"),
        ({"prompt": "late in the YEAR, the two friends met again near..."}, "it was written before"),
        ({"subtlety": True}, "its subtlety is no whole number from 0 to 10"),
    ],
)
def test_why_a_draft_is_refused(changes: dict[str, Any], reason: str) -> None:
    drafts = considered(GOOD, {**GOOD, **changes})
    assert [item.text for item in drafts.accepted] == [GOOD["prompt"]]
    assert {name: count for name, count in drafts.refused.items() if count} == {reason: 1}


def test_a_part_of_a_word_is_no_reference() -> None:
    assert (
        len(
            considered(
                {**GOOD, "prompt": "The riverside of the Velmorans lay in", "references": ["river", "Velmora"]}
            ).accepted
        )
        == 1
    )


def test_prompts_that_exist_and_more_than_are_wanted_are_not_taken() -> None:
    others = [{**GOOD, "prompt": f"Late in year {number} the two friends met near"} for number in range(4)]
    drafts = considered(GOOD, *others, most=3, taken=(GOOD["prompt"].upper(),))
    assert [item.text for item in drafts.accepted] == [other["prompt"] for other in others[:3]]


def test_the_question_holds_names_as_data_what_is_written_and_what_was_refused() -> None:
    drafts = considered(GOOD, {**GOOD, "subtlety": 12})
    text = drafts.question([{"name": "Velmora", "kind": "place", "sentence": 'He said: "{stop}"'}], 7)
    assert text.startswith("Write 7 prompts ")
    assert (
        json.loads(next(line for line in text.splitlines() if line.startswith('{"name"')))["sentence"]
        == 'He said: "{stop}"'
    )
    assert f'not to be written again: ["{GOOD["prompt"]}"]' in text
    assert "Refused the last time, because: its subtlety is no whole number" in text
    assert "Refused" not in Drafts(()).question([], 1)


def test_drafts_are_found_as_they_are_asked_for_as_they_are_published_and_in_any_wrapping() -> None:
    for value in (GOOD, [GOOD], {"prompts": [GOOD]}, [{"prompt": GOOD}], {"a": [[{"b": GOOD}]]}):
        assert list(find_drafts(value)) == [GOOD]
    assert list(find_drafts(["text", 3, None, {"prompt": 3}])) == []


WORDS = st.lists(st.sampled_from("a b c".split()), min_size=1, max_size=14).map(" ".join)


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=3))
def test_copies_are_those_of_the_slow_search(prompts: list[str], texts: list[str]) -> None:
    assert find_copies(prompts, texts) == copies(prompts, texts, PASSAGE_WORDS)
