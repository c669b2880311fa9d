"""Claims: a stage that ends before all of its steps is shown as ended, with as many as it took."""

from collections.abc import Iterator

import pytest

from tasks.execution import progress
from tasks.execution.isolation import call
from tasks.execution.progress import Progress


@pytest.fixture
def said() -> Iterator[list[Progress]]:
    heard: list[Progress] = []
    stop = progress.listen(heard.append)
    yield heard
    stop()


@pytest.mark.parametrize(("steps", "last"), [([1, 3], (3, 3)), ([0], (10, 10)), ([4, 10], (10, 10)), ([], None)])
def test_a_stage_that_found_what_it_looked_for_is_at_its_end(
    steps: list[int], last: tuple[int, int] | None, said: list[Progress]
) -> None:
    call(lambda: [progress.report(done, 10, "tokens") for done in steps], {}, "moments", None)
    assert ((said[-1].stage, said[-1].done, said[-1].total) if said else None) == (last and ("moments", *last))


def test_one_that_fails_is_not(said: list[Progress]) -> None:
    def fail() -> None:
        progress.report(2, 10)
        raise KeyError

    with pytest.raises(KeyError):
        call(fail, {}, "moments", None)
    call(lambda: None, {}, "moments", None)
    assert [(one.done, one.total) for one in said] == [(2, 10)]
