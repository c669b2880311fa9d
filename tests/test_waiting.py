"""Claims: tests wait for a process as long as it says or writes something, and fail when it stands still."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.stand_ins.waiting import _traces, end_of, run_to_end, wait_for

SAYING = "import time\nfor turn in range(4): print(turn, flush=True); time.sleep(1)"
WRITING = "import sys, time\nfor turn in range(4): open(f'{sys.argv[1]}/{turn}', 'w').close(); time.sleep(1)"
STILL = "import time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_of, "__kwdefaults__", {"patience_s": 3.0})
    monkeypatch.setattr("tests.stand_ins.waiting._LOOK_S", 0.1)


@pytest.mark.parametrize("code", [SAYING, WRITING], ids=["says", "writes"])
def test_a_process_that_goes_on_is_waited_for(code: str, tmp_path: Path, hasty: None) -> None:
    ended = run_to_end([sys.executable, "-c", code, tmp_path], tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ([] if code == WRITING else ["0", "1", "2", "3"])


def test_one_that_stands_still_is_killed_and_named(hasty: None) -> None:
    with pytest.raises(TimeoutError, match=r"stood still for 3 s; it had said: begun"):
        run_to_end([sys.executable, "-c", STILL])


def test_what_it_reads_is_given_to_it() -> None:
    assert run_to_end([sys.executable, "-c", "print(input())"], said="a line\n").stdout == "a line\n"


def test_what_never_happens_is_named() -> None:
    with pytest.raises(TimeoutError, match="the end of time did not happen within 0 s"):
        wait_for(lambda: False, "the end of time", 0.2)


def test_a_folder_that_goes_while_it_is_looked_at_is_no_error(tmp_path: Path) -> None:
    """As with a purge."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    traces = _traces([tmp_path])
    first = next(Path(name) for name, _, _ in traces if Path(name).parent != tmp_path)
    (other,) = {"one", "two"} - {first.parent.name}
    shutil.rmtree(tmp_path / other)
    assert list(traces) == []
