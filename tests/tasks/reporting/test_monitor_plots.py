"""Claims: the plot is a picture with a panel for what is left and one for benchmarks, and one alone where there are no
figures of the other; its alternative text says what it shows.
"""

import io

import pytest
from matplotlib import image

from tasks.reporting.monitor_plots import monitor_plot

LEFT = {"R-0001/forget_test/familiarity": [(1, 0.1), (2, 0.2)], "R-0001/forget_test/familiarity.target": [(1, 0.9)]}
KEPT = {"benchmark/world/acc": [(1, 0.5), (2, 0.5)]}


@pytest.mark.parametrize(("courses", "panels"), [(LEFT | KEPT, 2), (LEFT, 1), (KEPT, 1)])
def test_there_is_a_panel_for_each_kind_of_figure(courses: dict[str, list[tuple[int, float]]], panels: int) -> None:
    picture = monitor_plot(courses, ["2026-03-01", "2026-03-08"])
    height, width, _ = image.imread(io.BytesIO(picture.png)).shape
    assert round(width / height / (5 / 3.6)) == panels
    assert picture.alt == f"{len(courses)} figures over 2 measurements, from 2026-03-01 to 2026-03-08"
