"""Claims: what a text is counted in, and where its words may begin and end, in scripts that space words and in those
that do not; ordinary English is counted as by white space.
"""
# ruff: noqa: RUF001 - letters of many scripts

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.text.scripts import (
    compared_units,
    first_units,
    is_unspaced,
    last_units,
    marks,
    spellings,
    spoken_units,
    word_begin,
    word_end,
)

ENGLISH = st.text("abcXYZ .,'-\n09", max_size=60)


@given(ENGLISH)
def test_english_is_counted_by_white_space(text: str) -> None:
    assert spoken_units(text) == text.split()
    assert first_units(text, 3) == " ".join(text.split()[:3])
    assert last_units(text, 3) == " ".join(text.split(" ")[-3:]).rstrip()
    assert not is_unspaced(text)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("多萝西住在堪萨斯。", [*"多萝西住在堪萨斯", "。"]),
        ("Toto 是小狗", ["Toto", *"是小狗"]),
        ("iPhone手机", ["iPhone", "手", "机"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("ភ្នំពេញ", ["ភ្", "នំ", "ពេ", "ញ"]),
        ("도로시는 갔다", ["도로시는", "갔다"]),
        ("ドロシーは", [*"ドロシーは"]),
    ],
)
def test_letters_are_counted_where_words_are_not_spaced(text: str, units: list[str]) -> None:
    assert spoken_units(text) == units


@given(st.text("日本語ไทยไม้ខ្មែរ abcがé́", max_size=40), st.integers(1, 10))
def test_beginnings_and_ends_are_so_many_units_and_never_tear_marks_off(text: str, count: int) -> None:
    text = " ".join(text.split())
    if not is_unspaced(text):
        return
    for part in (first_units(text, count), last_units(text, count)):
        assert part in text
        assert len(spoken_units(part)) <= count
    assert text.startswith(first_units(text, count))
    assert first_units(text, 1000) == last_units(text, 1000) == text


def test_what_is_compared_has_one_spelling_and_one_case() -> None:
    assert compared_units("Die GROSSE Straße, 3 cafés!") == ["die", "grosse", "strasse", "3", "cafés"]
    assert compared_units(unicodedata.normalize("NFD", "Café Zürich")) == ["café", "zürich"]
    assert compared_units("ＡＢＣ") == ["abc"]
    assert compared_units("नमस्ते") == ["नमस्ते"]
    assert compared_units("... 🐶 --") == []


def test_marks_are_those_of_unicode() -> None:
    for signs, points in (("𠀀", (*range(0x20000), 0xE0100, 0xE01EF)), ("त", range(0x10000)), ("é", range(0x590))):
        found = re.compile(f"[{marks(signs)}]")
        for point in points:
            assert bool(found.match(chr(point))) == unicodedata.category(chr(point)).startswith("M")


@pytest.mark.parametrize(
    ("word", "text", "times"),
    [
        ("Toto", "Toto, Totos Toto's xToto", 2),
        ("cafe", "cafe cafe\u0301 café", 1),
        ("राम", "राम रामा राम।", 2),
        ("奥兹", "去奥兹国的奥兹", 2),
        ("トト", "トトはトトロとトトに", 2),
        ("도로시", "도로시는 도로시를 아도로시", 2),
        ("توتو", "توتو وتوتو بتوتو توتوي", 3),
        ("สมชาย", "นายสมชายไป", 1),
        ("ที", "ที่", 0),
    ],
)
def test_where_words_begin_and_end(word: str, text: str, times: int) -> None:
    assert len(re.findall(word_begin([word]) + re.escape(word) + word_end([word]), text)) == times


def test_a_letter_is_found_composed_or_not() -> None:
    assert re.fullmatch(spellings("é"), "é")
    assert re.fullmatch(spellings("é"), "e\u0301")
    assert spellings("a") == "a"
