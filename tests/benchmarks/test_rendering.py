"""The tables of the README are those of the results, and no result and no table goes unnoticed."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.benchmarks.cells import Table, extremes, failed, number, share, spread, words
from tests.benchmarks.render import MADE, in_place, markdown, on_console
from tests.benchmarks.results import RESULTS, Measurement, Provenance, read_result, write_result
from tests.benchmarks.tables import TABLES

TEXT = MADE.read_text(encoding="utf-8")
FIRST = Provenance(
    command="python -m tests.benchmarks.tried --seeds 0 1",
    seeds=[0, 1],
    date="2026-11-28",
    commit="1234567",
    uncommitted=False,
    machine="2 cores, no GPU",
)
TRIED = Table(
    first="method",
    columns={
        "left": spread("left"),
        "kept": number("kept", form=".2f", unit="x"),
        "checks that failed": failed,
        "passed": share("passed", "runs"),
    },
    rows={"b": "`b`", "a": "`a|a`"},
)
FIGURES = {
    "a": {
        "left": {"mean": 0.05, "least": 0.04, "most": 0.07},
        "kept": {"mean": 0.9},
        "failed": {"utility_kept": 2},
        "passed": 1,
        "runs": 3,
    },
    "b": {"left": {"mean": 0.5}, "kept": None, "failed": {}, "passed": 1, "runs": 1},
}


def test_the_tables_of_the_readme_are_those_of_the_results() -> None:
    assert in_place(TEXT, RESULTS) == TEXT, "make figures"


def test_a_number_that_was_edited_by_hand_is_noticed() -> None:
    edited = TEXT.replace("| 0.073 (0.067, 0.078) |", "| 0.063 (0.067, 0.078) |")
    assert edited != TEXT
    assert in_place(edited, RESULTS) == TEXT


def test_a_result_that_changed_is_noticed(tmp_path: Path) -> None:
    results = shutil.copytree(RESULTS, tmp_path / "results")
    file = results / "planted.json"
    file.write_text(file.read_text().replace('"gold": 19', '"gold": 20'))
    assert in_place(TEXT, results) == TEXT.replace("| pass | 19 of 20 |", "| pass | 20 of 20 |")


def test_a_result_without_a_table_is_refused(tmp_path: Path) -> None:
    results = shutil.copytree(RESULTS, tmp_path / "results")
    shutil.copy(results / "books.json", results / "films.json")
    with pytest.raises(ValueError, match=r"no table shows the results \['films'\]"):
        in_place(TEXT, results)


@pytest.mark.parametrize(
    "change",
    [
        ("<!-- table: books -->\n", ""),
        ("<!-- table: books -->", "<!-- table: films -->"),
        ("<!-- table: tofu -->", "<!-- table: books -->"),
    ],
)
def test_every_table_has_one_place(change: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="there are places for the tables"):
        in_place(TEXT.replace(*change), RESULTS)


def test_prose_stays_and_a_table_without_a_result_says_so(tmp_path: Path) -> None:
    outside = re.compile(r"-->\n.*?<!-- end", re.DOTALL)
    empty = in_place(TEXT, tmp_path)
    assert outside.split(empty) == outside.split(TEXT)
    assert empty.count("Not on record yet.") == len(TABLES)


def test_a_table_by_hand() -> None:
    assert (
        markdown(TRIED, [Measurement(provenance=FIRST, figures=FIGURES)])
        == "| method | left | kept | checks that failed | passed |\n| --- | --- | --- | --- | --- |\n| `b` | 0.500 |  |"
        " none | 1 of 1 |\n| `a&#124;a` | 0.050 (0.040, 0.070) | 0.90x | utility kept 2 | 1 of 3 |\n\nMeasured by"
        " `python -m tests.benchmarks.tried --seeds 0 1`, seeds 0, 1, on 2 cores, no GPU, commit 1234567"
        " (2026-11-28).\n"
    )


def test_rows_of_an_earlier_measurement_say_what_differs() -> None:
    other = Provenance(
        command="python -m tests.benchmarks.tried",
        seeds=[],
        date="2026-11-01",
        commit="7654321",
        uncommitted=True,
        machine="2 cores, no GPU",
    )
    shown = markdown(
        TRIED,
        [
            Measurement(provenance=FIRST, figures={"a": FIGURES["a"]}),
            Measurement(provenance=other, figures={"c": FIGURES["b"]}),
        ],
    )
    assert "| c | 0.500 |" in shown  # a row that the table has no words for comes last, by its own name
    assert shown.endswith(
        "\n<br>c: `python -m tests.benchmarks.tried`, commit 7654321 with uncommitted changes (2026-11-01).\n"
    )


def test_of_a_row_that_was_measured_twice_the_last_counts() -> None:
    shown = markdown(
        TRIED,
        [
            Measurement(provenance=FIRST, figures={"b": FIGURES["a"]}),
            Measurement(provenance=FIRST, figures={"b": FIGURES["b"]}),
        ],
    )
    assert shown.count("| `b` |") == 1
    assert "| `b` | 0.050" in shown


def test_cells_of_what_was_not_measured_are_empty() -> None:
    for cell in (number("x"), number("x", "y"), spread("x"), extremes("x"), words("x"), share("x", "y"), failed):
        assert cell({}) == cell({"x": None, "failed": None}) == ""


def test_words_and_checks() -> None:
    assert [words("x")({"x": value}) for value in (True, False, ">= 0.9")] == ["yes", "no", ">= 0.9"]
    assert failed({"failed": {"forgotten": 1, "utility_kept": 1}, "runs": 1}) == "forgotten, utility kept"


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_every_column_of_a_table_has_a_figure_and_the_terminal_shows_the_same(file: Path) -> None:
    figures = {name: row for part in read_result(file) for name, row in part.figures.items()}
    cells = TABLES[file.stem].cells(figures)
    columns = [[line[number] for line in cells] for number in range(len(TABLES[file.stem].headings))]
    empty = {heading for heading, column in zip(TABLES[file.stem].headings, columns, strict=True) if not any(column)}
    assert empty <= NOT_TAKEN_OVER.get(file.stem, set())
    assert [list(column.cells) for column in on_console(file.stem, file).columns] == columns


NOT_TAKEN_OVER = {
    "anchor_recall": {"names listed"},
    "teacher_gpu": {"head's share of a pass", "s to make the cache"},
}
"""Table -> columns that its benchmark fills, and that nobody had noted before there were results, or asked for."""


def test_every_table_has_a_benchmark_that_writes_it(tmp_path: Path) -> None:
    written = [
        name
        for file in MADE.parent.glob("*.py")
        if not file.name.startswith("test_")
        for name in _written(ast.parse(file.read_text()))
    ]
    assert sorted(written) == sorted(TABLES)


def _written(tree: ast.Module) -> list[str]:
    """Return the names in `record.write(NAME, ...)`, and in `main(NAME, ...)` of benchmarks that share one."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ("record.write", "main")
    ]
    return [part.value for call in calls for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant)]


def test_the_console_takes_what_was_just_written(tmp_path: Path) -> None:
    write_result(
        tmp_path / "books.json", Measurement(provenance=FIRST, figures={"passed": {"unlearned": {"mean": 1.0}}})
    )
    assert [list(column.cells) for column in on_console("books", tmp_path / "books.json").columns][:3] == [
        ["verdict passed, share of the seeds"],
        [""],
        ["1"],
    ]


def test_the_readme_names_the_command_of_every_benchmark() -> None:
    """Those of the block at its top; what was measured with commands of their time is left as it was."""
    block = TEXT.split("```")[1]
    benchmarks = {file.stem for file in MADE.parent.glob("*.py") if "__main__" in file.read_text()} - {
        "render",
        Path(__file__).stem,
    }
    assert set(re.findall(r"tests\.benchmarks\.(\w+)", block)) == benchmarks
