"""Rank-one edits on the fact world: 100 facts edited one by one, each alone, in the settings chosen on other facts.

    python -m tests.benchmarks.edits [--forms gpt2 llama] [--seeds 0 1 2] [--edits 100] [--set key=value ...]
    python -m tests.benchmarks.edits sequence [--counts 1 10 100]     (one after the other, and with MEMIT)
    python -m tests.benchmarks.edits bounds      (what good edits do beside, and the bounds that they set)

Beside the layer that the trace picks stand the other layers, C = I, and the original's two keys.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from tests.benchmarks.results import spread  # noqa: E402 - the environment comes first

SCORES = ("es", "ps", "ns", "ns_name_sharers", "s", "alteration", "perplexity_ratio", "zsre_rewrite", "seconds")
NO_MOMENTS = "1e9"
"""A ridge beside which C vanishes: what is left is a multiple of I."""


def request_for(form: str, seed: int, edits: int, folder: Path) -> Any:
    """Return the request to edit the first facts of the figures of a seed's world, in a model of one form."""
    from flows.steps.fact_world import TEXT, TUNING, embedded_facts
    from tasks import store
    from tasks.settings.editing_request import EditingRequest
    from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

    world, model = embedded_facts(FactWorldConfig(seed=seed), FactModelConfig(seed=seed, form=form))
    place = store.path(world)
    chosen = folder / f"edits-{seed}-{edits}.jsonl"
    lines = (place / "edits.jsonl").read_text(encoding="utf-8").splitlines()[:edits]
    if len(lines) < edits:
        raise ValueError(f"the world has {len(lines)} facts to edit; wanted {edits}")
    chosen.write_text("\n".join(lines), encoding="utf-8")
    return EditingRequest(
        model=str(store.path(model)),
        edit_files=(str(chosen),),
        facts=(str(place / TUNING),),
        text=(str(place / TEXT),),
        each=True,
    )


def measured(request: Any, seed: int, settings: Sequence[str]) -> dict[str, Any]:
    """Judge the edits of a request one by one; return every score with its interval, and the layer."""
    from flows.single_editing import single_editing
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.settings.rank_one_editing import rank_one_preset
    from tasks.storage.edit_records import SCORES as FILE
    from tasks.storage.plain_files import read_json

    config = apply_settings(rank_one_preset("default", seed), ["evaluation.generations=0", *settings])
    outcome = single_editing(request, config)
    rows = read_json(store.path(outcome.scores) / FILE)["metrics"]
    layer = outcome.traced.layer if outcome.traced else config.edit.layer
    return {"layer": layer} | {name: rows[f"edit/{name}"] for name in SCORES if f"edit/{name}" in rows}


def variants(form: str, seed: int, asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the scores of every way to edit, for one model."""
    request = request_for(form, seed, asked.edits, folder)
    found = {"traced layer": measured(request, seed, asked.settings)}
    _say(form, seed, found)
    if form != asked.forms[0] or asked.brief:
        return found
    depth = json.loads((Path(request.model) / "config.json").read_text())
    layers = depth.get("n_layer") or depth["num_hidden_layers"]
    ways = {f"layer {n}": [f"edit.layer={n}"] for n in range(layers) if n != found["traced layer"]["layer"]}
    ways |= {"C = I": [f"second_moments.ridge={NO_MOMENTS}"], "the original's two keys": ["edit.keys=original"]}
    found[f"layer {found['traced layer']['layer']}"] = found["traced layer"]
    for name, settings in ways.items():
        found[name] = measured(request, seed, [*asked.settings, *settings])
        _say(form, seed, {name: found[name]})
    return found


def _say(form: str, seed: int, found: Mapping[str, Any]) -> None:
    for name, row in found.items():
        shown = {key: round(value["unlearned"], 3) for key, value in row.items() if key != "layer"}
        print(json.dumps({"form": form, "seed": seed, "way": name, "layer": row["layer"], **shown}), file=sys.stderr)


def over_seeds(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return every score's mean and extremes over seeds, the widest interval of a seed, and the layers."""
    scores = {
        name: {
            **(spread(row[name]["unlearned"] for row in rows) or {}),
            "low": min(row[name]["ci95"][0] for row in rows),
            "high": max(row[name]["ci95"][1] for row in rows),
        }
        for name in SCORES
        if all(name in row for row in rows)
    }
    return {"layer": ", ".join(sorted({str(row["layer"]) for row in rows})), **scores}


def sequence(form: str, seed: int, asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Make N edits in one model, one after the other and all at once, and score all of them again."""
    from flows.rank_one_editing import rank_one_editing
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.settings.rank_one_editing import rank_one_preset
    from tasks.storage.plain_files import read_json

    found = {}
    for count in asked.counts:
        request = replace(request_for(form, seed, count, folder), each=False, force=True)
        for algorithm in ("rome", "memit"):
            settings = ["evaluation.generations=0", f"edit.algorithm={algorithm}", *asked.settings]
            outcome = rank_one_editing(request, apply_settings(rank_one_preset("default", seed), settings))
            metrics = read_json(store.path(outcome.scorecard) / "scorecard.json")["metrics"]
            row = {name: metrics[f"edit/{name}"] for name in SCORES if f"edit/{name}" in metrics}
            found[f"{algorithm}, N = {count}"] = {"layer": outcome.run.layer, **row}
            _say(form, seed, {f"{algorithm} {count}": found[f"{algorithm}, N = {count}"]})
    return found


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("what", nargs="?", default="single", choices=("single", "sequence", "bounds"))
    parser.add_argument("--forms", nargs="+", default=["gpt2", "llama"], choices=("gpt2", "llama"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--brief", action="store_true", help="Only the layer that the trace picks.")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    with tempfile.TemporaryDirectory() as folder:
        if asked.what == "sequence":
            runs = [sequence(asked.forms[0], seed, asked, Path(folder)) for seed in asked.seeds]
            record.write("edit_sequences", {name: _sequence_row([run[name] for run in runs]) for name in runs[0]})
            return
        if asked.what == "bounds":
            good = [each for seed in asked.seeds for each in side_effects(asked.forms[0], seed, asked, Path(folder))]
            record.write("edit_bounds", bound_rows(good))
            return
        figures: dict[str, Any] = {}
        for form in asked.forms:
            runs = [variants(form, seed, asked, Path(folder)) for seed in asked.seeds]
            names = [name for name in runs[0] if all(name in run for run in runs)]
            figures |= {f"{form}, {name}": over_seeds([run[name] for run in runs]) for name in names}
        record.write("edits", figures)


def side_effects(form: str, seed: int, asked: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """Return what each edit that takes does beside, alone on the model: its target's loss is below the one at which the
    search stops.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from flows.steps.settings import apply_settings
    from tasks.algorithms.editing.changes import edited
    from tasks.algorithms.editing.second_moments import cholesky, second_moments, solver, text_batches
    from tasks.algorithms.editing.side_effects import compare, gather_bystanders, observe, relative_size
    from tasks.algorithms.editing.single import single_updates
    from tasks.algorithms.tokens.alignment import encode, prefix_ids
    from tasks.settings.rank_one_editing import rank_one_preset
    from tasks.storage.edit_files import read_edits

    request = request_for(form, seed, asked.edits, folder)
    config = apply_settings(rank_one_preset("default", seed), asked.settings)
    model, tokenizer = (
        kind.from_pretrained(request.model, local_files_only=True) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    model.eval()
    texts = [json.loads(line)["text"] for line in Path(request.text[0]).read_text(encoding="utf-8").splitlines()]
    rows = [[*prefix_ids(tokenizer), *encode(tokenizer, text)[0]] for text in texts]
    layer, pad = config.edit.layer or 0, tokenizer.pad_token_id
    batches = text_batches(rows, config.second_moments, pad, torch.device("cpu"))
    moment = second_moments(model, batches, config.second_moments).matrices[layer]
    solve = solver(cholesky(moment, config.second_moments.ridge))
    edits, found = read_edits(Path(request.edit_files[0])), []
    bystanders = gather_bystanders(tokenizer, edits, rows, config.bounds)
    before = observe(model, bystanders, pad)
    for one, (update, nats, _) in zip(
        edits, single_updates(model, tokenizer, edits, layer, solve, config.edit), strict=True
    ):
        size = relative_size(model, [update])
        with edited(model, [update]):
            beside = compare(before, observe(model, bystanders, pad), bystanders, frozenset({one.subject}))
        if nats < config.edit.stop_nats:
            found.append({"update_share": size, **beside})
    return found


def bound_rows(good: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Return a row a side effect: its spread over good edits, the bound that these set, and the one in the settings."""
    from tasks.algorithms.editing.side_effects import bounds_from
    from tasks.settings.rank_one_editing import EditBounds

    names = {"update_share": "largest_update", "perplexity_ratio": "largest_perplexity_ratio"}
    names |= {"changed_share": "most_changed"}
    kept = [{name: row[name] for name in names if row.get(name) is not None} for row in good]
    made, usual = bounds_from(kept), EditBounds()
    return {
        name: {
            **(spread(row.get(name) for row in kept) or {}),
            "edits": len(kept),
            "set": getattr(made, bound),
            "default": getattr(usual, bound),
        }
        for name, bound in names.items()
    }


def _sequence_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for name in SCORES if name != "seconds" and all(name in row for row in rows)]
    return {name: spread(row[name]["unlearned"] for row in rows) for name in names}


if __name__ == "__main__":
    main()
