"""Which of several trade-offs are worth a look: those that no other one beats in both respects."""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def pareto_front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other point dominates; neither scipy nor scikit-learn has it.

    Args:
        points: (cost, gain) of each; less cost is better, more gain is better.

    Returns:
        Indices by rising cost, then rising gain, then index; equal points stand or fall together.

    Raises:
        ValueError: If a coordinate is not a number.
    """
    if any(math.isnan(value) for point in points for value in point):
        raise ValueError(f"points {points} hold NaN; wanted numbers")
    front = [index for index, point in enumerate(points) if not any(_dominates(other, point) for other in points)]
    return sorted(front, key=lambda index: (points[index], index))


def _dominates(one: Point, other: Point) -> bool:
    """At least as good in both respects, and better in one."""
    return one[0] <= other[0] and one[1] >= other[1] and one != other
