"""The Pareto front: hand-worked cases, ties and duplicates, and what holds for any points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.verdicts.trade_offs import Point, pareto_front

POINTS = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=8)
"""Few values, so that ties and duplicates are common."""


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(0.3, 0.9)], [0]),
        ([(0.5, 1.0), (0.1, 0.8), (0.3, 0.7)], [1, 0]),  # the last leaves more than the second and keeps less
        ([(0.1, 0.8), (0.1, 0.9)], [1]),  # equal cost: the one that keeps more
        ([(0.2, 0.9), (0.1, 0.9)], [1]),  # equal gain: the one that leaves less
        ([(0.1, 0.9), (0.5, 0.5), (0.1, 0.9)], [0, 2]),  # duplicates stand together
        ([(0.1, 0.9), (0.5, 0.5), (0.5, 0.5)], [0]),  # and fall together
        ([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], [0, 1, 2]),
    ],
)
def test_worked_cases(points: list[Point], front: list[int]) -> None:
    assert pareto_front(points) == front


def worse(one: Point, other: Point) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]


@given(POINTS)
def test_none_of_the_front_is_beaten_and_every_other_point_is_beaten_by_one_of_it(points: list[Point]) -> None:
    front = [points[index] for index in pareto_front(points)]
    assert not [point for point in front if any(worse(point, other) for other in points)]
    assert all(point in front or any(worse(point, other) for other in front) for point in points)
    assert front == sorted(front)


@given(POINTS)
def test_the_order_of_the_points_does_not_matter(points: list[Point]) -> None:
    turned = points[::-1]
    assert [points[index] for index in pareto_front(points)] == [turned[index] for index in pareto_front(turned)]


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pareto_front([(0.1, math.nan)])
