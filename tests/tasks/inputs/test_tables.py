"""Claims: rows of CSV, TSV and parquet are read as records, and what is damaged is refused with its line."""

from pathlib import Path

import pandas
import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.tables import column_names, read_cells, read_parquet

FILE = Path("mine.csv")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("question,answer\n", ["question", "answer"]),
        ("\n question ;answer\r\n1;2", ["question", "answer"]),
        ("question\tanswer", ["question", "answer"]),
        ('"question","answer"\n', ["question", "answer"]),
        ('"not closed\n', []),
        ("a" * 20_000, []),
    ],
)
def test_the_first_line_names_the_columns(text: str, names: list[str]) -> None:
    assert column_names(text) == names


def test_cells_may_hold_separators_lines_and_whole_books() -> None:
    book = "It rained. " * 30_000
    text = f'\nquestion,answer\n"Who, and\nwhere?",Em\n\n"{book}",-\n'
    assert list(read_cells(FILE, text)) == [
        (4, {"question": "Who, and\nwhere?", "answer": "Em"}),
        (6, {"question": book, "answer": "-"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: 1 cells; wanted 2, with quotation marks"),
        ('a,b\n1,"2\n', "line 2: unexpected end of data; wanted rows of cells"),
    ],
)
def test_a_row_that_does_not_fit_is_named(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=f"^mine.csv, {message}"):
        list(read_cells(FILE, text))


def test_parquet_is_read_in_those_columns_that_are_wanted(tmp_path: Path) -> None:
    file = tmp_path / "mine.parquet"
    pandas.DataFrame({"text": ["one", None], "doi": [1, 2], "false": [["a", "b"], []]}).to_parquet(file)
    assert list(read_parquet(file, ("text", "false"))) == [
        (1, {"text": "one", "false": ["a", "b"]}),
        (2, {"text": None, "false": []}),
    ]
    with pytest.raises(BadInputError, match="has the columns text, doi, false; wanted some of answer"):
        list(read_parquet(file, ("answer",)))


@pytest.mark.parametrize("kept", [4, 100, -8, -1])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "mine.parquet"
    pandas.DataFrame({"text": ["one"]}).to_parquet(file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BadInputError, match=r"mine\.parquet is damaged"):
        list(read_parquet(file, ("text",)))
