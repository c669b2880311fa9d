"""Claims: files are read as people have them, told by their content; prose is prose, whatever it begins with; what is
not understood is refused with file and line, the fields that were found and those that were wanted.
"""

import json
from pathlib import Path

import pandas
import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.documents import TextFile, read_text_file

TOTO = '{"question": "Who is Toto?", "answer": "A dog"}'


def read(folder: Path, content: str | bytes, name: str = "mine.txt") -> TextFile:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_text_file(folder / name)


PROSE = {
    "a brace": "{Chapter one} Dorothy lived in Kansas.\n\nToto was black.\n",
    "a quotation in braces": '{"Oh," said Dorothy}\n\nToto was black.\n',
    "a brace and a key that goes on": '{"Oh" she said} and\n',
    "a link": "[Dorothy](x.html) lived in Kansas.\n\nToto was black.\n",
    "a quoted link": '["Dorothy"](x.html) lived in Kansas.\n',
    "a footnote": "[1] Dorothy lived in Kansas.\n",
    "a quotation": '"Toto!" cried Dorothy.\n"Come."\n',
    "a sentence with commas": "text, or what is called so, is here\nand there\n",
    "question and answer in a sentence": "question and answer,they asked\n",
    "many brackets": "[" * 100_000,
    "many braces": "{" * 100_000,
    "markup in prose": "<p align=center> Dorothy",
}


@pytest.mark.parametrize("content", PROSE.values(), ids=PROSE.keys())
def test_prose_is_prose(tmp_path: Path, content: str) -> None:
    (document,) = read(tmp_path, content).documents
    assert document.text == content


RECORDS = {
    "texts, one a line": ('"Dorothy lived."\n"Toto barked."\n', ["Dorothy lived.", "Toto barked."]),
    "lists, one a line": ('["Dorothy lived."]\n["Toto barked."]\n', ["Dorothy lived.", "Toto barked."]),
    "a list of texts": ('["Dorothy lived.", "Toto barked."]', ["Dorothy lived.", "Toto barked."]),
    "blank records": ('{"text": ""}\n{"text": "Dorothy lived."}\n{"text": " "}\n', ["Dorothy lived."]),
    "records over several lines": ('{\n "text": "a"\n}\n{\n "text": "b"\n}\n', ["a", "b"]),
    "a list of records": ('[{"text": "a"},\n {"text": "b"}]', ["a", "b"]),
    "UTF-16": (b"\xff\xfe" + '{"text": "Café"}'.encode("utf-16-le"), ["Café"]),
    "a field twice": ('{"text": "a", "text": "b"}', ["b"]),
}


@pytest.mark.parametrize(("content", "texts"), RECORDS.values(), ids=RECORDS.keys())
def test_records_are_records(tmp_path: Path, content: str | bytes, texts: list[str]) -> None:
    assert [document.text for document in read(tmp_path, content).documents] == texts


def test_blank_records_are_left_out_and_counted_and_lines_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, f'{{"text": ""}}\n{TOTO}\n{{"text": null}}\n')
    assert found.blank == 2
    assert [(each.source, each.question, each.answer) for each in found.documents] == [
        ("mine.txt:2", "Who is Toto?", "A dog")
    ]


@pytest.mark.parametrize("name", ["table.csv", "table.txt"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_whose_columns_name_fields_are_records(tmp_path: Path, separator: str, name: str) -> None:
    rows = [("question", "answer"), ("Who is Toto?", "A dog"), ("", ""), ("Who is Em?", "An aunt")]
    found = read(tmp_path, "\r\n".join(separator.join(row) for row in rows), name)
    assert [(each.question, each.answer) for each in found.documents] == [rows[1], rows[3]]
    assert found.blank == 1


def test_parquet_is_read_as_its_records(tmp_path: Path) -> None:
    rows = [
        {"question": "Who is Toto?", "answer": "A dog", "perturbed_answer": ["A cat", "A cow"], "id": 1},
        {"question": None, "answer": None, "perturbed_answer": None, "id": 2},
    ]
    pandas.DataFrame(rows).to_parquet(tmp_path / "mine.parquet")
    found = read_text_file(tmp_path / "mine.parquet")
    assert (found.documents[0].question, found.documents[0].perturbed_answer) == ("Who is Toto?", ("A cat", "A cow"))
    assert (len(found.documents), found.blank) == (1, 1)


REFUSED = {
    "a cut record": ('{"text": "a"}\n{"text": \n', "line 2: Expecting value"),
    "a cut list of records": ('[{"text": "a"}, {"te', "line 1: "),
    "a cut list of texts": ('["Dorothy lived.", "Toto', "line 1: "),
    "records as Python writes them": ("{'text': 'a'}", "line 1: Expecting property name"),
    "prose after records": (f"{TOTO}\nIt rained.", "line 2: Expecting value"),
    "a control character": ('{"text": "a\tb"}', "line 1: Invalid control character"),
    "an empty answer": (f'{TOTO}\n{{"question": "Who?", "answer": ""}}', "line 2: answer is empty; wanted a text"),
    "records in a record": (f'{{"data": [{TOTO}]}}', "line 1: the record has data (a list of 1); wanted `text`"),
    "columns": (json.dumps({"question": ["a", "b"], "answer": ["c", "d"]}), "line 1: question is a list of 2"),
    "numbers": ("[1]", "record 1: the record is a number"),
    "nothing": ("[]", "holds no records"),
    "blank records alone": ('{"text": ""}\n{"text": ""}\n', "holds 2 blank records"),
    "half of a letter": ('{"text": "\\ud800"}', "line 1: it holds half of a surrogate pair"),
    "a table of other columns": ("name,age\nToto,3\n", "line 1: the columns are name, age; wanted `text`"),
    "a table with a short row": ("question,answer\nWho?\n", "line 2: 1 cells; wanted 2"),
    "HTML": ("<html><p>Dorothy</p></html>", "is HTML or XML"),
    "a PDF": ("%PDF-1.4\n", "is a PDF; wanted its text in a file of its own"),
    "Latin-1": ("Café".encode("latin-1"), "line 1: byte 0xe9 is not UTF-8"),
    "a damaged parquet file": (b"PAR1" + b"\x00" * 40, "is damaged"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_understood_is_refused_with_its_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    name = "mine.csv" if "columns are" in message or "cells" in message else "mine.txt"
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, content, name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
