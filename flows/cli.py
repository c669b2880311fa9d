"""The `lethe` command."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from flows import checks
from flows.options import (
    AllowRemote,
    Anchors,
    BenchmarkData,
    ConfigFile,
    Files,
    JsonFile,
    Judge,
    LoraRank,
    Out,
    Preset,
    Prompts,
    PromptWriter,
    RequireVerdict,
    Seed,
    Set,
    Teacher,
    Topic,
    Translator,
    TranslatorFallback,
    TranslatorModel,
    TranslatorUrl,
    WinoBias,
    spread_lists,
)
from flows.running import finish, plain_errors, running, write_json

COMPAT = "open-unlearning"
app = typer.Typer(
    name="lethe",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Unlearn a text from a language model, and prove it. Start with [bold]lethe demo[/]: five minutes, nothing to download.",
)


@app.callback()
def _start() -> None:
    from flows import environment

    environment.prepare()


@app.command()
def demo(
    topic: Topic = "",
    seed: Seed = 0,
    settings: Set = None,
    config: ConfigFile = None,
    preset: Preset = "default",
    benchmark_data: BenchmarkData = None,
    out: Out = None,
    json_file: JsonFile = None,
    require_verdict: RequireVerdict = False,
) -> None:
    """Build a small model that knows an invented world, make it forget one topic, and show the evidence."""
    started = time.monotonic()
    with plain_errors():
        from flows.methods import method

        chosen = checks.with_providers(checks.configured(method("whp").preset(preset, seed), config, settings), {}, {}, None)
        checks.check_topic(topic, seed)
        checks.check_benchmarks(chosen, benchmark_data)
    with running() as console:
        from flows.demo import demo as demo_flow

        outcome = demo_flow(topic=topic, seed=seed, benchmark_data=checks.given_path(benchmark_data), config=chosen)
    finish(console, outcome, started, out, json_file, require_verdict)


@app.command()
def unlearn(
    forget: Annotated[
        Files | None, typer.Argument(metavar="FORGET...", help="Text, Markdown or JSON-lines files or folders to forget.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Model folder (safetensors) or hub name.", show_default=False)] = None,
    topic: Annotated[
        str, typer.Option(metavar="NAME", help="Instead of FORGET and --model: series, book, second-series or planets, ready in the embedded world.")
    ] = "",
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text to keep, used in training.")] = None,
    forget_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="Same topic, used in no stage. [default: last 15 % of FORGET]")] = None,
    retain_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="To keep, used in no stage. [default: last 15 % of --retain]")] = None,
    sibling: Annotated[Files | None, typer.Option(metavar="FILE...", help="A near topic the model should keep, used in no stage.")] = None,
    general: Annotated[Files | None, typer.Option(metavar="FILE...", help="Ordinary prose, used in no stage.")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the model never saw.")] = None,
    retrained: Annotated[str | None, typer.Option(metavar="MODEL", help="A model trained without FORGET: the gold standard.")] = None,
    anchors: Anchors = None,
    prompts: Prompts = None,
    benchmark_data: BenchmarkData = None,
    translator: Translator = None,
    prompt_writer: PromptWriter = None,
    judge: Judge = None,
    translator_model: TranslatorModel = None,
    translator_url: TranslatorUrl = None,
    translator_fallback: TranslatorFallback = None,
    allow_remote_translator: AllowRemote = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Ask the model what else it tells of the topic, and say how much of that your text covers.")
    ] = False,
    expand_coverage: Annotated[
        bool, typer.Option("--expand-coverage", help="The same, and forget what it tells beside (with --review: after a look).")
    ] = False,
    review: Annotated[bool, typer.Option("--review", help="Wait until you have looked over anchors, translations and facts in the Prefect UI.")] = False,
    method: Annotated[str, typer.Option(help="How to unlearn.")] = "whp",
    lora_rank: LoraRank = None,
    teacher: Teacher = None,
    winobias: WinoBias = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Out = None,
    json_file: JsonFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find the anchors, say what would run and what it needs, and stop.")] = False,
    require_verdict: RequireVerdict = False,
) -> None:
    """Make a model forget a text, and judge the result."""
    started = time.monotonic()
    with plain_errors():
        from flows.methods import method as find_method

        if review:
            from flows.review import require_server

            require_server()
        chosen = find_method(method)
        named = {"translation": translator, "prompting": prompt_writer, "judging": judge}
        reached = {"model": translator_model, "base_url": translator_url, "allow_remote": allow_remote_translator}
        configured = checks.with_providers(checks.configured(chosen.preset(preset, seed), config, settings), named, reached, translator_fallback)
        configured = checks.with_teacher(checks.with_lora(configured, lora_rank), teacher)
        checks.check_benchmarks(configured, benchmark_data)
        splits = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test}
        splits |= {"sibling": sibling, "general": general, "holdout": holdout}
        configured, splits = checks.with_pairs(configured, splits, winobias)
        checks.check_request(topic, {**splits, "model": model, "retrained": retrained, "anchors": anchors}, seed)
        paths = checks.checked_inputs(splits, anchors)
        models = checks.checked_models({"model": model, "retrained": retrained}, configured.corpus)
        checks.check_trainable(configured, models["model"])
        given, asked = {**paths, **models, "anchors": checks.given_path(anchors)}, checks.checked_prompts(prompts)
    with running() as console:
        if topic:
            from flows.demo import embedded_request
            from flows.providers import settle_providers

            configured = settle_providers(configured)  # before the embedded models are trained
            given, _ = embedded_request(topic, seed, checks.world_for(configured))
        if dry_run:
            from flows.plan import plan, show_plan

            show_plan(console, plan(**given, method=chosen, config=configured), out, json_file)
            return
        beside = "expand" if expand_coverage else "measure" if coverage else "off"
        files = {"prompts": asked, "benchmark_data": checks.given_path(benchmark_data)}
        outcome = chosen.flow()(**given, **files, config=configured, review=review, coverage=beside)
        if outcome.coverage:
            from flows.console import show_coverage

            show_coverage(console, outcome.coverage)
    finish(console, outcome, started, out, json_file, require_verdict)


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(metavar="MODEL", help="The model to judge: a folder (safetensors) or hub name.", show_default=False)],
    forget: Annotated[Files, typer.Option(metavar="FILE...", help="What it should no longer know.", show_default=False)],
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="What it should still know.")] = None,
    forget_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="To ask about instead of --forget.")] = None,
    retain_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="To ask about instead of --retain.")] = None,
    sibling: Annotated[Files | None, typer.Option(metavar="FILE...", help="A near topic it should still know.")] = None,
    general: Annotated[Files | None, typer.Option(metavar="FILE...", help="Ordinary prose or questions.")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the reference never saw.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="MODEL", help="The model before unlearning.")] = None,
    retrained: Annotated[str | None, typer.Option(metavar="MODEL", help="A model trained without --forget: the gold standard.")] = None,
    anchors: Anchors = None,
    prompts: Prompts = None,
    benchmark_data: BenchmarkData = None,
    translator: Translator = None,
    prompt_writer: PromptWriter = None,
    judge: Judge = None,
    translator_model: TranslatorModel = None,
    translator_url: TranslatorUrl = None,
    translator_fallback: TranslatorFallback = None,
    allow_remote_translator: AllowRemote = False,
    config: ConfigFile = None,
    settings: Set = None,
    out: Out = None,
    json_file: JsonFile = None,
    compat: Annotated[
        str | None, typer.Option(metavar="NAME", help="`open-unlearning`: also show and write the figures as that project computes them.")
    ] = None,
    require_verdict: RequireVerdict = False,
) -> None:
    """Judge any checkpoint by the same scorecard; nothing is trained."""
    started = time.monotonic()
    with plain_errors():
        from tasks.algorithms.config import EvaluationConfig

        if compat not in (None, COMPAT):
            raise ValueError(f"--compat {compat}: unknown; wanted {COMPAT}")
        named = {"translation": translator, "prompting": prompt_writer, "judging": judge}
        reached = {"model": translator_model, "base_url": translator_url, "allow_remote": allow_remote_translator}
        configured = checks.with_providers(checks.configured(EvaluationConfig(), config, settings), named, reached, translator_fallback)
        checks.check_benchmarks(configured, benchmark_data)
        splits = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test}
        paths = checks.checked_inputs({**splits, "sibling": sibling, "general": general, "holdout": holdout}, anchors)
        models = checks.checked_models({"model": model, "reference": reference, "retrained": retrained}, configured.corpus)
        asked = checks.checked_prompts(prompts)
    with running() as console:
        from flows.console import show_compatible
        from flows.evaluation import evaluate as evaluation_flow
        from tasks import store
        from tasks.formats import read_json

        files = {"anchors": checks.given_path(anchors), "prompts": asked, "benchmark_data": checks.given_path(benchmark_data)}
        outcome = evaluation_flow(**paths, **models, **files, config=configured, open_unlearning=compat == COMPAT)
        if outcome.compatible:
            show_compatible(console, outcome.compatible, read_json(store.path(outcome.scorecard) / "scorecard.json"), out)
    finish(console, outcome, started, out, json_file, require_verdict)


@app.command()
def compare(
    runs: Annotated[
        Files, typer.Argument(metavar="RUN...", help="Folders of --out, scorecards, files of --json, or MLflow run ids (8 letters do).", show_default=False)
    ],
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Copy page, plot and tables there.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Lay finished runs side by side: what each forgot against what it kept, with paired tests against the first."""
    with plain_errors():
        from tasks.cards import gather_cards

        gather_cards(runs)
    with running(trains=False) as console:
        from flows.comparison import as_result
        from flows.comparison import compare as compare_flow
        from flows.console import show_comparison

        compared = compare_flow(runs=[checks.absolute(run) if Path(run).expanduser().exists() else run for run in runs])
        found, places = as_result(compared, out)
        show_comparison(console, found, places)
        write_json(json_file, found)


@app.command()
def sweep(
    forget: Annotated[Files | None, typer.Argument(metavar="FORGET...", help="As in `unlearn`; so are the other options.", show_default=False)] = None,
    grid: Annotated[Files | None, typer.Option(metavar="KEY=A,B,...", help="A setting and its values. Repeatable: all combinations are tried.")] = None,
    budget: Annotated[int, typer.Option(min=0, help="Trials at most, drawn at random from the grid; 0: all of it.")] = 0,
    floor: Annotated[float, typer.Option(min=0, max=1, help="Least share of the target model's retain probability that a setting must keep.")] = 0.85,
    method: Annotated[str, typer.Option(help="Whose settings; `scrub` without --grid: its three pairs of weights.")] = "whp",
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Model folder (safetensors) or hub name.", show_default=False)] = None,
    topic: Topic = "",
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text to keep, used in training.")] = None,
    forget_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="What is asked about. [default: last 15 % of FORGET]")] = None,
    retain_test: Annotated[Files | None, typer.Option(metavar="FILE...", help="What must stay. [default: last 15 % of --retain]")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the model never saw; a rewind compares errors with it.")] = None,
    retrained: Annotated[str | None, typer.Option(metavar="MODEL", help="A model that never saw FORGET: its probability is what is wanted, else 0.")] = None,
    winobias: WinoBias = None,
    further: Annotated[int, typer.Option(min=0, metavar="EPOCHS", help="Without --grid: where the pair that forgets hardest stays healthy, drive it on.")] = 0,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write sweep.csv and best.yaml there; the latter is for `unlearn --config`. Without --grid: page, plots and tables."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Try a method's settings on one request, and name the best that keeps enough. Judge it on another topic."""
    with plain_errors():
        from flows.methods import method as find_method
        from tasks.algorithms.grids import check_grid, grid_points, read_grid

        wanted = read_grid(grid or [])
        configured = checks.configured(find_method(method).preset(preset, seed), config, settings)
        points = [checks.configured(configured, None, list(point)) for point in grid_points(wanted, 0, seed)]
        check_grid(wanted, configured)
        if weights := method == "scrub" and not grid:
            checks.check_weight_sweep(configured, budget, further)
        elif further:
            raise ValueError(f"--further {further} is for --method scrub without --grid; wanted that, or no such option")
        splits = {"forget": forget, "retain": retain, "forget_test": forget_test, "retain_test": retain_test, "holdout": holdout}
        configured, splits = checks.with_pairs(configured, splits, winobias)
        checks.check_request(topic, {**splits, "model": model, "retrained": retrained}, seed)
        given = {**checks.checked_inputs(splits, None), **checks.checked_models({"model": model, "retrained": retrained}, configured.corpus)}
        if not weights:
            checks.check_kept(topic, given)
        for point in points:
            checks.check_trainable(point, given["model"])
    with running() as console:
        from flows.settings import differences
        from flows.sweep import show_sweep
        from flows.sweep import sweep as sweep_flow

        if topic:
            from flows.demo import embedded_request

            given, _ = embedded_request(topic, seed, checks.world_for(configured))
        if weights:
            from flows.weight_sweep import show_weight_sweep, sweep_weights

            write_json(json_file, show_weight_sweep(console, sweep_weights({**given, "config": configured}, further), out))
            return
        swept = sweep_flow(method=method, grid=wanted, given={**given, "config": configured}, budget=budget, floor=floor, seed=seed)
        best = differences(checks.configured(configured, None, list(swept.best.settings)), find_method(method).preset("default", seed))
        write_json(json_file, show_sweep(console, swept, best, out))


@app.command()
def purge(
    expired: Annotated[bool, typer.Option("--expired", help="Only what has outlived its retention time.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Delete everything that holds forgotten text: corpora, anchors, labels, reinforced models, records, full reports."""
    from tasks import store, tracking

    if not yes and not typer.confirm(f"Delete all forget artifacts under {store.home()} and in MLflow?", default=False):
        raise typer.Exit(1)
    found = store.purge(expired_only=expired)
    files = 0 if expired else tracking.purge_artifacts()
    typer.echo(f"Purged {found.artifacts} artifacts ({found.bytes / 1e6:.1f} MB) and {files} entries in MLflow.")
    write_json(json_file, {"schema": "lethe.purge.v1", "artifacts": found.artifacts, "bytes": found.bytes, "mlflow_entries": files})


STOPPED = 130
"""Exit status after Ctrl-C."""


def main() -> None:
    """Run the command line; Ctrl-C exits with 130."""
    try:
        status = app(args=spread_lists(sys.argv[1:]), standalone_mode=False)
    except typer.TyperException as error:  # an option or argument that does not parse; empty where help was shown instead
        if message := " ".join(error.format_message().split()):
            typer.echo(f"lethe: {message}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    if status == STOPPED:  # which is also what the parser makes of Ctrl-C
        typer.echo("lethe: stopped; what was finished is kept, run the same command again to go on", err=True)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
