"""The command `lethe unlearn`."""

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from flows.terminal import checks
from flows.terminal.options import (
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
    Reproducible,
    RequireVerdict,
    ReviewAll,
    Runner,
    Seed,
    Set,
    Teacher,
    Translator,
    TranslatorFallback,
    TranslatorModel,
    TranslatorUrl,
    WinoBias,
)
from flows.terminal.running import finish, plain_errors, plain_failures, running


def unlearn(
    forget: Annotated[
        Files | None,
        typer.Argument(
            metavar="FORGET...", help="Text, Markdown or JSON-lines files or folders to forget.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model folder, hub name or models:/NAME@ALIAS.", show_default=False),
    ] = None,
    topic: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Instead of FORGET and --model: series, book, second-series or planets, ready in the embedded world.",
        ),
    ] = "",
    removal: Annotated[
        str,
        typer.Option(
            "--request",
            metavar="ID",
            help="Instead of FORGET and --model: a removal request, such as R-0001, with its text, model and method.",
            show_default=False,
        ),
    ] = "",
    approve: Annotated[
        bool,
        typer.Option("--approve", help="With --request: let the alias `unlearned` wait until `lethe request approve`."),
    ] = False,
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text to keep, used in training.")] = None,
    forget_test: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="Same topic, used in no stage. [default: last 15 % of FORGET]"),
    ] = None,
    retain_test: Annotated[
        Files | None,
        typer.Option(metavar="FILE...", help="To keep, used in no stage. [default: last 15 % of --retain]"),
    ] = None,
    sibling: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="A near topic the model should keep, used in no stage.")
    ] = None,
    general: Annotated[Files | None, typer.Option(metavar="FILE...", help="Ordinary prose, used in no stage.")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the model never saw.")] = None,
    retrained: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A model trained without FORGET: the gold standard.")
    ] = None,
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
        bool,
        typer.Option(
            "--coverage",
            help="Ask the model what else it tells of the topic, and say how much of that your text covers.",
        ),
    ] = False,
    expand_coverage: Annotated[
        bool,
        typer.Option(
            "--expand-coverage", help="The same, and forget what it tells beside (with --review: after a look)."
        ),
    ] = False,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Wait until you have looked over what is new of anchors, translations and facts in the Prefect UI.",
        ),
    ] = False,
    review_all: ReviewAll = False,
    method: Annotated[
        str | None, typer.Option(help="How to unlearn; auto: chosen by trials. (default: whp)", show_default=False)
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="45m|8",
            help="With --method auto: minutes, or trials, after which no further one is begun. [default: no limit]",
            show_default=False,
        ),
    ] = "",
    lora_rank: LoraRank = None,
    teacher: Teacher = None,
    winobias: WinoBias = None,
    preset: Preset = "default",
    config: ConfigFile = None,
    settings: Set = None,
    seed: Seed = 0,
    out: Out = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Find the anchors, say what would run and what it needs, and stop.")
    ] = False,
    require_verdict: RequireVerdict = False,
) -> None:
    """Make a model forget a text, and judge the result."""
    started = time.monotonic()
    asked = None
    with plain_failures(), plain_errors(out, json_file):
        if removal:
            from flows.terminal.requests import as_asked, read_asked

            asked = read_asked(removal, {"--topic": topic, "--method": method, "--winobias": winobias})
            method = asked.method
        elif approve:
            raise ValueError("--approve without --request; wanted the id of the removal request whose result waits")
    with plain_errors(out, json_file):
        from flows.methods import AUTOMATIC, METHODS
        from flows.methods import method as find_method

        method = method or "whp"
        chosen, by_trials = find_method(method, METHODS | AUTOMATIC), method in AUTOMATIC
        checks.check_choice(by_trials, budget, review=review or review_all, coverage=coverage or expand_coverage)
        asked_about = checks.reviewed(review, review_all)
        named = {"translation": translator, "prompting": prompt_writer, "judging": judge}
        reached = {"model": translator_model, "base_url": translator_url, "allow_remote": allow_remote_translator}
        configured = checks.with_providers(
            checks.configured(chosen.preset(preset, seed), config, settings), named, reached, translator_fallback
        )
        configured = checks.with_teacher(checks.with_lora(configured, lora_rank), teacher)
        configured = checks.with_budget(configured, budget)
        trained = checks.trained_by(configured) if by_trials else [configured]
        checks.check_benchmarks(configured, benchmark_data)
        files = {
            "forget": forget,
            "retain": retain,
            "forget_test": forget_test,
            "retain_test": retain_test,
            "sibling": sibling,
        }
        files |= {
            "general": general,
            "holdout": holdout,
            "anchors": anchors,
            "prompts": prompts,
            "benchmark_data": benchmark_data,
        }
        request = checks.as_request(**files, model=model, retrained=retrained)
        if asked:
            request = replace(as_asked(request, removal, asked), approve=approve or asked.approve)
        configured, request = checks.with_pairs(configured, request, winobias)
        checks.check_request(topic, request, seed)
        request = checks.checked_models(checks.checked_files(request), configured.corpus)
        for settings_of_one in trained:
            checks.check_trainable(settings_of_one, request.model)
    with running(runner, reproducible) as console:
        if topic:
            from flows.demo import embedded_request
            from flows.steps.providers import settle_providers

            configured = settle_providers(configured)  # before the embedded models are trained
            embedded, _ = embedded_request(topic, seed, checks.world_for(configured))
            request = replace(embedded, prompts=request.prompts, benchmark_data=request.benchmark_data)
        if dry_run:
            from flows.choice_plan import plan_choice
            from flows.plan import plan
            from flows.terminal.results import show_plan

            planned = plan_choice(request, configured) if by_trials else plan(request, configured, chosen)
            show_plan(console, planned, out, json_file)
            return
        told: dict[str, Any] = {"request": request.removal} if request.removal else {}
        if by_trials:
            from flows.terminal.choosing import show_choice

            choice = chosen.flow()(request, configured)
            outcome, told = choice.outcome, told | show_choice(console, choice, out)
        else:
            beside = "expand" if expand_coverage else "measure" if coverage else "off"
            outcome = chosen.flow()(request, configured, review=asked_about, coverage=beside)
        if outcome.coverage:
            from flows.terminal.tables import show_coverage

            show_coverage(console, outcome.coverage)
    finish(console, outcome, started, out, json_file, require_verdict, told)
