"""Claims: of those that came as far, the better half goes on; the first always does; rungs are apart."""

import pytest

from flows.steps.halving import Halving


def went_on(*shortfalls: float) -> list[int]:
    halving = Halving()
    return [place for place, one in enumerate(shortfalls) if halving.goes_on(f"candidate {place}", 0, one)]


@pytest.mark.parametrize(
    ("shortfalls", "expected"),
    [
        ((5.0,), [0]),
        ((2.0, 1.0), [0, 1]),
        ((1.0, 2.0), [0]),
        ((1.0, 2.0, 3.0, 4.0), [0]),
        ((4.0, 3.0, 2.0, 1.0), [0, 1, 2, 3]),
        # the fourth is second of four, the fifth third of five
        ((1.0, 4.0, 3.0, 2.0, 2.5), [0, 3]),
        ((1e6, 1e6), [0, 1]),
    ],
)
def test_the_better_half_of_those_that_came_as_far_goes_on(shortfalls: tuple[float, ...], expected: list[int]) -> None:
    assert went_on(*shortfalls) == expected


def test_a_later_rung_compares_those_that_reached_it_alone() -> None:
    halving = Halving()
    assert halving.goes_on("a", 0, 3.0)
    assert halving.goes_on("b", 0, 1.0)
    assert halving.goes_on("b", 1, 0.5), "the first there"
    assert not halving.goes_on("a", 1, 0.9)
    assert not halving.goes_on("c", 0, 2.0), "third of three at its own rung"
