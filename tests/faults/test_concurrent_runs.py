"""Claims: three equal runs and another one that begin at once, on a store that none has used before, all succeed with
the same bits, and each stage is computed exactly once.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stand_ins import runs
from tests.stand_ins.waiting import end_of

KIND = "runs at once"
TEXTS = (runs.TEXT, runs.TEXT, runs.TEXT, "something else")
STAGES = 2


@pytest.mark.faults
@pytest.mark.parametrize("round_number", range(3))
def test_runs_that_begin_at_once_share_what_they_have_in_common(
    round_number: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    counter, home = tmp_path / "computations", tmp_path / "lethe"
    counter.mkdir()
    processes = [runs.started(home, counter, text, "3") for text in TEXTS]
    try:
        ended = [end_of(process, home) for process in processes]
    finally:
        for process in processes:
            runs.kill(process)
    held = [process for process in ended if process.returncode == 0]
    record_property("tried", len(ended))
    record_property("held", len(held))
    assert len(held) == len(ended), "\n".join(process.stderr for process in ended if process.returncode)
    made = [process.stdout.strip() for process in ended]
    assert (len(set(made[:3])), len(set(made))) == (1, 2)
    assert len(list(counter.iterdir())) == STAGES * len(set(TEXTS))
