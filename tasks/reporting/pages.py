"""Pages that people open from disk: one HTML file each, with style and pictures inside, nothing loaded from
elsewhere.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import ReportRef, Sensitivity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A plot as a page shows it."""

    title: str
    alt: str
    """What it shows, in words, for those who do not see it."""
    png: bytes

    @property
    def address(self) -> str:
        """The picture itself, as an address that an image element takes."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def draw(plot: "Callable[[Figure], None]", *, title: str, alt: str, size: tuple[float, float]) -> Picture:
    """Return what `plot` draws on an empty figure of `size` inches."""
    from matplotlib.figure import Figure

    canvas, stream = Figure(figsize=size, layout="constrained"), io.BytesIO()
    plot(canvas)
    for axes in canvas.axes:
        axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(stream, format="png", dpi=144)
    return Picture(title=title, alt=alt, png=stream.getvalue())


def render(template: str, **values: Any) -> str:
    """Return a page of `templates/`; texts are escaped, a value that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "p_value": p_value}
    return environment.get_template(template).render(made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), **values)


def keep_page(page: str, name: str, sensitivity: Sensitivity, run: str | None) -> ReportRef:
    """Store a report's page under its file name, and log it."""
    digest = store.put(
        "reports", lambda folder: (folder / name).write_text(page, encoding="utf-8") and None, sensitivity=sensitivity
    )
    record = ReportRef(kind="reports", digest=digest, sensitivity=sensitivity, origin=run or "")
    tracking.log_artifact(run, store.path(record) / name, sensitivity, "report")
    return record


def figure(value: float | None) -> str:
    """Return a number as people read it: three significant digits, a dash where it is missing."""
    if value is None or value != value:
        return "\u2013"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def p_value(value: float) -> str:
    """Return a p-value as people read it: what is smaller than a thousandth is only said to be so."""
    return "< 0.001" if value < 0.001 else figure(value)
