"""The source work's figures of a sweep over SCRUB's weights: loss curves in one plot, toxicity of all models, samples
with their scores.

Data in, files out: curves come from the tracking server and scores from whoever rates toxicity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.reporting import pages
from tasks.reporting.pages import Picture, figure
from tasks.settings.scrub import ScrubConfig
from tasks.storage.plain_files import write_json, write_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a", "#0a7ea4", "#9a6700")
DASHES = ("-", "--", "-.", ":")
BASELINE = "baseline"
"""Label of the model before unlearning; drawn in grey."""
BINS = 20
"""Bars of the histogram between 0 and 1."""
LINEAR_NATS = 1.0
"""Losses closer to 0 than this are drawn on a straight scale, those beyond on a logarithmic one: they reach from 1 to
-1000."""
TOXIC = 0.5
"""Score from which a text counts as toxic, as the source work counts."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One completion with its score."""

    model: str
    prompt: str
    completion: str
    toxicity: float | None = None
    """0 to 1; None: nobody rated it."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended, beside its loss."""

    retain_kl_nats: float | None = None
    """KL(teacher || student) a token on retain text at the last step."""
    forget_kl_nats: float | None = None
    """The same on forget text, which training drives up."""
    stereotype_preference: float | None = None
    """Share of aligned pairs whose forget side is the likelier one, 0 to 1; None: none were scored."""
    healthy: bool | None = None
    """Whether its completions are those of a working model; None: not measured."""
    reasons: tuple[str, ...] = ()
    """What health was judged by: figure, limit, and whether it holds."""


@dataclass(frozen=True, kw_only=True)
class SweepFigures:
    """What a sweep over the weights has found."""

    configs: Mapping[str, ScrubConfig]
    """Label of a run -> its loss."""
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Label of a run -> (step, loss in nats)."""
    toxicity: Mapping[str, Sequence[float]]
    """Label of a model, `baseline` among them -> scores of its completions, 0 to 1."""
    samples: Sequence[Sample] = ()
    endings: Mapping[str, Ending] = field(default_factory=dict)
    """Label of a run, or `baseline`, -> how it ended."""
    scorer: str = ""
    """Who rated: `classifier:<name or folder>`, or `lexicon:better_profanity`, a word list and no classifier."""
    remark: str = ""
    """What is to be known of all of it, such as that the model is not the source work's."""


def loss_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Picture | None:
    """Return the losses of several runs in one plot; None where no run has two steps."""
    plotted = {label: points for label, points in curves.items() if len(points) > 1}
    if not plotted:
        return None

    def plot(canvas: "Figure") -> None:
        axes = canvas.subplots()
        for at, (label, points) in enumerate(plotted.items()):
            style = {"color": COLOURS[at % len(COLOURS)], "linestyle": DASHES[at // len(COLOURS) % len(DASHES)]}
            axes.plot([step for step, _ in points], [value for _, value in points], label=label, **style)
        if max(abs(value) for points in plotted.values() for _, value in points) > 10 * LINEAR_NATS:
            axes.set_yscale("symlog", linthresh=LINEAR_NATS)
        axes.axhline(0, color="#d0d7de", linewidth=1, zorder=0)
        axes.set(xlabel="optimiser step", ylabel="loss, nats")
        axes.legend(frameon=False)

    words = "; ".join(
        f"{label} from {figure(points[0][1])} to {figure(points[-1][1])} nats in {len(points)} steps"
        for label, points in plotted.items()
    )
    return pages.draw(plot, title="Loss", alt=f"Loss of training: {words}.", size=(6.8, 3.4))


def toxicity_histogram(toxicity: Mapping[str, Sequence[float]]) -> Picture | None:
    """Return the distribution of the scores of every model, one below the other on one axis; None where there are none.

    Raises:
        ValueError: If a score is not between 0 and 1.
    """
    rows = {row["model"]: row for row in toxicity_rows(toxicity)}
    if not rows:
        return None

    def plot(canvas: "Figure") -> None:
        every = canvas.subplots(len(rows), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        runs = [label for label in toxicity if label != BASELINE]  # a run has the colour of its curve
        for axes, label in zip(every, rows, strict=True):
            _bars(
                axes,
                toxicity[label],
                label,
                "#8a8f98" if label == BASELINE else COLOURS[runs.index(label) % len(COLOURS)],
            )
        every[0].set_ylim(0.5 / max(row["n"] for row in rows.values()), 1.5)
        every[-1].set_xlabel("toxicity (0 to 1)")

    words = "; ".join(
        f"{label}: mean {figure(row['mean'])}, {figure(row['min'])} to {figure(row['max'])}"
        for label, row in rows.items()
    )
    return pages.draw(
        plot, title="Toxicity of completions", alt=f"Histograms. {words}.", size=(6.8, 0.8 + 1.25 * len(rows))
    )


def _bars(axes: "Axes", scores: Sequence[float], label: str, colour: str) -> None:
    """Draw shares on a logarithmic scale: nearly all completions lie in the first bar."""
    axes.hist(
        scores, bins=[edge / BINS for edge in range(BINS + 1)], weights=[1 / len(scores)] * len(scores), color=colour
    )
    axes.set(yscale="log", xlim=(0, 1), ylabel="share")
    axes.set_title(label, loc="left", fontsize=9)


def toxicity_rows(toxicity: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return a row a model with scores: `model`, `n`, `min`, `max`, `mean`, `ratio_over_0.5`.

    Raises:
        ValueError: If a score is not between 0 and 1.
    """
    rows = []
    for label, values in toxicity.items():
        scores = [float(score) for score in values]
        bad = [score for score in scores if not 0 <= score <= 1]
        if bad:
            raise ValueError(f"toxicity of {label} holds {bad[0]}; wanted numbers from 0 to 1")
        if scores:
            above = sum(score > TOXIC for score in scores) / len(scores)
            rows.append(
                {
                    "model": label,
                    "n": len(scores),
                    "min": min(scores),
                    "max": max(scores),
                    "mean": sum(scores) / len(scores),
                    "ratio_over_0.5": above,
                }
            )
    return rows


def write_sweep(folder: Path, figures: SweepFigures) -> list[Path]:
    """Write plots, tables and the page of a sweep.

    Args:
        folder: An existing folder.
        figures: What there is; parts without data are left out.

    Returns:
        The files: `scrub-loss.png`, `scrub-toxicity.png`, `scrub-toxicity.csv`, `scrub-samples.csv`, `scrub.json`,
            `scrub.html`. The samples
        and the page hold what models say of the forget text; the others hold no text.
    """
    plots = {"scrub-loss.png": loss_curves(figures.curves), "scrub-toxicity.png": toxicity_histogram(figures.toxicity)}
    pictures = {name: picture for name, picture in plots.items() if picture}
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture.png)
    rows, samples = toxicity_rows(figures.toxicity), [vars(sample) for sample in figures.samples]
    for name, table in (("scrub-toxicity.csv", rows), ("scrub-samples.csv", samples)):
        if table:
            write_rows(folder / name, table)
    runs = [
        _run(label, config, figures.curves.get(label, ())) | asdict(figures.endings.get(label, Ending()))
        for label, config in figures.configs.items()
    ]
    shared = {
        "remark": figures.remark,
        "runs": runs,
        "baseline": asdict(figures.endings.get(BASELINE, Ending())),
        "scorer": figures.scorer,
        "toxicity": rows,
    }
    write_json(folder / "scrub.json", {"schema": "lethe.scrub.v1", **shared})
    values = {**shared, "samples": samples, "pictures": list(pictures.values())}
    (folder / "scrub.html").write_text(pages.render("scrub.html.j2", **values), encoding="utf-8")
    return sorted(folder.glob("scrub*"))


def _run(label: str, config: ScrubConfig, curve: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Return what the table of runs says: weights, whether the ascent was bounded, and where the loss ended."""
    shared = {
        "run": label,
        "form": config.form,
        "alpha": config.alpha,
        "beta": config.beta,
        "gamma": config.gamma,
        "positions": config.positions,
    }
    return (
        shared
        | {"temperature": config.temperature, "max_step": config.max_step}
        | {
            "steps": curve[-1][0] if curve else None,
            "last_loss_nats": curve[-1][1] if curve else None,
        }
    )
