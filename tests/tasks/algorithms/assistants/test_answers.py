"""Claims: strict JSON and Python literals read as their own readers read them; of everything else the complete parts
are kept, in linear time.
"""

import ast
import json
import time
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.assistants.answers import MOST_CHARACTERS, read_pairs, read_value, read_values

WHP = Path(__file__).resolve().parents[5] / "shared" / "data" / "whp" / "anchor_dicts.npy"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
LEAVES = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(-1e6, 1e6) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(TEXTS, VALUES, max_size=4)
TWO = {"Harry": "Jon", "Potter": "Baker"}


@given(CONTAINERS, st.sampled_from([None, 1]), st.booleans())
def test_strict_json_reads_as_json_reads_it(value: object, indent: int | None, ascii_only: bool) -> None:
    assert read_value(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


@given(CONTAINERS)
def test_a_python_literal_reads_as_python_reads_it(value: object) -> None:
    assert read_value(repr(value)) == ast.literal_eval(repr(value))


def test_a_tuple_reads_as_a_list() -> None:
    assert read_value("[('Harry', 'Jon'), (1, -2.5e3)]") == [["Harry", "Jon"], [1, -2500.0]]


@pytest.mark.parametrize(
    "text",
    [
        '{"Harry": "Jon", "Potter": "Baker"}',
        "{'Harry': 'Jon', 'Potter': 'Baker'}",
        'translations = {\n    "Harry": "Jon",\n    "Potter": "Baker",\n}',
        '```json\n{"Harry": "Jon", "Potter": "Baker"}\n```',
        (
            'Sure! Here [as you asked] is your {dictionary}:\n```python\n{"Harry": "Jon", "Potter": "Baker"}\n```\nLet'
            " me know {if} it's fine."
        ),
        '<think>{"Harry": "Tom"} is famous; better: Jon</think>{"Harry": "Jon", "Potter": "Baker"}',
        '[["Harry", "Jon"], ["Potter", "Baker"]]',
        "[('Harry', 'Jon'), ('Potter', 'Baker')]",
        '[{"term": "Harry", "generic": "Jon"}, {"term": "Potter", "generic": "Baker"}]',
        (
            '{"translations": [{"original": "Harry", "translation": "Jon"}, {"original": "Potter", "translation":'
            ' "Baker"}]}'
        ),
        '{"translations": {"Harry": {"kind": "PERSON", "generic": "Jon"}, "Potter": {"generic": "Baker"}}}',
        '{"term": "Harry", "generic": "Jon"}\n{"term": "Potter", "generic": "Baker"}',
        '{"Harry": "Jon" "Potter": "Baker"}'.replace('" "', '"\n"'),
        '{"Harry": "Jon",  # the boy\n "Potter": "Baker"  // his name\n}',
        "{“Harry”: “Jon”, “Potter”: “Baker”}",
        '{"Harry" => "Jon", "Potter" => "Baker"}',
        '{"Harry": "Jon", "Potter": "Baker", "Ron": Tom, "Hermione": null, "Snape": 7, 3: "x", "": }',
        '{"Harry": "Jon", "Potter": "Baker", "Harry": "Tom"}',
        '{"Harry": "Jon", "Potter": "Baker", "Hogwarts": "Magic Sch',
        '{"Harry": "Jon", "Potter": "Baker", "Hogwarts":',
        '[{"term": "Harry", "generic": "Jon"}, {"term": "Potter", "generic": "Baker"}, {"term": "Hogwarts"',
    ],
)
def test_what_models_answer_gives_the_complete_pairs_and_of_equal_terms_the_first(text: str) -> None:
    found = read_pairs(text)
    assert {term: generic for term, generic in found.items() if term in TWO} == TWO
    assert not {"Hogwarts", "Ron", "Hermione", "Snape"} & set(found)


def test_quotes_inside_a_text_do_not_end_it() -> None:
    assert read_pairs("{'Beater's bat': 'Striker's club', 'the Weasleys' house': \"the \\\"Redwoods'\\\" home\"}") == {
        "Beater's bat": "Striker's club",
        "the Weasleys' house": 'the "Redwoods\'" home',
    }


def test_escapes_are_read_and_halves_of_a_sign_become_one() -> None:
    assert read_value(r'["\u00e9\n\ud83d\ude00\x41", "\ud800", "\q\/"]') == ["é\n😀A", "�", "q/"]


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "Harry -> Jon", "<think>{'Harry': 'Jon'}", "}])"])
def test_an_answer_without_a_container_is_refused(text: str) -> None:
    assert read_values(text) == []
    assert read_pairs(text) == {}
    with pytest.raises(ValueError, match="the answer holds no JSON; wanted an object or a list"):
        read_value(text)


@given(st.text(alphabet="{}[]()\"'“:,=>-\\ \nab1#/", max_size=80))
def test_no_text_whatever_breaks_the_reader(text: str) -> None:
    assert all(isinstance(value, (dict, list)) for value in read_values(text))


def seconds(text: str) -> float:
    began = time.process_time()
    read_values(text)
    return time.process_time() - began


@pytest.mark.parametrize(
    "piece", ["[", "{", '{"a":', "['", '{"a": "b" ', "[{(", "\\'", '"a', '" ', "[1e", "<think>", "}{"]
)
def test_hostile_lengths_take_linear_time(piece: str) -> None:
    """Eight times the length took 64 times as long in quadratic time; below 20 ms nothing is told apart."""
    assert seconds("[" + piece * 3_200) < 24 * max(seconds("[" + piece * 400), 0.02)


def test_what_lies_beyond_the_limit_is_not_read() -> None:
    assert read_values('["Jon", "' + "a" * MOST_CHARACTERS + '", "Tom"]') == [["Jon"]]


def test_code_is_never_run() -> None:
    assert read_values("{'a': __import__('os').abort(), 'b': 'c'}") == [{"b": "c"}]
    assert read_value(f"[{'9' * 5000}]") == [float("inf")]


@pytest.mark.data
@pytest.mark.skipif(not WHP.is_file(), reason="the dictionaries are not beside the checkout")
def test_all_380_answers_that_a_language_model_gave_for_the_paper_are_read() -> None:
    """375 are Python literals; 5 stop in the middle of a string, and give all but that pair: 1,708 terms instead of
    1,676. (An array of texts, no pickle.)
    """
    answers = [str(text) for text in numpy.load(WHP, allow_pickle=False)]
    literals, cut, terms = 0, 0, set()
    for text in answers:
        found = read_pairs(text)
        terms |= found.keys()
        try:
            first_wins = dict(reversed([(key.value, value.value) for key, value in _items(text)]))
            assert found == {term.strip(): generic.strip() for term, generic in first_wins.items()}
            literals += 1
        except SyntaxError:
            assert len(found) == len({line.split('"')[1] for line in text.splitlines() if line.count('"') == 4})
            cut += 1
    assert (len(answers), literals, cut) == (380, 375, 5)
    assert len(terms) == 1708


def _items(text: str) -> list[tuple[ast.Constant, ast.Constant]]:
    """Return keys and values of the literal, repeated keys included."""
    literal = ast.parse(text.split("=", 1)[1].strip(), mode="eval").body
    assert isinstance(literal, ast.Dict)
    return list(zip(literal.keys, literal.values, strict=True))
