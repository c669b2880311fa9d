"""The command `lethe demo`."""

import time

from flows.terminal import checks
from flows.terminal.options import (
    BenchmarkData,
    ConfigFile,
    JsonFile,
    Out,
    Preset,
    Reproducible,
    RequireVerdict,
    Runner,
    Seed,
    Set,
    Topic,
)
from flows.terminal.running import finish, plain_errors, running


def demo(
    topic: Topic = "",
    seed: Seed = 0,
    settings: Set = None,
    config: ConfigFile = None,
    preset: Preset = "default",
    benchmark_data: BenchmarkData = None,
    out: Out = None,
    runner: Runner = "",
    reproducible: Reproducible = "auto",
    json_file: JsonFile = None,
    require_verdict: RequireVerdict = False,
) -> None:
    """Build a small model that knows an invented world, make it forget one topic, and show the evidence."""
    started = time.monotonic()
    with plain_errors(out, json_file):
        from flows.methods import method

        chosen = checks.with_providers(
            checks.configured(method("whp").preset(preset, seed), config, settings), {}, {}, None
        )
        checks.check_topic(topic, seed)
        checks.check_benchmarks(chosen, benchmark_data)
    with running(runner, reproducible) as console:
        from flows.demo import demo as demo_flow

        outcome = demo_flow(topic=topic, seed=seed, benchmark_data=checks.optional_path(benchmark_data), config=chosen)
    finish(console, outcome, started, out, json_file, require_verdict)
