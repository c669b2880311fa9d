"""Claims: the tables and what machines are told count the same: a row a kind, a row a kept run, the largest first."""

from flows.steps.garbage import KeptRun, Stock
from flows.terminal.garbage import as_result, as_rows, megabytes, runs_table, show_garbage
from tasks.garbage.things import Thing

OLD = Thing(kind="checkpoints", name="a", bytes=2_500_000, place="there")
KEPT = Thing(kind="checkpoints", name="b", bytes=1_000_000, place="there")
RUN = Thing(kind="MLflow runs", name="r", bytes=500_000, place="sqlite:///x")
NOTE = Thing(kind="model versions", name="v", reason="v")
STOCK = Stock(things=[OLD, KEPT, RUN, NOTE], rows=[], records=[], reasons={}, garbage=[OLD, RUN], since=0.0)
RUNS = [KeptRun(run="f" * 32, name="whp 1234", ended=86_400.0, reason="m version 1", store_bytes=7, mlflow_bytes=8)]


def test_every_kind_has_a_row_of_what_goes_and_what_stays() -> None:
    assert as_rows(STOCK, [OLD, RUN]) == [
        {"kind": "MLflow runs", "goes": 1, "goes_bytes": 500_000, "stays": 0, "stays_bytes": 0},
        {"kind": "checkpoints", "goes": 1, "goes_bytes": 2_500_000, "stays": 1, "stays_bytes": 1_000_000},
    ]
    assert as_result(STOCK, [OLD, RUN], RUNS)["bytes"] == 3_000_000


def test_machines_are_told_of_every_kept_run() -> None:
    (told,) = as_result(STOCK, [], RUNS)["runs"]
    assert told == {
        "run": "f" * 32,
        "name": "whp 1234",
        "ended": "1970-01-02",
        "reason": "m version 1",
        "store_bytes": 7,
        "mlflow_bytes": 8,
    }
    assert runs_table(RUNS).row_count == 1


def test_what_is_printed_says_how_much_and_whether_it_is_gone(capsys: object) -> None:
    show_garbage(STOCK, [OLD, RUN], RUNS, dry_run=True)
    said = capsys.readouterr().out
    assert "Would free 3.0 MB." in said
    assert "m version 1" in said
    show_garbage(STOCK, [OLD, RUN], RUNS, dry_run=False)
    assert "Freed 3.0 MB." in capsys.readouterr().out
    assert megabytes(1_234_567_890) == "1,234.6"
