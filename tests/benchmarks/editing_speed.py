"""Rank-one editing against the plain way: seconds of an edit, and of the grid of a causal trace.

    python -m tests.benchmarks.editing_speed [--rounds 5] [--parts fact llama gpt2] [--model FOLDER --edits FILE]

The plain way is `tests.reference`: for each step of v* a whole forward pass over the same contexts, parameters
frozen, logits of every position; for each cell of a grid a whole forward pass, all draws in one batch. Both take
every step, and have C's factor beforehand. The fact models, one of each form, and their facts are trained through the
stage unless a folder is given; the other is of GPT-2's shape, with random weights. All ways take turns, after a turn
that does not count; seconds are medians, and so are the ratios of the turns. Of the plain grid at GPT-2's shape some
cells are run, spread over all, since each of them is the same work.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

import torch  # noqa: E402 - the environment comes first
from torch import nn  # noqa: E402

from tasks.algorithms.editing.causal_tracing import STATES, default_window, embedding_noise, trace  # noqa: E402
from tasks.algorithms.editing.contexts import Rewrite, Row, rewrites_of  # noqa: E402
from tasks.algorithms.editing.prompts import edit_prompt  # noqa: E402
from tasks.algorithms.editing.rome import find_values, rank_one  # noqa: E402
from tasks.algorithms.editing.second_moments import cholesky, solver  # noqa: E402
from tasks.algorithms.models.architectures import decoder_layers, mlp_weight  # noqa: E402
from tasks.settings.rank_one_editing import EditConfig, rank_one_preset  # noqa: E402
from tasks.settings.tracing import TracingConfig  # noqa: E402
from tests.reference import causal_tracing as plain_tracing  # noqa: E402
from tests.reference import rome as plain_rome  # noqa: E402
from tests.stand_ins.edit_requests import request_of  # noqa: E402

EDITS = 16
TRACES = 4
GPT2_LAYER = 5
CELLS = 24
"""Of the plain grid at GPT-2's shape."""
Work = Callable[[], object]


def turns(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every way, turn by turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                found[name].append(time.perf_counter() - started)
    return found


def compared(
    plain: Sequence[float], ours: Sequence[float], done: tuple[float, float], wanted: str | None = None
) -> dict[str, Any]:
    """Return a row: seconds for one of what was done, and how many times as fast.

    Args:
        plain: Seconds of each turn.
        ours: The same.
        done: How many were done in a turn, the plain way and ours.
        wanted: The ratio.
    """
    plain = [seconds / done[0] for seconds in plain]
    ours = [seconds / done[1] for seconds in ours]
    ratios = [one / other for one, other in zip(plain, ours, strict=True)]
    return {
        "plain": statistics.median(plain),
        "ours": statistics.median(ours),
        "ratio": {"mean": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "wanted": wanted,
    }


def edit_works(
    model: nn.Module, rewrites: Sequence[Rewrite], layer: int, config: EditConfig
) -> tuple[Work, Work, Work]:
    """Return all edits the plain way, ours one by one, and ours in one batch; each up to the update of the weights."""
    solve = solver(cholesky(torch.eye(max(mlp_weight(model, layer).shape)), 0.0))
    requests = [request_of(rewrite) for rewrite in rewrites]

    def plain() -> None:
        for request in requests:
            plain_rome.change_of_weights(plain_rome.find_value(model, request, layer, config), solve)

    def together(some: Sequence[Rewrite] = rewrites) -> None:
        for value in find_values(model, some, layer, config):
            rank_one(value, layer, solve)

    def one_by_one() -> None:
        for rewrite in rewrites:
            together([rewrite])

    return plain, one_by_one, together


def trace_works(
    model: nn.Module, prompts: Sequence[tuple[list[int], tuple[int, int], int]], cells: int | None = None
) -> tuple[Work, Work, float]:
    """Return the grids of some prompts the plain way and ours, and the share of its cells that the plain way runs."""
    config, window = TracingConfig(), default_window(len(decoder_layers(model)))
    share = (
        1.0
        if cells is None
        else cells / sum(len(STATES) * len(decoder_layers(model)) * len(ids) for ids, *_ in prompts)
    )

    def plain() -> None:
        for ids, subject, answer in prompts:
            tracing = plain_tracing.Tracing(model, ids, answer, embedding_noise(model, subject, len(ids), config))
            if cells is None:
                for state in STATES:
                    tracing.grid(state, window)
            else:
                for number in range(cells):
                    found = plain_tracing.modules(model, STATES[number % len(STATES)])
                    tracing.restored([(found[number * len(found) // cells], number * len(ids) // cells)])

    def ours() -> None:
        for ids, subject, answer in prompts:
            trace(model, ids, subject, answer, config)

    return plain, ours, share


def fact_model(asked: argparse.Namespace, form: str) -> tuple[nn.Module, Any, Sequence[Any]]:
    """Return the model of a form, its tokenizer and requests to edit it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from flows.steps.fact_world import embedded_facts
    from tasks import store
    from tasks.inputs.edit_requests import read_edit_requests
    from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

    folder, edits = asked.model, asked.edits
    if not folder:
        world, trained = embedded_facts(FactWorldConfig(), FactModelConfig(form=form))
        folder, edits = store.path(trained), store.path(world) / "edits.jsonl"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, AutoTokenizer.from_pretrained(folder), read_edit_requests(Path(edits))[:EDITS]


def on_the_fact_model(asked: argparse.Namespace, form: str = "gpt2") -> dict[str, dict[str, Any]]:
    """Return the rows of the fact model of a form."""
    model, tokenizer, requests = fact_model(asked, form)
    config = replace(rank_one_preset("default").edit, stop_nats=0.0)
    ways = edit_works(model, rewrites_of(model, tokenizer, requests, config), asked.layer, config)
    edits = turns(dict(zip(("plain", "single", "batch"), ways, strict=True)), asked.rounds)
    each = EDITS, EDITS
    prompts = []
    for request in requests[:TRACES]:
        prompt = edit_prompt(tokenizer, request.prompt, request.subject, request.target)
        prompts.append((list(prompt.ids[: prompt.target_start]), prompt.subject, prompt.target[0]))
    plain, ours, _ = trace_works(model, prompts)
    traces = turns({"plain": plain, "ours": ours}, asked.rounds)
    name = {"gpt2": "fact model", "llama": "fact model in Llama's form"}[form]
    return {
        f"{name}, an edit alone": compared(edits["plain"], edits["single"], each),
        f"{name}, an edit in a batch of 16": compared(edits["plain"], edits["batch"], each, ">= 6x"),
        f"{name}, the same beside ours alone": compared(edits["single"], edits["batch"], each),
        f"{name}, a grid": compared(traces["plain"], traces["ours"], (TRACES, TRACES), ">= 8x"),
    }


def at_gpt2_shape(asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the rows of a random model of GPT-2's shape."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model, drawn = GPT2LMHeadModel(GPT2Config()).eval(), random.Random(0)
    config = EditConfig(stop_nats=0.0)
    plain, ours, _ = edit_works(model, [random_rewrite(drawn, config)], GPT2_LAYER, config)
    edits = turns({"plain": plain, "ours": ours}, asked.rounds)
    plain, ours, share = trace_works(model, [(list(tokens(drawn, 12)), (2, 5), 7)], CELLS)
    traces = turns({"plain": plain, "ours": ours}, asked.rounds)
    return {
        "GPT-2's shape, an edit": compared(edits["plain"], edits["ours"], (1, 1), ">= 3x"),
        "GPT-2's shape, a grid": compared(traces["plain"], traces["ours"], (share, 1), ">= 2x"),
    }


def tokens(drawn: random.Random, count: int) -> tuple[int, ...]:
    """Return random tokens of GPT-2's vocabulary."""
    return tuple(drawn.randrange(50_257) for _ in range(count))


def random_rewrite(drawn: random.Random, config: EditConfig) -> Rewrite:
    """Return a request of three subject tokens, four behind them and a target of two, after as many beginnings as
    usual, each of them ended like a sentence.
    """
    subject, behind, target = tokens(drawn, 3), tokens(drawn, 4), tokens(drawn, 2)
    lengths = [config.short_tokens] * config.short_contexts + [config.long_tokens] * config.long_contexts
    beginnings = [(), *(tokens(drawn, length + 1) for length in lengths)]
    rows = [Row(ids=(*before, *subject, *behind, *target[:-1]), at=len(before) + 2) for before in beginnings]
    return Rewrite(rows=(*rows, Row(ids=subject, at=2)), target=target)


PARTS = {"fact": on_the_fact_model, "llama": partial(on_the_fact_model, form="llama"), "gpt2": at_gpt2_shape}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=PARTS)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--edits", type=Path)
    parser.add_argument("--layer", type=int, default=0, help="The edited layer of the fact model.")
    asked = parser.parse_args()
    record, figures = recording.begin(asked.results), {}
    for part in asked.parts:
        figures |= PARTS[part](asked)
    record.write("editing_speed", figures, keep=True)


if __name__ == "__main__":
    main()
