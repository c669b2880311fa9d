"""Claims: a run is kept or goes with all that is nested in it; a version keeps its run, the runs that this one took
results from, its report's and its weights; a request in force keeps its model and every run and state that was made for
it, one that was cancelled does not; a run under way keeps its flow run.
"""

import dataclasses
from datetime import date

from tasks.garbage.run_things import flow_runs, request_things, run_things, version_things
from tasks.garbage.things import Thing, garbage, kept
from tasks.removals.records import Change, Removal
from tasks.tracking_registry import Version
from tasks.tracking_rows import Row


def run(letter: str) -> str:
    return letter * 32


def row(letter: str, parent: str = "", *, is_held: bool = False, **tags: str) -> Row:
    named = {f"lethe.{name}": value for name, value in tags.items()}
    return Row(
        id=run(letter),
        server="sqlite:///x",
        parent=run(parent) if parent else "",
        name=letter,
        started=1.0,
        ended=2.0,
        is_held=is_held,
        tags=named,
        bytes=1,
    )


def removal(state: str) -> Removal:
    change = Change(state=state, at="2026-01-01T00:00:00+00:00", by="nobody", run=run("d"))
    return Removal(
        id="R-0001",
        entry=run("e"),
        history=(change,),
        due=date(2027, 1, 1),
        method="whp",
        target="7" * 64,
        base="8" * 64,
        model="",
        forget="",
        details="",
        approve=False,
    )


def same(digests: set[str]) -> frozenset[str]:
    return frozenset(digests)


def gone(things: list[Thing]) -> str:
    return "".join(sorted(thing.name[0] for thing in garbage(things, 100.0)))


ROWS = [row("a"), row("b", "a"), row("c", "b"), row("d"), row("e", "d", origin_run=run("b")), row("f")]


def test_a_run_is_kept_or_goes_with_all_that_is_nested_in_it() -> None:
    assert gone(run_things(ROWS, {})) == "abcdef"
    young = [dataclasses.replace(each, ended=200.0) if each.id == run("c") else each for each in ROWS]
    assert gone(run_things(young, {})) == "def"


def test_a_version_keeps_its_run_what_that_took_results_from_its_report_and_its_weights() -> None:
    tags = {"lethe.report": f"runs:/{run('f')}/report/report-redacted.html", "lethe.checkpoint": "9" * 64}
    version = Version(name="lethe-1", number=2, made=0, run=run("e"), tags=tags)
    checkpoint = Thing(kind="checkpoints", name="weights", place="there")
    things = [
        *run_things(ROWS, {}),
        checkpoint,
        *version_things([version], lambda digests: frozenset({"weights"}) if "9" * 64 in digests else frozenset()),
    ]
    assert garbage(things, 100.0) == []
    assert kept(things, 100.0)[run("a")] == "lethe-1 version 2"


def test_a_request_in_force_keeps_its_model_its_runs_and_their_states() -> None:
    rows = [*ROWS, row("g", request="R-0001")]
    state, base = (Thing(kind="x", name=name, place="there") for name in ("finetune-1", "8" * 64))
    for now, goes in (("running", "f"), ("verified", "f"), ("cancelled", "8abcdeffg"), ("superseded", "8abcdeffg")):
        things = [*run_things(rows, {"finetune-1": run("g")}), state, base]
        assert gone([*things, *request_things([removal(now)], rows, same)]) == goes


def test_a_run_under_way_keeps_its_flow_run() -> None:
    flow_run = Thing(kind="Prefect flow runs", name="1-2", place="there")
    for is_held, goes in ((True, ""), (False, "1a")):
        assert gone([*run_things([row("a", is_held=is_held, prefect_flow_run="1-2")], {}), flow_run]) == goes


def test_a_flow_has_the_runs_that_are_nested_in_it_and_those_it_took_results_from() -> None:
    assert flow_runs(ROWS) == {
        run("a"): [run("a"), run("b"), run("c")],
        run("d"): [run("d"), run("e"), run("b")],
        run("f"): [run("f")],
    }


def test_the_run_of_a_monitor_stays_although_it_has_ended() -> None:
    """Claims: a model goes on being watched in one run, however long ago that was made."""
    assert gone(run_things([row("a", monitor="key"), row("f")], {})) == "f"
