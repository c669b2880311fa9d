"""Claims: whatever JSON holds is read, or refused in one line that quotes nothing of it; values that follow each other
are told apart by themselves, not by lines.
"""

import pytest

from tasks.algorithms.text.json_values import DEEPEST, parse_json, stream_json


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_values_follow_each_other_whatever_stands_between_and_in_them() -> None:
    text = '{"a": 1}\n\n{\n "b": "one\u2028two"\n}\r\n["c"] "d"'
    assert list(stream_json(text)) == [(1, {"a": 1}), (3, {"b": "one\u2028two"}), (6, ["c"]), (6, "d")]
    assert list(stream_json(" \n")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "secret"}\n{"a": secret}', "line 2: Expecting value"),
        ('{"a": 1}\n{"a": \n', "line 2: Expecting value"),
        ('"a"\n"\\ud800 secret"', "line 2: it holds half of a surrogate pair, which is no letter"),
        (f"1\n{nested(DEEPEST + 2)}", "line 2: it is nested too deeply"),
        (f"1\n{nested(100_000)}", "line 2: it is nested too deeply"),
        ("1" * 5000, "line 1: Exceeds the limit"),
    ],
)
def test_what_is_none_is_named_by_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        list(stream_json(text))
    assert "secret" not in str(caught.value)


def test_one_value_is_read_or_refused() -> None:
    assert parse_json('{"a": ["\\ud83d\\ude00"]}') == {"a": ["\U0001f600"]}
    assert parse_json(nested(DEEPEST)) is not None
    for text in ('"\\udc00"', '{"\\udc00": 1}', nested(DEEPEST + 2), nested(100_000), "[" * 100_000, "", "1" * 5000):
        with pytest.raises(ValueError):
            parse_json(text)
