"""Picture of what comes back while a model is trained again: a curve a model, for each text that it is trained on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.reporting import pages
from tasks.reporting.pages import Picture, figure
from tasks.reporting.wording import RELEARNED, TAUGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"target": "#8a8f98", "unlearned": "#1f6feb", "retrained": "#2da44e"}
SPLIT = "forget_test"
Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""Text that is trained on -> model -> (steps, what is back)."""


def relearning_curves(metrics: Mapping[str, Mapping[str, Any]]) -> Curves:
    """Return the curves that a card holds, points in the order of their steps."""
    curves: Curves = {}
    for name, row in metrics.items():
        split, _, metric = name.partition("/")
        if split != SPLIT or not (found := RELEARNED.fullmatch(metric)):
            continue
        for model in COLOURS:
            if row[model] is not None:
                curves.setdefault(found["text"], {}).setdefault(model, []).append((int(found["steps"]), row[model]))
    return {text: {model: sorted(points) for model, points in lines.items()} for text, lines in curves.items()}


def relearning_picture(metrics: Mapping[str, Mapping[str, Any]]) -> Picture | None:
    """Draw the curves side by side; none where nothing was trained again."""
    curves = relearning_curves(metrics)
    if not curves:
        return None

    def plot(canvas: "Figure") -> None:
        panels = canvas.subplots(1, len(curves), squeeze=False, sharey=True)[0]
        for axes, (text, lines) in zip(panels, curves.items(), strict=True):
            for model, points in lines.items():
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=COLOURS[model], label=model)
            steps = sorted({step for points in lines.values() for step, _ in points})
            axes.set_xscale("log")
            axes.set_xticks(steps, [str(step) for step in steps])
            axes.minorticks_off()
            axes.set_title(f"trained on {TAUGHT[text]}", fontsize=9)
            axes.set(xlabel="steps", ylim=(0, None))
        panels[0].legend(frameon=False, fontsize=8)

    words = "; ".join(
        f"trained on {TAUGHT[text]}, {model}: " + ", ".join(f"{figure(value)} after {step}" for step, value in points)
        for text, lines in curves.items()
        for model, points in lines.items()
    )
    title = "What comes back of what was not shown, by steps of training (probability, 0 to 1)"
    return pages.draw(plot, title=title, alt=f"{title}. {words}.", size=(6.8, 2.8))
