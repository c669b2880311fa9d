"""The project's own pipeline: what surroundings make of a name, and how often a text is read for it."""

from collections.abc import Iterator

import pytest

from tasks.algorithms.text.anchors import AnchorExpression, AnchorMatch
from tasks.inputs.english_pipeline import ruled_kind, ruled_pipeline


@pytest.mark.parametrize(
    ("term", "before", "after", "kind"),
    [
        ("Emerald City", "saw the ", " shine", "PLACE"),
        ("Kansas", "lived in ", " with", "PLACE"),
        ("Aunt Em", "saw ", " there", "PERSON"),
        ("Mr. Fox", "in ", " there", "PERSON"),
        ("Toto", "then ", " said so", "PERSON"),
        ("Toto", "asked ", ", and", "PERSON"),
        ("Toto", "near ", "\u2019s tail", "PERSON"),
        ("Winkies", "all the ", " came", "GROUP"),
        ("Toto", "and ", " and", "THING"),
    ],
)
def test_the_words_around_a_name_tell_its_kind(term: str, before: str, after: str, kind: str) -> None:
    assert ruled_kind(term, before, after) == kind


def entities(text: str) -> list[tuple[str, str]]:
    return [(entity.text, entity.label_) for entity in ruled_pipeline()(text).ents]


def test_a_name_is_marked_wherever_it_stands_and_has_one_kind() -> None:
    text = 'The girl met Toto there. Toto ran. "Toto," said Aunt Em, and Toto said nothing in the Emerald City.'
    assert entities(text) == [("Toto", "PERSON")] * 3 + [
        ("Aunt Em", "PERSON"),
        ("Toto", "PERSON"),
        ("Emerald City", "PLACE"),
    ]


def test_the_longest_name_wins_and_its_spellings_are_it() -> None:
    found = entities("She met the Tin Woodman, the Woodman and the Tin-Woodman\u2019s\nfriend of the Tin\nWoodman.")
    assert [text for text, _ in found] == ["Tin Woodman", "Woodman", "Tin-Woodman", "Tin\nWoodman"]


def test_what_a_token_cannot_part_from_a_dash_is_no_entity() -> None:
    assert entities("they called him Tortoise--' because") == []


def test_a_text_without_names_has_no_entities() -> None:
    assert entities("all is quiet here") == entities("") == []


def test_a_text_is_read_twice_however_many_names_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to see what stands around the names, once to mark them; not once a name."""
    read = []
    find = AnchorExpression.find

    def counted(self: AnchorExpression, text: str) -> Iterator[AnchorMatch]:
        read.append(len(text))
        return find(self, text)

    monkeypatch.setattr(AnchorExpression, "find", counted)
    for names in (3, 300):
        read.clear()
        text = " ".join(
            f"They met Toto{chr(97 + number % 26)}{chr(97 + number // 26)} there." for number in range(names)
        )
        assert len(ruled_pipeline()(text).ents) == names
        assert read == [len(text)] * 2
