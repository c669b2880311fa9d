"""Pictures of causal traces: a heat map of one prompt, and average effects by layer and token role."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.algorithms.editing.causal_tracing import Trace
from tasks.algorithms.editing.effects import EDITED, LAST_SUBJECT, ROLES, Effect
from tasks.algorithms.editing.known_facts import KnownFact
from tasks.reporting import pages
from tasks.reporting.pages import Picture, figure
from tasks.settings.edit_request import EditRequest
from tasks.storage.plain_files import write_json
from tasks.storage.trace_files import PICTURES, TracedFact, traced_fact, write_traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"hidden": "one hidden state", "mlp": "a window of MLPs", "attention": "a window of attentions"}
MAPS = {"hidden": "Purples", "mlp": "Greens", "attention": "Reds"}
MOST_MAPS = 8
"""Facts of which a heat map is drawn."""
COLOURS = dict(zip(ROLES, ("#8a8f98", "#bf8700", "#1f6feb", "#2da44e", "#d0d7de", "#cf222e"), strict=True))


def heat_map(fact: TracedFact, trace: Trace) -> Picture:
    """Draw one fact's grids side by side: tokens down, layers across, p(object) with that state put back."""

    def plot(canvas: "Figure") -> None:
        panels = canvas.subplots(1, len(trace.restored), squeeze=False, sharey=True)[0]
        for axes, (state, grid) in zip(panels, trace.restored.items(), strict=True):
            image = axes.imshow(
                grid.T.numpy(),
                aspect="auto",
                cmap=MAPS[state],
                vmin=min(trace.corrupted, trace.clean),
                vmax=trace.clean,
            )
            axes.set(title=TITLES[state], xlabel="layer", xticks=range(len(grid)))
            # a model's words are no mathematics, whatever dollar signs they have
            canvas.colorbar(image, ax=axes, shrink=0.8).ax.set_ylabel(f"p({fact.object})", parse_math=False)
        start, stop = fact.span
        names = [
            f"{token.strip() or repr(token)}{'*' if start <= n < stop else ''}" for n, token in enumerate(fact.tokens)
        ]
        panels[0].set_yticks(range(len(names)), names, parse_math=False)
        for axes in panels:
            axes.tick_params(length=0)

    best = {state: divmod(int(grid.argmax()), grid.shape[1]) for state, grid in trace.restored.items()}
    words = "; ".join(
        f"{TITLES[state]} helps most in layer {layer} at '{fact.tokens[token].strip()}'"
        f" ({figure(trace.restored[state][layer, token].item())})"
        for state, (layer, token) in best.items()
    )
    title = f"Put back after noise on the subject (*): clean {figure(trace.clean)}, corrupted {figure(trace.corrupted)}"
    return pages.draw(
        plot,
        title=title,
        alt=f"Heat map. {title}. {words}.",
        size=(3.6 * len(trace.restored) + 1.0, 1.4 + 0.3 * len(fact.tokens)),
    )


def average_picture(effects: Sequence[Effect], facts: int) -> Picture:
    """Draw the average indirect effect by layer, a line a token role with its 95 % interval."""
    states = list(dict.fromkeys(effect.state for effect in effects))

    def plot(canvas: "Figure") -> None:
        panels = canvas.subplots(1, len(states), squeeze=False, sharey=True)[0]
        for axes, state in zip(panels, states, strict=True):
            _lines(axes, [effect for effect in effects if effect.state == state])
            axes.set(title=TITLES[state], xlabel="layer")
        panels[0].set_ylabel("average indirect effect")
        canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)

    shown = EDITED if EDITED in states else states[-1]
    best = max(
        (effect for effect in effects if effect.role == LAST_SUBJECT and effect.state == shown),
        key=lambda effect: effect.mean,
    )
    title = f"Average indirect effect over {facts} facts"
    where = f"{TITLES[best.state]} helps most in layer {best.layer}: {figure(best.mean)}"
    alt = f"{title}. At the last subject token {where}."
    return pages.draw(plot, title=title, alt=alt, size=(3.6 * len(states), 3.6))


def _lines(axes: "Axes", effects: Sequence[Effect]) -> None:
    for role in ROLES:
        rows = [effect for effect in effects if effect.role == role]
        if not rows:
            continue
        layers = [row.layer for row in rows]
        axes.plot(layers, [row.mean for row in rows], marker="o", markersize=3, color=COLOURS[role], label=role)
        axes.fill_between(
            layers, [row.low for row in rows], [row.high for row in rows], color=COLOURS[role], alpha=0.15, linewidth=0
        )
    axes.set_xticks([effect.layer for effect in effects if effect.role == effects[0].role])


def write_pictures(folder: Path, pictures: Mapping[str, Picture]) -> None:
    """Write pictures by file name, with what they show in words."""
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture.png)
    captions = [{"file": name, "title": picture.title, "alt": picture.alt} for name, picture in pictures.items()]
    write_json(folder / PICTURES, captions)


def keep_traces(
    folder: Path, known: Sequence[KnownFact], unknown: Sequence[EditRequest], effects: Sequence[Effect], tokenizer: Any
) -> None:
    """Write traces with their averages, the average and the first facts' maps as pictures too.

    Args:
        folder: Where to.
        known: What was traced.
        unknown: What was asked for and the model does not know.
        effects: The averages.
        tokenizer: Says which words the prompts' tokens are.
    """
    facts, traces = [traced_fact(fact, tokenizer) for fact in known], [fact.trace for fact in known]
    write_traces(folder, facts, traces, effects, [request.question for request in unknown])
    shown = zip(facts[:MOST_MAPS], traces, strict=False)
    drawn = {"average.png": average_picture(effects, len(traces))}
    drawn |= {f"fact-{number:03}.png": heat_map(fact, traced) for number, (fact, traced) in enumerate(shown)}
    write_pictures(folder, drawn)
