"""A person's own anchors: dictionaries and edited tables are read, and what is wrong is named with file, row
and field.
"""

import json
from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.user_anchors import UserAnchors, read_user_anchors
from tasks.storage.plain_files import write_rows


def read(folder: Path, content: str) -> UserAnchors:
    (folder / "mine").write_bytes(content.encode())
    return read_user_anchors(folder / "mine")


@pytest.mark.parametrize(
    "content",
    [
        '{"Velmora": "the town", "Ostrin": ""}',
        '\ufeff[{"term": "Velmora", "generic": "the town"}, {"term": "Ostrin"}]',
        "term,generic\nVelmora,the town\nOstrin,\n",
        "\ufeffterm,generic,kind\r\nVelmora,the town,\r\n\r\nOstrin,,\r\n",
        "generic;term;remark\nthe town;Velmora;see page 3, 4\n;Ostrin;\n",
        "term\tgeneric\nVelmora\tthe town\nOstrin\t\n",
    ],
    ids=[
        "JSON mapping",
        "JSON list after a byte order mark",
        "CSV",
        "CSV of Windows",
        "semicolons and more columns",
        "tabs",
    ],
)
def test_a_dictionary_is_json_or_csv_and_adds_to_what_is_found(tmp_path: Path, content: str) -> None:
    found = read(tmp_path, content)
    assert [(anchor.term, anchor.kind, anchor.origin) for anchor in found.anchors] == [
        ("Velmora", "", "user"),
        ("Ostrin", "", "user"),
    ]
    assert found.generics == {"Velmora": "the town"}
    assert not found.complete


ROW = {
    "term": "Velmora",
    "canonical": "Velmora",
    "kind": "PLACE",
    "count": 8,
    "log_odds_z": 2.5,
    "origin": "entity",
    "generic": "Newton",
    "translator": "offline",
}


def test_a_table_that_was_written_is_complete_and_a_row_added_to_it_is_the_users(tmp_path: Path) -> None:
    rows = [ROW, {"term": "Ostrin", "kind": "person", "origin": "", "generic": "Tom"}]
    text = "\n".join([",".join(ROW), ",".join(map(str, ROW.values())), "Ostrin,,person,,,,Tom,"])
    for content in (json.dumps(rows), text):
        found = read(tmp_path, content)
        assert found.complete
        assert [(anchor.term, anchor.kind, anchor.origin) for anchor in found.anchors] == [
            ("Velmora", "PLACE", "entity"),
            ("Ostrin", "PERSON", "user"),
        ]
        assert found.generics == {"Velmora": "Newton", "Ostrin": "Tom"}


def test_a_term_may_hold_what_parts_fields_elsewhere(tmp_path: Path) -> None:
    assert read(tmp_path, 'term,generic\n"Oz, the Great","a ""king"""\n').generics == {"Oz, the Great": 'a "king"'}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "mine: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); wanted JSON"),
        ('["Velmora"]', "mine, record 1: 'Velmora' is no record; wanted JSON"),
        ('[{"term": "Velmora"}, {"name": "Ostrin"}]', "mine, record 2: term is empty"),
        ('{"Velmora": 3}', "mine, record 1: generic is 3; wanted text"),
        ('[{"term": ["Velmora"]}]', "mine, record 1: term is ['Velmora']; wanted text"),
        ("name,other\nVelmora,the town\n", "mine, line 1: no column `term` among name, other; wanted JSON"),
        ("", "mine, line 1: no column `term` among none"),
        (
            "term,generic\nVelmora,the town\n,the man\n",
            "mine, line 3: term is empty; wanted an expression of the forget text",
        ),
        ("term,generic\nOz, the Great, a king\n", "mine, line 2: 3 fields; wanted 2, with quotes"),
        (
            "term,kind\nVelmora,TOWN\n",
            "mine, line 2: kind is 'TOWN'; wanted one of PERSON, PLACE, GROUP, THING, or nothing",
        ),
        (
            "term,generic\nTin Man,a\nTin-Man,b\n",
            "mine, line 3: term 'Tin-Man' stands there twice, as 'Tin Man' before",
        ),
        ('term,generic\n"Velmora,a\n', "mine, line 2: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_named_with_file_row_and_field(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"--anchors {tmp_path / 'mine'}")
    assert message in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes("term,generic\nKöln,a\n".encode("latin-1"))
    with pytest.raises(BadInputError, match="byte 14 is not UTF-8; wanted JSON"):
        read_user_anchors(tmp_path / "mine")


def test_a_false_column_does_not_print_the_text_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, "A whole paragraph of prose without any end " * 40)
    assert len(str(caught.value)) < 400


def test_a_table_that_spreadsheets_can_open_comes_back_as_it_was(tmp_path: Path) -> None:
    terms = ["=HYPERLINK(1)", "+49 30", "-Velmora", "@handle", "'=quoted", "'tis", "Ostrin"]
    write_rows(tmp_path / "anchors.csv", [{"term": term, "generic": "", "origin": "ner"} for term in terms])
    cells = [line.split(",")[0].strip('"') for line in (tmp_path / "anchors.csv").read_text().splitlines()[1:]]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert [anchor.term for anchor in read_user_anchors(tmp_path / "anchors.csv").anchors] == terms


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "{" * 100_000, '"term\n', 'term,generic\n"open', "term\x00,x\n\x00"]
)
def test_hostile_content_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInputError, match="--anchors"):
        read(tmp_path, content)
