"""Claims: rows that wait are read as they were kept, for their own server alone; damaged files are left alone."""

import math
from pathlib import Path

from tasks import store
from tasks.execution import undelivered

ROWS = [(1, 1_700_000_000_001, {"loss_nats": 0.1 + 0.2, "a b": 1e-300}), (2, 3, {})]


def test_rows_are_read_as_they_were_kept(lethe_home: Path) -> None:
    assert undelivered.waiting("http://a") == []
    assert not (store.home() / "undelivered").exists()
    first, second = undelivered.place("r1"), undelivered.place("r1")
    assert first != second
    undelivered.keep(first, "http://a", "r1", ROWS[:1])
    undelivered.keep(first, "http://a", "r1", ROWS)
    undelivered.keep(second, "http://b", "r2", [(1, 2, {"x": math.inf})])
    assert [(found.run, found.rows, found.file) for found in undelivered.waiting("http://a")] == [("r1", ROWS, first)]
    assert [(found.run, found.rows) for found in undelivered.waiting("http://b")] == [("r2", [(1, 2, {"x": math.inf})])]


def test_damaged_files_are_left_alone(lethe_home: Path) -> None:
    file = undelivered.place("r1")
    for text in ("", "[]", '{"server": "http://a"}', '{"server": "http://a", "rows": 3}'):
        file.write_text(text)
        assert undelivered.waiting("http://a") == []
        assert file.read_text() == text
