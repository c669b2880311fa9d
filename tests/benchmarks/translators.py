"""The embedded world's topic through each translator: calls, tokens, seconds, and how much of the table the model made.

    python -m tests.benchmarks.translators [--topic NAME] [--seed 0] [--model DIR] [--unlearn] [--set key=value ...]
    [--json FILE]

Servers are started here: a scripted one of good answers, one of ill will, and `transformers serve`. The last, and the
local model, are a random model of two layers whose answers are junk, unless `--model` names an instruct model's folder.
Each begins with an empty cache. With `--unlearn` the whole run is made with each, and its verdict shown.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tasks.settings.assistants import ProviderConfig  # noqa: E402
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig, preset  # noqa: E402

JUNK_TOKENS = 64
"""A random model never ends by itself."""


@contextmanager
def translators(folder: Path, model: Path | None) -> Iterator[dict[str, ProviderConfig]]:
    """Start the servers and yield every provider by what the table calls it."""
    from tests.stand_ins.chats import write_chat_model
    from tests.stand_ins.openai_server import MODEL, scripted_server
    from tests.stand_ins.servers import transformers_server

    local = model or write_chat_model(folder / "junk", positions=16_384)  # its tokens are single letters
    limit = {} if model else {"max_tokens": JUNK_TOKENS}
    with ExitStack() as stack:
        good, evil = stack.enter_context(scripted_server()), stack.enter_context(scripted_server())
        evil.mode = "hostile"
        serving = stack.enter_context(transformers_server(local, folder / "server.log"))
        yield {
            "offline": ProviderConfig(),
            "openai-compatible, good answers": ProviderConfig(name="openai-compatible", model=MODEL, base_url=good.url),
            "openai-compatible, ill will": ProviderConfig(name="openai-compatible", model=MODEL, base_url=evil.url),
            f"huggingface, {local.name}": ProviderConfig(name="huggingface", model=str(local), **limit),
            f"transformers serve, {local.name}": ProviderConfig(
                name="openai-compatible", model=str(local), base_url=serving, **limit
            ),
        }


def translate(topic: str, seed: int, config: SelectiveUnlearningConfig) -> dict[str, Any]:
    """Run the stages up to translation; return what the last of them took and made."""
    from tasks import store, tracking
    from tasks.algorithms.world.generator import WorldConfig
    from tasks.anchors import extract_anchors
    from tasks.corpus import gather_inputs, read_corpus
    from tasks.storage.plain_files import read_json
    from tasks.translation import translate_anchors
    from tasks.world import write_world

    folder = store.path(write_world.fn(WorldConfig(seed=seed), topic))
    inputs = gather_inputs(**{split: [str(folder / f"{split}.jsonl")] for split in ("forget", "retain", "general")})
    corpus = read_corpus.fn(inputs, config.corpus)
    table = extract_anchors.fn(corpus, config.anchors, config.corpus)
    run, began = tracking.open_run("translators", {}, {}), time.monotonic()
    record = translate_anchors.fn(table, corpus, config.translation, config.corpus, None, run)
    seconds = time.monotonic() - began
    tracking.close(run)
    nested = tracking.client().search_runs(
        [tracking.client().get_run(run).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run}'"
    )[0]
    rows = read_json(store.path(record) / "dictionary.json")
    counts = {
        name: int(nested.data.metrics.get(name, 0)) for name in ("model_calls", "prompt_tokens", "completion_tokens")
    }
    made = sum(row["translator"] not in ("offline", "user") for row in rows)
    return {"anchors": len(rows), **counts, "seconds": round(seconds, 1), "by the model": made}


def unlearn(topic: str, seed: int, config: SelectiveUnlearningConfig) -> dict[str, Any]:
    """Make the whole run; return its verdict."""
    from flows.demo import demo
    from tasks import store
    from tasks.storage.plain_files import read_json

    card = read_json(store.path(demo(topic=topic, seed=seed, config=config).scorecard) / "scorecard.json")
    probability = card["metrics"]["forget_test/probability"]
    verdict = {name: card["verdict"][name] for name in ("passed", "forgotten", "utility_kept", "healthy", "robust")}
    return verdict | {
        "forget probability": round(probability["unlearned"], 3),
        "retrained": round(probability["retrained"], 3),
    }


def measure(name: str, provider: ProviderConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a row: translation in a home of its own, the whole run in the usual one, where the embedded models are."""
    from flows.steps.settings import apply_settings

    config = apply_settings(preset("default", arguments.seed), arguments.settings)
    config = replace(config, translation=replace(config.translation, provider=provider))
    usual = os.environ.get("LETHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LETHE_HOME"] = folder
        try:
            row = {"translator": name, **translate(arguments.topic, arguments.seed, config)}
        finally:
            os.environ.pop("LETHE_HOME")
            os.environ |= {"LETHE_HOME": usual} if usual else {}
    return row | (unlearn(arguments.topic, arguments.seed, config) if arguments.unlearn else {})


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--topic", default="series")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--unlearn", action="store_true")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json")
    arguments = parser.parse_args()
    record = recording.begin(arguments.results, [arguments.seed])
    with tempfile.TemporaryDirectory() as folder, translators(Path(folder), arguments.model) as providers:
        rows = []
        for name, provider in providers.items():
            rows.append(measure(name, provider, arguments))
            print(f"{name}: {rows[-1]}", file=sys.stderr)
    record.write(
        "translators", {row["translator"]: {name: row[name] for name in row if name != "translator"} for row in rows}
    )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
