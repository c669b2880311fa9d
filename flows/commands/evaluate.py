"""The command `lethe evaluate`."""

import time
from typing import Annotated

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
    Out,
    Prompts,
    PromptWriter,
    Reproducible,
    RequireVerdict,
    Runner,
    Set,
    Translator,
    TranslatorFallback,
    TranslatorModel,
    TranslatorUrl,
)
from flows.terminal.running import finish, plain_errors, running

COMPAT = "open-unlearning"


def evaluate(
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="The model to judge: a folder, hub name or models:/NAME@ALIAS.", show_default=False
        ),
    ],
    forget: Annotated[
        Files, typer.Option(metavar="FILE...", help="What it should no longer know.", show_default=False)
    ],
    retain: Annotated[Files | None, typer.Option(metavar="FILE...", help="What it should still know.")] = None,
    forget_test: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="To ask about instead of --forget.")
    ] = None,
    retain_test: Annotated[
        Files | None, typer.Option(metavar="FILE...", help="To ask about instead of --retain.")
    ] = None,
    sibling: Annotated[Files | None, typer.Option(metavar="FILE...", help="A near topic it should still know.")] = None,
    general: Annotated[Files | None, typer.Option(metavar="FILE...", help="Ordinary prose or questions.")] = None,
    holdout: Annotated[Files | None, typer.Option(metavar="FILE...", help="Text the reference never saw.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="MODEL", help="The model before unlearning.")] = None,
    retrained: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A model trained without --forget: the gold standard.")
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
    config: ConfigFile = None,
    settings: Set = None,
    out: Out = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
    compat: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="`open-unlearning`: also show and write the figures as that project computes them."
        ),
    ] = None,
    require_verdict: RequireVerdict = False,
) -> None:
    """Judge any checkpoint by the same scorecard; nothing is trained."""
    started = time.monotonic()
    with plain_errors(out, json_file):
        from tasks.settings.evaluation import EvaluationConfig

        if compat not in (None, COMPAT):
            raise ValueError(f"--compat {compat}: unknown; wanted {COMPAT}")
        named = {"translation": translator, "prompting": prompt_writer, "judging": judge}
        reached = {"model": translator_model, "base_url": translator_url, "allow_remote": allow_remote_translator}
        configured = checks.with_providers(
            checks.configured(EvaluationConfig(), config, settings), named, reached, translator_fallback
        )
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
        request = checks.checked_files(checks.as_request(**files, model=reference, retrained=retrained))
        request = checks.checked_models(request, configured.corpus, judged=model)
    with running(runner, reproducible) as console:
        from flows.evaluation import evaluate as evaluation_flow
        from flows.terminal.tables import show_compatible
        from tasks import store
        from tasks.storage.plain_files import read_json

        outcome = evaluation_flow(
            request, configured, judged=checks.model_place(model), open_unlearning=compat == COMPAT
        )
        if outcome.compatible:
            show_compatible(
                console, outcome.compatible, read_json(store.path(outcome.scorecard) / "scorecard.json"), out
            )
    finish(console, outcome, started, out, json_file, require_verdict)
