"""Some of many, evenly spaced."""

import pytest

from tasks.algorithms.text.spacing import spaced


@pytest.mark.parametrize(
    ("items", "most", "chosen"),
    [
        (range(10), 5, [0, 2, 4, 6, 8]),
        (range(10), 3, [0, 3, 6]),
        ("abc", 3, ["a", "b", "c"]),
        ("abc", 9, ["a", "b", "c"]),
        (range(4), 0, []),
    ],
)
def test_as_many_as_wanted_are_spaced_evenly_over_all(items: object, most: int, chosen: list[object]) -> None:
    assert spaced(items, most) == chosen
