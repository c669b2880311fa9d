"""The plot of a model that is watched: what is left of the forgotten, and its benchmarks, a point a measurement."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.reporting.pages import Picture, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Course = Sequence[tuple[int, float]]
"""Number of the measurement and value."""
BENCHMARK, BEFORE = "benchmark/", ".target"


def monitor_plot(courses: Mapping[str, Course], days: Sequence[str]) -> Picture:
    """Draw the course of all figures.

    Args:
        courses: Metric -> its values; those of the model before end in `.target`.
        days: The day of each measurement, the earliest first.
    """
    left = {name: course for name, course in courses.items() if not name.startswith(BENCHMARK)}
    kept = {name: course for name, course in courses.items() if name.startswith(BENCHMARK)}
    panels = [(title, part) for title, part in (("left of the forgotten", left), ("benchmarks", kept)) if part]

    def plot(canvas: "Figure") -> None:
        for axes, (title, part) in zip(canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(axes, title, part, days)

    alt = f"{len(courses)} figures over {len(days)} measurements, from {days[0]} to {days[-1]}"
    return draw(plot, title="Measurements", alt=alt, size=(5.0 * max(1, len(panels)), 3.6))


def _panel(axes: "Axes", title: str, courses: Mapping[str, Course], days: Sequence[str]) -> None:
    for name, course in courses.items():
        steps, values = zip(*course, strict=True)
        axes.plot(steps, values, "--" if name.endswith(BEFORE) else "o-", label=name, markersize=3, linewidth=1)
    axes.set(title=title, ylim=(0, None))
    axes.set_xticks(range(1, len(days) + 1), days, rotation=45, ha="right", fontsize=7)
    axes.legend(fontsize=6)
