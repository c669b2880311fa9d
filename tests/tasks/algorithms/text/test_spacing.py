"""Some of many, evenly spaced, or drawn."""

import pytest

from tasks.algorithms.text.spacing import drawn, spaced


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


def test_a_draw_is_one_of_many_in_order_and_the_same_for_its_number() -> None:
    assert drawn(range(100), 5, 0) == spaced(range(100), 5)
    assert drawn("abc", 3, 7) == ["a", "b", "c"]
    found = [drawn(range(100), 5, draw) for draw in (1, 2, 1)]
    assert found[0] == found[2] != found[1]
    assert all(one == sorted(set(one)) and len(one) == 5 for one in found)
