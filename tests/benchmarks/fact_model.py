"""The fact model: what it knows before any edit, and whether its facts are where rank-one editing looks for them.

    python -m tests.benchmarks.fact_model [--seeds 0 1 2] [--variants gpt2 llama "no mask" ...] [--facts 60]

A model of each seed's world is trained through the stage. Traced are facts that serve to choose settings, in the words
that edits use: noise of three standard deviations on the subject, ten draws, one hidden state put back. Rows of
variants that were measured before stay in the result.
"""

import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tests.benchmarks.results import spread  # noqa: E402 - the environment comes first

DATA_ALONE = {"mask_share": 0.0}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to make world and model, in what differs from the defaults."""

    world: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)


VARIANTS = {
    "gpt2": Variant(),
    "llama": Variant(model={"form": "llama"}),
    "no mask": Variant(model=DATA_ALONE),
    "no mask, distractors in 0.9": Variant(world={"distractors": 0.9}, model=DATA_ALONE),
    "no mask, three-part names": Variant(world={"name_parts": 3, "name_pool": 5}, model=DATA_ALONE),
    "no distractors": Variant(world={"distractors": 0.0}),
    "objects weigh as other words": Variant(model={"object_weight": 1.0}),
    "six layers": Variant(model={"layers": 6}),
}


def measured(variant: Variant, seed: int, count: int) -> dict[str, Any]:
    """Train one model; return what it knows, what each layer's state restores, and the seconds that it took."""
    from tasks import store
    from tasks.algorithms.world.fact_world import build_fact_world
    from tasks.fact_model import known_share, train_fact_model
    from tasks.models.loading import load_model, load_tokenizer
    from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

    config = FactWorldConfig(**{"seed": seed, **variant.world})
    started = time.perf_counter()
    trained = train_fact_model.body(
        config, FactModelConfig(**{"seed": seed, "least_known": 0.0, **variant.model}), (), "target"
    )
    seconds = time.perf_counter() - started
    world, model, tokenizer = build_fact_world(config), load_model(trained), load_tokenizer(trained)
    print(f"{store.path(trained)}", file=sys.stderr, flush=True)
    return {
        "known": known_share(model, tokenizer, world, held=False),
        "known held out": known_share(model, tokenizer, world, held=True),
        "seconds": seconds,
        **traced(model, tokenizer, world, count),
    }


def traced(model: Any, tokenizer: Any, world: Any, count: int) -> dict[str, Any]:
    """Return shares of the total effect that single hidden states restore, over `count` facts that the model knows."""
    from tasks.algorithms.editing.causal_tracing import trace
    from tasks.algorithms.editing.prompts import edit_prompt
    from tasks.settings.tracing import TracingConfig

    facts = [fact for fact in world.facts if " " in fact.subject.name]
    facts = sorted(random.Random(0).sample(facts, len(facts)), key=lambda fact: not fact.subject.tuning)
    total, last, earlier, traces = 0.0, 0.0, 0.0, 0
    for fact in facts:
        prompt = edit_prompt(tokenizer, fact.prompt(), fact.subject.name, fact.object)
        ids, answer = list(prompt.ids[: prompt.target_start]), prompt.target[0]
        found = trace(model, ids, prompt.subject, answer, TracingConfig(), states=("hidden",))
        if found.clean < 0.5:
            continue
        effects, (start, stop) = found.indirect("hidden"), prompt.subject
        total, traces = total + found.total, traces + 1
        last, earlier = last + effects[:, stop - 1], earlier + effects[:, start : stop - 1].amax(1)
        if traces == count:
            break
    shares = (last / total).tolist()
    layer = max(range(len(shares)), key=shares.__getitem__)
    return {
        "facts": traces,
        "total": total / traces,
        "layer": layer,
        "last": shares[layer],
        "earlier": (earlier / total).max().item(),
        "layers": shares,
    }


def over_seeds(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each figure's mean and extremes, and the layers that restored most."""
    names = ("known", "known held out", "total", "last", "earlier", "seconds")
    layers = {"layers": ", ".join(str(layer) for layer in sorted({one["layer"] for one in found}))}
    return {name: spread(one[name] for one in found) for name in names} | layers | {"facts": found[0]["facts"]}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=["gpt2", "llama"], choices=VARIANTS)
    parser.add_argument("--facts", type=int, default=60)
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    for name in asked.variants:
        found = []
        for seed in asked.seeds:
            found.append(measured(VARIANTS[name], seed, asked.facts))
            print(json.dumps({"variant": name, "seed": seed, **asdict(VARIANTS[name]), **found[-1]}), file=sys.stderr)
        record.write("fact_model", {name: over_seeds(found)}, keep=True)


if __name__ == "__main__":
    main()
