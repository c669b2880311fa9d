"""Local benchmark files: which are taken, and what is said of a record that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import BadInputError
from tasks.benchmarks.local_files import FORMATS, definition, gather_benchmarks, read_rows
from tasks.settings.measuring import BENCHMARK_NAMES, BenchmarkingConfig
from tests.stand_ins.benchmark_files import NAMES, records, write_benchmarks, write_records


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmarks(tmp_path_factory.mktemp("data") / "lm_eval")


def test_the_worlds_benchmark_alone_is_the_default() -> None:
    found = gather_benchmarks(BenchmarkingConfig())
    assert (found.tasks, found.files, list(found.definitions), found.from_hub) == (("world",), {}, ["world"], ())


def test_a_folder_adds_every_benchmark_whose_file_is_there(folder: Path, tmp_path: Path) -> None:
    assert gather_benchmarks(BenchmarkingConfig(), str(folder)).tasks == ("world", *NAMES)
    write_records(tmp_path / "piqa.jsonl", records("piqa"))
    (tmp_path / "notes.txt").write_text("nothing")
    found = gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    assert (found.tasks, list(found.files), found.from_hub) == (("world", "piqa"), ["piqa"], ())


def test_named_benchmarks_are_run_alone_and_come_from_the_hub_where_there_is_no_file(
    folder: Path, tmp_path: Path
) -> None:
    config = BenchmarkingConfig(tasks=("piqa", "boolq"))
    assert gather_benchmarks(config).from_hub == ("piqa", "boolq")
    assert gather_benchmarks(config, str(folder)).tasks == ("piqa", "boolq")
    write_records(tmp_path / "piqa.jsonl", records("piqa"))
    found = gather_benchmarks(config, str(tmp_path))
    assert (list(found.files), list(found.definitions), found.from_hub) == (["piqa"], ["piqa"], ("boolq",))


def test_hellaswags_file_may_bear_the_name_of_its_excerpt(tmp_path: Path) -> None:
    write_records(tmp_path / "hellaswag_2000.jsonl", records("hellaswag", 5))
    assert (
        Path(gather_benchmarks(BenchmarkingConfig(), str(tmp_path)).files["hellaswag"].path).name
        == "hellaswag_2000.jsonl"
    )
    write_records(tmp_path / "hellaswag.jsonl", records("hellaswag", 6))
    assert (
        Path(gather_benchmarks(BenchmarkingConfig(), str(tmp_path)).files["hellaswag"].path).name == "hellaswag.jsonl"
    )


def test_only_the_fields_that_a_task_reads_are_read(folder: Path) -> None:
    for name in NAMES:
        rows = read_rows(name, folder / f"{name}.jsonl")
        assert rows == [{field: row[field] for field in FORMATS[name].fields} for row in records(name)]


def test_every_benchmark_has_a_versioned_task_file() -> None:
    import yaml

    for name in BENCHMARK_NAMES:
        found = yaml.safe_load(definition(name).read_text(encoding="utf-8"))
        assert (found["task"], found["metadata"]["version"]) == (f"lethe_{name}", 1.0)


@pytest.mark.parametrize("name", ["dev.tsv", "sst2.tsv"])
def test_glues_own_file_of_sst2_has_tabs_and_a_header(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('sentence\tlabel\na " charming \u2028 film . \t1\n\nbleak \t0\n', encoding="utf-8")
    found = gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    assert found.tasks == ("world", "sst2")
    assert read_rows("sst2", Path(found.files["sst2"].path)) == [
        {"sentence": 'a " charming \u2028 film . ', "label": 1},
        {"sentence": "bleak ", "label": 0},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentence\tlabel\nfine . \t1\nbleak \n", "line 3: field `label` is null; wanted 0 or 1"),
        ("sentence\tlabel\nfine . \tgood\n", 'line 2: field `label` is "good"; wanted 0 or 1'),
        ("index\tsentence\n0\tfine . \n", "line 2: no field `label`; wanted sentence, label"),
    ],
)
def test_a_wrong_row_with_tabs_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    assert str(caught.value) == f"{tmp_path}/dev.tsv, {message}"


def test_an_empty_file_with_tabs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"dev.tsv is empty; wanted rows with tabs with sentence, label"):
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))


LETTERS = {"A": "one", "B": "two", "C": "three", "D": "four"}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("arc_easy", {"gold": 7}, "field `gold` is 7; wanted 0 to 3"),
    ("arc_easy", {"gold": -1}, "field `gold` is -1; wanted 0 to 3"),
    ("arc_easy", {"gold": "1"}, 'field `gold` is "1"; wanted 0 to 3'),
    ("arc_easy", {"gold": True}, "field `gold` is true; wanted 0 to 3"),
    ("arc_challenge", {"choices": []}, "field `choices` is []; wanted a list of two texts or more"),
    ("boolq", {"choices": ["no", 3]}, 'field `choices` is ["no", 3]; wanted a list of two texts or more'),
    ("boolq", {"choices": ["no", " "]}, 'field `choices` is ["no", " "]; wanted a list of two texts or more'),
    ("piqa", {"query": None}, "field `query` is null; wanted a text"),
    ("piqa", {"query": ["x" * 100]}, 'field `query` is ["' + "x" * 55 + "...; wanted a text"),
    ("hellaswag", {"answer": "E"}, 'field `answer` is "E"; wanted one of A, B, C, D'),
    ("hellaswag", {"answer": ["A"]}, 'field `answer` is ["A"]; wanted one of A, B, C, D'),
    ("hellaswag", {"question": ""}, 'field `question` is ""; wanted a text'),
    (
        "hellaswag",
        {"choices": {"A": "one", "B": "two"}},
        'field `choices` is {"A": "one", "B": "two"}; wanted a text for each of A, B, C, D',
    ),
    ("winogrande", {"gold": 2}, "field `gold` is 2; wanted 0 to 1"),
    ("winogrande", {"continuation": " "}, 'field `continuation` is " "; wanted a text'),
    ("sst2", {"label": 2}, "field `label` is 2; wanted 0 or 1"),
    ("sst2", {"label": "positive"}, 'field `label` is "positive"; wanted 0 or 1'),
    ("sst2", {"sentence": " "}, 'field `sentence` is " "; wanted a text'),
    ("winogrande", {"context_options": "one"}, 'field `context_options` is "one"; wanted a list of two texts or more'),
]


@pytest.mark.parametrize(("name", "changes", "message"), WRONG)
def test_a_wrong_field_is_named_with_its_file_and_line(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    good = {**records("arc_challenge" if name == "arc_easy" else name, 1)[0]}
    file = tmp_path / f"{name}.jsonl"
    file.write_text(f"{json.dumps(good)}\n\n{json.dumps({**good, **changes})}\n", encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    assert str(caught.value) == f"{file}, line 3: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"query": "Question: why?", "choices": ["a", "b"]}\n',
            "piqa.jsonl, line 1: no field `gold`; wanted query, choices, gold",
        ),
        (b"[1, 2]\n", "piqa.jsonl, line 1: no field `query`; wanted query, choices, gold"),
        (
            b'{"query": \n',
            "piqa.jsonl, line 1: Expecting value: line 1 column 11 (char 10); wanted one JSON record a line",
        ),
        (b"[" * 100_000, "piqa.jsonl, line 1: it is nested too deeply; wanted one JSON record a line"),
        (
            b'{"query": "\\ud800"}',
            "piqa.jsonl, line 1: it holds half of a surrogate pair, which is no letter; wanted one JSON record a line",
        ),
        (b"\n \n", "piqa.jsonl is empty; wanted JSON lines with query, choices, gold"),
        (b'{"query": "caf\xe9"}\n', "piqa.jsonl: byte 0xe9 is not UTF-8; wanted UTF-8 JSON lines"),
    ],
)
def test_a_file_that_does_not_read_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "piqa.jsonl").write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_folder_without_benchmarks_is_refused(tmp_path: Path) -> None:
    wanted = (
        "wanted any of arc_easy.jsonl, arc_challenge.jsonl, boolq.jsonl, piqa.jsonl, hellaswag.jsonl,"
        " hellaswag_2000.jsonl, winogrande.jsonl, sst2.jsonl, sst2.tsv, dev.tsv"
    )
    with pytest.raises(BadInputError, match=f"{tmp_path} holds no benchmark; {wanted}"):
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
    with pytest.raises(BadInputError, match=f"--benchmark-data {tmp_path}/none is no folder"):
        gather_benchmarks(BenchmarkingConfig(), f"{tmp_path}/none")


def test_too_few_examples_for_the_solved_ones_are_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "piqa.jsonl", records("piqa", 4))
    assert gather_benchmarks(BenchmarkingConfig(num_fewshot=2), str(tmp_path)).files
    with pytest.raises(
        BadInputError, match=r"piqa.jsonl holds 4 examples; wanted 5 or more where benchmarking.num_fewshot is 3"
    ):
        gather_benchmarks(BenchmarkingConfig(num_fewshot=3), str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ("world", "mmlu")}, "benchmarking.tasks holds 'mmlu'; wanted names from world, arc_easy"),
        ({"tasks": ()}, r"benchmarking.tasks is \[\]; wanted one or more of"),
        (
            {"tasks": ("piqa", "piqa")},
            r"benchmarking.tasks is \['piqa', 'piqa'\]; wanted one or more of world, .* each once",
        ),
        ({"limit": -1}, "benchmarking.limit is -1; wanted a whole number >= 0"),
        ({"num_fewshot": -1}, "benchmarking.num_fewshot is -1"),
        ({"batch_size": 0}, "benchmarking.batch_size is 0; wanted a whole number >= 1"),
    ],
)
def test_a_wrong_setting_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchmarkingConfig(**changes)


def test_a_cell_of_many_digits_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nIt rained.\t" + "9" * 5000)
    with pytest.raises(BadInputError, match=r"dev\.tsv, line 2: field `label` is \"9+\.\.\.; wanted 0 or 1"):
        gather_benchmarks(BenchmarkingConfig(), str(tmp_path))
