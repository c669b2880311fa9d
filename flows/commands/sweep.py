"""The command `lethe sweep`."""

from typing import Annotated

import typer

from flows.terminal import checks
from flows.terminal.options import ConfigFile, Files, JsonFile, Preset, Reproducible, Runner, Seed, Set, Topic, WinoBias
from flows.terminal.running import plain_errors, running, write_json


def sweep(
    forget: Annotated[
        Files | None,
        typer.Argument(metavar="FORGET...", help="As in `unlearn`; so are the other options.", show_default=False),
    ] = None,
    grid: Annotated[
        Files | None,
        typer.Option(metavar="KEY=A,B,...", help="A setting and its values. Repeatable: all combinations are tried."),
    ] = None,
    budget: Annotated[
        int, typer.Option(min=0, help="Trials at most, drawn at random from the grid; 0: all of it.")
    ] = 0,
    sampler: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=(
                "Who draws them: grid, all before any is tried, or tpe, each from what those before it gave; wants"
                " --budget."
            ),
        ),
    ] = "grid",
    floor: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help=(
                "Least share of the target model's retain probability that a setting must keep; training that at a look"
                " keeps less is stopped."
            ),
        ),
    ] = 0.85,
    method: Annotated[
        str, typer.Option(help="Whose settings; `scrub` without --grid: its three pairs of weights.")
    ] = "whp",
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model folder, hub name or models:/NAME@ALIAS.", show_default=False),
    ] = None,
    topic: Topic = "",
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text to keep, used in training.")] = None,
    forget_test: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="What is asked about. [default: last 15 % of FORGET]")
    ] = None,
    retain_test: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="What must stay. [default: last 15 % of --retain]")
    ] = None,
    holdout: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="Text the model never saw; a rewind compares errors with it."),
    ] = None,
    retrained: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model that never saw FORGET: its probability is what is wanted, else 0."),
    ] = None,
    winobias: WinoBias = None,
    further: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="Without --grid: where the pair that forgets hardest stays healthy, drive it on.",
        ),
    ] = 0,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Write sweep.csv and best.yaml there; the latter is for `unlearn --config`. Without --grid: page, plots"
                " and tables."
            ),
        ),
    ] = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
) -> None:
    """Try a method's settings on one request, and name the best that keeps enough. Judge it on another topic. A sweep
    that was ended goes on when it is called again in the same words.
    """
    with plain_errors(out, json_file):
        from flows.methods import method as find_method
        from tasks.algorithms.verdicts.grids import check_grid, check_sampler, grid_points, read_grid

        wanted = read_grid(grid or [])
        configured = checks.configured(find_method(method).preset(preset, seed), config, settings)
        points = [checks.configured(configured, None, list(point)) for point in grid_points(wanted, 0, seed)]
        check_grid(wanted, configured)
        check_sampler(sampler, budget)
        if weights := method == "scrub" and not grid:
            checks.check_weight_sweep(configured, budget, further)
        elif further:
            raise ValueError(
                f"--further {further} is for --method scrub without --grid; wanted that, or no such option"
            )
        files = {
            "forget": forget,
            "retain": retain,
            "forget_test": forget_test,
            "retain_test": retain_test,
            "holdout": holdout,
        }
        configured, request = checks.with_pairs(
            configured, checks.as_request(**files, model=model, retrained=retrained), winobias
        )
        checks.check_request(topic, request, seed)
        request = checks.checked_models(checks.checked_files(request), configured.corpus)
        if not weights:
            checks.check_kept(topic, request)
        for point in points:
            checks.check_trainable(point, request.model)
    with running(runner, reproducible) as console:
        from flows.steps.settings import differences
        from flows.sweep import sweep as sweep_flow
        from flows.terminal.results import show_sweep

        if topic:
            from flows.demo import embedded_request

            request, _ = embedded_request(topic, seed, checks.world_for(configured))
        if weights:
            from flows.terminal.results import show_weight_sweep
            from flows.weight_sweep import sweep_weights

            write_json(json_file, show_weight_sweep(console, sweep_weights(request, configured, further), out))
            return
        swept = sweep_flow(
            request, configured, method=method, grid=wanted, budget=budget, floor=floor, seed=seed, sampler=sampler
        )
        best = differences(
            checks.configured(configured, None, list(swept.best.settings)), find_method(method).preset("default", seed)
        )
        write_json(json_file, show_sweep(console, swept, best, out))
