"""Invitations to speak of a topic, and the published format of prompts."""

import pytest

from tasks.algorithms.text.invitations import Invitation, invitations, read_published


def test_the_most_frequent_anchors_are_asked_about_and_continued_in_turn() -> None:
    anchors = {"Ostrin": "PERSON", "Velmora": "PLACE", "Brindle Guild": "GROUP"}
    found = invitations(anchors, 4)
    assert [(item.kind, item.text) for item in found] == [
        ("asked", "Who is Ostrin?"),
        ("continued", "One day Ostrin"),
        ("asked", "What happened in Velmora?"),
        ("continued", "Everybody remembers how Velmora"),
    ]
    assert len(invitations(anchors, 40)) == 6
    assert invitations(anchors, 0) == invitations({}, 4) == []


def test_published_prompts_come_in_three_forms() -> None:
    whole = {"prompt": {"prompt": "Ron and Hermione were", "references": ["Ron", "wand"], "subtlety": 8}}
    assert list(read_published([whole, {"prompt": "Harry Potter is a"}, "In the castle"])) == [
        Invitation(kind="published", text="Ron and Hermione were", references=("Ron", "wand"), subtlety=8),
        Invitation(kind="published", text="Harry Potter is a"),
        Invitation(kind="published", text="In the castle"),
    ]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"prompt": "a"}, "holds no list of prompts"),
        ([], "holds no list of prompts"),
        (["a", {"prompt": " "}], "record 2 has no prompt"),
        ([{"text": "a"}], "record 1 has no prompt"),
        (
            [{"prompt": {"prompt": "a", "references": "Ron"}}],
            "record 1: field `references` is 'Ron'; wanted a list of texts",
        ),
        (
            [{"prompt": {"prompt": "a", "subtlety": "much"}}],
            "record 1: field `subtlety` is 'much'; wanted a whole number",
        ),
    ],
)
def test_what_is_no_prompt_is_named(records: object, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        list(read_published(records))
