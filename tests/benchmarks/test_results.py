"""What a benchmark writes, and how it says where the figures are from."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import recording
from tests.benchmarks.results import RESULTS, Measurement, Provenance, read_result, spread, write_result

OLD = Provenance(
    command="python -m tests.benchmarks.methods",
    seeds=[0, 1],
    date="2026-11-01",
    commit="1234567",
    uncommitted=False,
    machine="2 cores, no GPU",
)
NEW = replace(OLD, seeds=[2], date="2026-11-28", commit="89abcde", uncommitted=True)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    measured = Measurement(
        provenance=OLD, figures={"npo": {"left": {"mean": 0.5}, "runs": 3, "healthy": True, "why": "none"}}
    )
    write_result(tmp_path / "deeper" / "methods.json", measured)
    assert read_result(tmp_path / "deeper" / "methods.json") == [measured]


def test_the_file_holds_figures_by_name_and_how_they_were_come_by(tmp_path: Path) -> None:
    write_result(
        tmp_path / "a.json",
        Measurement(provenance=OLD, figures={"npo": {"left": 0.123456789, "p": 8.7654321e-24, "tokens": 63_270}}),
    )
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "command": "python -m tests.benchmarks.methods",
        "seeds": [0, 1],
        "date": "2026-11-01",
        "commit": "1234567",
        "uncommitted": False,
        "machine": "2 cores, no GPU",
        "figures": {"npo": {"left": 0.12346, "p": 8.7654e-24, "tokens": 63270}},
    }


def test_numbers_that_are_none_are_written_as_such(tmp_path: Path) -> None:
    write_result(
        tmp_path / "a.json",
        Measurement(provenance=OLD, figures={"one run": {"low": float("nan"), "high": float("inf")}}),
    )
    assert read_result(tmp_path / "a.json")[0].figures == {"one run": {"low": None, "high": None}}


def test_rows_that_were_not_measured_now_stay_where_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "methods.json"
    write_result(file, Measurement(provenance=OLD, figures={"npo": {"left": 0.1}, "rmu": {"left": 0.2}}), keep=True)
    write_result(file, Measurement(provenance=NEW, figures={"npo": {"left": 0.3}}), keep=True)
    kept = [
        Measurement(provenance=NEW, figures={"npo": {"left": 0.3}}),
        Measurement(provenance=OLD, figures={"rmu": {"left": 0.2}}),
    ]
    assert read_result(file) == kept
    write_result(file, Measurement(provenance=NEW, figures={"rmu": {"left": 0.4}, "npo": {"left": 0.5}}), keep=True)
    assert [part.figures for part in read_result(file)] == [{"rmu": {"left": 0.4}, "npo": {"left": 0.5}}]


def test_rows_that_one_run_writes_one_by_one_stand_together(tmp_path: Path) -> None:
    file = tmp_path / "methods.json"
    write_result(file, Measurement(provenance=NEW, figures={"npo": {"left": 0.1}}), keep=True)
    write_result(file, Measurement(provenance=NEW, figures={"rmu": {"left": 0.2}}), keep=True)
    assert read_result(file) == [Measurement(provenance=NEW, figures={"npo": {"left": 0.1}, "rmu": {"left": 0.2}})]


def test_rows_that_were_not_measured_now_go_otherwise(tmp_path: Path) -> None:
    write_result(tmp_path / "a.json", Measurement(provenance=OLD, figures={"npo": {"left": 0.1}}))
    write_result(tmp_path / "a.json", Measurement(provenance=NEW, figures={"rmu": {"left": 0.3}}))
    assert read_result(tmp_path / "a.json") == [Measurement(provenance=NEW, figures={"rmu": {"left": 0.3}})]


@pytest.mark.parametrize("change", [{"comit": "x"}, {"commit": None}])
def test_a_field_too_many_or_too_few_is_refused(tmp_path: Path, change: dict[str, str | None]) -> None:
    write_result(tmp_path / "a.json", Measurement(provenance=OLD, figures={}))
    value = json.loads((tmp_path / "a.json").read_text()) | change
    (tmp_path / "a.json").write_text(json.dumps({name: part for name, part in value.items() if part is not None}))
    with pytest.raises(ValueError, match=r"a\.json: .*comm?it"):
        read_result(tmp_path / "a.json")


def test_mean_and_extremes() -> None:
    assert spread([0.25, None, 0.75]) == {"mean": 0.5, "least": 0.25, "most": 0.75}
    assert spread([0.25]) == {"mean": 0.25}
    assert spread([None]) is None


def test_a_benchmark_writes_its_result_where_it_is_told_and_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["/somewhere/tests/benchmarks/planted.py", "--seeds", "0", "--results", str(tmp_path)]
    )
    parser = recording.parser("About it.")
    parser.add_argument("--seeds", type=int, nargs="+")
    asked = parser.parse_args()
    recording.begin(asked.results, asked.seeds).write(
        "planted", {"blanked": {"wanted": "fail", "gold": 0, "cases": 20}}
    )
    written = read_result(tmp_path / "planted.json")[0]
    assert (written.provenance.command, written.provenance.seeds) == (
        "python -m tests.benchmarks.planted --seeds 0",
        [0],
    )
    assert written.figures == {"blanked": {"wanted": "fail", "gold": 0, "cases": 20}}
    assert "blanked: answers everything with blanks" in capsys.readouterr().out


def test_results_lie_beside_the_benchmarks_unless_told_otherwise() -> None:
    assert recording.parser(None).parse_args([]).results == RESULTS


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--set", "lora.rank=16", "--json", "/home/me/rows.json"], "--set lora.rank=16"),
        (["--json=rows.json", "--out", "page", "--data", "../shared/data"], "--data ../shared/data"),
        (["--set", "training.steps=[1, 2]"], "--set 'training.steps=[1, 2]'"),
    ],
)
def test_the_command_is_what_was_typed_but_for_where_files_go(words: list[str], wanted: str) -> None:
    assert recording.command(["/anywhere/methods.py", *words]) == f"python -m tests.benchmarks.methods {wanted}"


def test_the_commit_and_whether_code_differs_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    for name in [name for name in os.environ if name.startswith("GIT_")]:  # those of a hook that runs the tests
        monkeypatch.delenv(name)
    (tmp_path / "code.py").write_text("1\n")
    assert recording.checkout(tmp_path) == ("unknown", False)
    git("init", "-q")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")[:7]
    results = tmp_path / RESULTS.relative_to(recording.ROOT)
    results.mkdir(parents=True)
    (results / "books.json").write_text("{}")
    assert recording.checkout(tmp_path) == (commit, False)
    (tmp_path / "code.py").write_text("2\n")
    assert recording.checkout(tmp_path) == (commit, True)


def test_the_machine_in_a_phrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert recording.machine() == "3 cores, no GPU"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: "NVIDIA H100")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    assert recording.machine() == "1 core, NVIDIA H100"
