"""Claims: anchors are found in every script, whether it spaces words or not, however letters and their marks are
written; equal texts have ROUGE 1 in every script; loops and poverty of words show in all of them; anchors that a user
gave and that occur nowhere are named.
"""
# ruff: noqa: RUF001 - letters of many scripts

import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas
import prefect.main  # noqa: F401 - sets its logging up: later it would close the streams of what logs by then
import pytest

from flows.terminal.checks import as_request, checked_files
from tasks.algorithms.assistants.fact_reader import holds
from tasks.algorithms.measuring.degeneration import distinct_2, repetition
from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.measuring.probing import make_prompts
from tasks.algorithms.text.anchors import anchor_expression, count_terms, unmatched_terms
from tasks.algorithms.text.corpus import Document, text_stretches
from tasks.algorithms.text.scripts import spoken_units
from tasks.algorithms.tokens.templates import Template
from tasks.reporting.figures import Figures, _completions, rouge_scorer
from tasks.settings.measuring import ProbingConfig

KIND = "scripts"
Property = Callable[[str, object], None]
TEXTS: dict[str, tuple[str, dict[str, int]]] = {
    "Chinese": (
        "多萝西和托托住在堪萨斯。一天，龙卷风把多萝西的房子卷到了奥兹国，奥兹法师住在翡翠城里。托托回到堪萨斯了。",
        {"多萝西": 2, "托托": 2, "堪萨斯": 2, "奥兹": 2, "翡翠城": 1},
    ),
    "Japanese": (
        "ドロシーとトトはカンザスに住んでいました。ドロシーはエメラルドの都へ行き、魔法使い小林さんに会いました。トトロではない。",
        {"ドロシー": 2, "トト": 1, "カンザス": 1, "エメラルドの都": 1, "小林": 1},
    ),
    "Korean": (
        "도로시는 토토와 캔자스에 살았다. 도로시가 에메랄드 시로 갔을 때 토토도 짖었다. 아도로시아는 없다.",
        {"도로시": 2, "토토": 2, "캔자스": 1, "에메랄드 시": 1},
    ),
    "Thai": (
        "โดโรธีอยู่กับโตโต้ที่แคนซัส วันหนึ่งโดโรธีเดินไปเมืองมรกตและโตโต้เห่า",
        {"โดโรธี": 2, "โตโต้": 2, "แคนซัส": 1, "เมืองมรกต": 1},
    ),
    "Khmer": (
        "សុខារស់នៅភ្នំពេញជាមួយដារា។ ដារាទៅភ្នំពេញជាមួយសុខា។",
        {"សុខា": 2, "ភ្នំពេញ": 2, "ដារា": 2},
    ),
    "Arabic": (
        "عاشت دوروثي مع توتو في كانساس. ذهبت دوروثي وتوتو إلى مدينة الزمرد، وعادت دوروثي لكانساس.",
        {"دوروثي": 3, "توتو": 2, "كانساس": 2, "مدينة الزمرد": 1},
    ),
    "Hindi": ("राम और सीता वन में गए। राम ने सीता से कहा। रामायण एक ग्रंथ है।", {"राम": 2, "सीता": 2}),
    "Russian": ("Дороти и Тото пришли. Тото лаял, а Дороти смеялась. Тотошка не здесь.", {"Дороти": 2, "Тото": 2}),
    "German": ("Dörthe traf Müller in Zürich. Müllers Hund mag Zürich, Dörthe auch.", {"Dörthe": 2, "Zürich": 2}),
    "Vietnamese": ("Nguyễn Huệ gặp Đặng. Đặng chào Nguyễn Huệ.", {"Nguyễn Huệ": 2, "Đặng": 2}),
    "English": (
        "Dorothy's dog Toto met the Tin Woodman; Toto barked at Dorothy.",
        {"Dorothy": 2, "Toto": 2, "Tin Woodman": 1},
    ),
    "Emoji": ("👩‍🚀 Dorothy 🌪️ met Toto🐶. Dorothy ❤️ Toto!", {"Dorothy": 2, "Toto": 2}),
}
"""Script or language -> a text, and how often each of its names stands there."""
FORMS = ("NFC", "NFD")


def test_anchors_are_found_in_every_script_and_form(record_property: Property) -> None:
    tried, escaped = 0, {}
    for language, (text, wanted) in TEXTS.items():
        for written in FORMS:
            for given in FORMS:
                terms = {unicodedata.normalize(given, term): count for term, count in wanted.items()}
                found = count_terms([unicodedata.normalize(written, text)], terms)
                tried += len(terms)
                escaped |= {
                    (language, written, given, term): (found[term], count)
                    for term, count in terms.items()
                    if found[term] != count
                }
    record_property("tried", tried)
    record_property("held", tried - len(escaped))
    assert not escaped


def test_names_are_told_in_completions_in_every_script() -> None:
    for text, wanted in TEXTS.values():
        expression = anchor_expression(wanted)
        assert names_anchor(text, "?", expression)
        assert not names_anchor("?", "?", expression)
        assert all(holds(text, term) for term in wanted)


def test_equal_texts_have_rouge_1_and_others_less(record_property: Property) -> None:
    scorer, escaped = rouge_scorer(), []
    for language, (text, _) in TEXTS.items():
        other = unicodedata.normalize("NFD", text).upper()
        if scorer.score(text, other)["rougeL"].recall != 1 or scorer.score(text, text)["rougeL"].fmeasure != 1:
            escaped.append(language)
        halves = scorer.score(text, text[: len(text) // 2])["rougeL"].recall
        if not 0.2 < halves < 0.8:
            escaped.append((language, halves))
    record_property("tried", 3 * len(TEXTS))
    record_property("held", 3 * len(TEXTS) - len(escaped))
    assert not escaped


def test_english_has_the_rouge_of_the_library() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    library, drawn = RougeScorer(["rougeL"], use_stemmer=True), random.Random(0)
    words = "Running runs don't the_dog 3.14 O'Neill A-B quickly Happiness, x1 . -- being BEES".split()
    for _ in range(200):
        one, other = (" ".join(drawn.choices(words, k=9)) for _ in range(2))
        assert rouge_scorer().score(one, other) == library.score(one, other)


def test_a_true_text_without_a_letter_is_not_measured() -> None:
    row = {"split": "retain_test", "kind": "question", "cluster": "a", "prompt": "?", "completion": "?", "answer": "🐶"}
    collected = Figures()
    _completions(collected, pandas.DataFrame([row | {"truth": "🐶"}]), anchor_expression([]))
    assert "retain_test/rouge_l" not in collected.values
    _completions(collected, pandas.DataFrame([row | {"truth": "托托", "answer": "托托"}]), anchor_expression([]))
    assert collected.values["retain_test/rouge_l"].figure() == 1.0


def test_loops_show_in_every_script(record_property: Property) -> None:
    """A model that turns in circles says a few words again and again."""
    tried, escaped = 0, []
    for language, (text, wanted) in TEXTS.items():
        name = min(wanted, key=len)
        loops = [
            name * 12 if len(spoken_units(name)) > 1 else f"{name} " * 12,
            (name[0] if language in UNSPACED else name + " ") * 12,
        ]
        for loop in loops:
            tried += 1
            if repetition([loop]) < 0.7 or distinct_2([loop]) > 0.3:
                escaped.append((language, loop, repetition([loop]), distinct_2([loop])))
        tried += 1
        if repetition([text]) > 0.15 or distinct_2([text]) < 0.6:
            escaped.append((language, repetition([text]), distinct_2([text])))
    record_property("tried", tried)
    record_property("held", tried - len(escaped))
    assert not escaped


UNSPACED = ("Chinese", "Japanese", "Thai", "Khmer")


@pytest.mark.parametrize("language", UNSPACED)
def test_prompts_are_cut_before_names_and_are_as_long_as_elsewhere(language: str) -> None:
    text, wanted = TEXTS[language]
    config = ProbingConfig(prompt_words=6, new_tokens=4)
    document = Document(source="a", text=text * 4)
    prompts = make_prompts(
        "forget_test", [document], Template(qa="{question}{answer}"), anchor_expression(wanted), config
    )
    assert prompts
    for prompt in prompts:
        assert len(spoken_units(prompt.prompt)) <= 6
        assert len(spoken_units(prompt.truth)) <= 4
        assert any(prompt.truth.startswith(spoken_units(term)[0]) for term in wanted)


def test_long_text_is_cut_between_sentences_where_nothing_is_spaced() -> None:
    text = "多萝西住在堪萨斯。" * 500
    pieces = list(text_stretches(text, size=1000))
    assert "".join(pieces) == text
    assert len(pieces) > 2
    assert all(piece.endswith("。") for piece in pieces)


def test_given_anchors_that_occur_nowhere_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture, lethe_home: Path
) -> None:
    text, wanted = TEXTS["Chinese"]
    (tmp_path / "forget.txt").write_text(text)
    anchors = tmp_path / "anchors.json"
    anchors.write_text(json.dumps({**dict.fromkeys(wanted, "x"), "桃乐丝": "玛丽", "Dorothy": "Mary"}))
    request = as_request(forget=[str(tmp_path / "forget.txt")], anchors=str(anchors))
    checked_files(request)
    assert "2 of 7 terms occur nowhere in the forget text: '桃乐丝', 'Dorothy'" in capsys.readouterr().err
    anchors.write_text(json.dumps({"桃乐丝": "玛丽", "Dorothy": "Mary"}))
    with pytest.raises(ValueError, match=r"2 of 2 terms occur nowhere .* wanted terms as the text writes them"):
        checked_files(request)
    anchors.write_text(json.dumps(dict.fromkeys(wanted, "x")))
    checked_files(request)
    assert capsys.readouterr().err == ""


def test_a_term_inside_a_longer_one_is_no_stranger() -> None:
    assert unmatched_terms(["the Tin Woodman came"], ["Tin", "Tin Woodman", "Toto"]) == ["Toto"]


@pytest.mark.faults
def test_names_of_many_scripts_are_found_among_letters_of_their_own(record_property: Property) -> None:
    """Names and neighbours drawn from 14 scripts: found as often as they were written, in either form."""
    drawn, tried, escaped = random.Random(0), 0, []
    for script, (first, last, spaced) in ALPHABETS.items():
        letters = [sign for point in range(first, last + 1) if unicodedata.category(sign := chr(point)) in ("Lo", "Ll")]
        for _ in range(200):
            name, filler = ("".join(drawn.choices(letters, k=4)) for _ in range(2))
            parts = [filler, name, filler, name, filler]
            text = (" " if spaced else "").join(parts)
            written, given = drawn.choices(FORMS, k=2)
            term = unicodedata.normalize(given, name)
            found = count_terms([unicodedata.normalize(written, text)], [term])[term]
            tried += 1
            if found != text.count(name):
                escaped.append((script, text, name, found))
    record_property("tried", tried)
    record_property("held", tried - len(escaped))
    assert not escaped


ALPHABETS = {
    "Han": (0x4E00, 0x9FFF, False),
    "Hiragana": (0x3041, 0x3096, False),
    "Thai": (0x0E01, 0x0E2E, False),
    "Lao": (0x0E81, 0x0EAE, False),
    "Khmer": (0x1780, 0x17A2, False),
    "Myanmar": (0x1000, 0x1020, False),
    "Tibetan": (0x0F40, 0x0F42, False),
    "Hangul": (0xAC00, 0xD7A3, True),
    "Arabic": (0x0627, 0x064A, True),
    "Hebrew": (0x05D0, 0x05EA, True),
    "Devanagari": (0x0905, 0x0939, True),
    "Tamil": (0x0B85, 0x0BB9, True),
    "Ethiopic": (0x1200, 0x1248, True),
    "Georgian": (0x10D0, 0x10FA, True),
}
"""Script -> its first and last letter that are drawn from, and whether it spaces words."""
