"""The tables of editing as its literature prints them: editors side by side, what an edit costs, three case studies.

    python -m tests.benchmarks.editors [--editors ft rome ...] [--seeds 0 1 2] [--edits 100] [--set key=value ...]
    python -m tests.benchmarks.editors --zsre FILE --model FOLDER [--layer N]      (or --counterfact FILE)
    python -m tests.benchmarks.editors costs [--benchmark-data FOLDER]             (before and after an edit)
    python -m tests.benchmarks.editors cases                                       (place, superlative, birth year)

Every edit of the first table stands alone, whatever the editor; MEND learns from other facts. On other data and models
than the fact world's the layer is a third of the depth, unless it is named, and other rows of the file are the facts.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from flows.terminal import environment
from tasks.settings.rank_one_editing import Algorithm
from tests.benchmarks import recording
from tests.benchmarks.edits import request_for

environment.prepare()

from tests.benchmarks.results import spread  # noqa: E402 - the environment comes first

EDITORS = get_args(Algorithm)
SCORES = (
    *("zsre_rewrite", "zsre_paraphrase", "zsre_unrelated", "portability"),
    *("es", "ps", "ns", "s", "alteration", "perplexity_ratio", "seconds"),
)
WANTED = {"zsre_rewrite": (0.99, None), "ps": (0.90, None), "ns": (0.90, None), "alteration": (None, 0.02)}
"""Score of an editor -> the least, or the most, that is asked of it."""
COSTS = {"edit/perplexity": 1.02, "edit/alteration": 0.02, "benchmark": 0.02}
"""What an edit may cost: a factor on the perplexity, a share of unrelated facts, of a benchmark's answers."""
FACTS = 200
"""Rows of a file beside those that are edited, that the model is taken to know."""


def scores(request: Any, seed: int, settings: Sequence[str]) -> dict[str, Any]:
    """Judge each edit of a request alone; return the rows of its scores."""
    from flows.single_editing import single_editing
    from flows.steps.settings import apply_settings
    from tasks import store
    from tasks.settings.rank_one_editing import rank_one_preset
    from tasks.storage.edit_records import SCORES as FILE
    from tasks.storage.plain_files import read_json

    config = apply_settings(rank_one_preset("default", seed), ["evaluation.generations=0", *settings])
    metrics = read_json(store.path(single_editing(request, config).scores) / FILE)["metrics"]
    return {name: metrics[f"edit/{name}"] for name in SCORES if f"edit/{name}" in metrics}


def over_seeds(rows: Sequence[Mapping[str, Any]], model: str = "unlearned") -> dict[str, Any]:
    """Return every score over seeds, after the edits or before (`target`), and what falls short of what is wanted."""
    names = [name for name in SCORES if all(name in row and row[name][model] is not None for row in rows)]
    row = {name: spread(each[name][model] for each in rows) for name in names}
    return row if model == "target" else row | {"short": short_of(row)}


def short_of(row: Mapping[str, Any]) -> str:
    """Return the scores that are not what is wanted, in words."""
    missed = [
        name
        for name, (least, most) in WANTED.items()
        if name in row
        and ((least is not None and row[name]["mean"] < least) or (most is not None and row[name]["mean"] > most))
    ]
    return ", ".join(name.upper() if len(name) < 3 else name.removeprefix("zsre_") for name in missed) or "no"


def outside(asked: argparse.Namespace, folder: Path) -> tuple[Any, list[str]]:
    """Return the request of a published file and any checkpoint, with the settings that say its layer."""
    from tasks.algorithms.editing.prompts import fitting
    from tasks.inputs.edit_requests import read_edit_requests
    from tasks.models.checkpoints import context_length, inspect_model
    from tasks.models.loading import load_tokenizer
    from tasks.settings.editing_request import EditingRequest
    from tasks.storage.edit_files import write_edits

    model = inspect_model(str(asked.model), "target")
    rows = read_edit_requests(asked.zsre or asked.counterfact)[: 2 * (asked.edits + FACTS)]
    rows = fitting(load_tokenizer(model), rows, context_length(model))
    files = {"edits": rows[: asked.edits], "facts": rows[asked.edits : asked.edits + FACTS]}
    for name, chosen in files.items():
        write_edits(folder / f"{name}.jsonl", chosen)
    request = EditingRequest(
        model=str(asked.model.resolve()),
        edit_files=(str(folder / "edits.jsonl"),),
        facts=(str(folder / "facts.jsonl"),),
        each=True,
    )
    config = json.loads((asked.model / "config.json").read_text(encoding="utf-8"))
    depth = config.get("n_layer") or config["num_hidden_layers"]
    return request, [f"edit.layer={depth // 3 if asked.layer is None else asked.layer}"]


def editors(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return a row for the model as it is, and one for each editor."""
    seeds, layer, before = asked.seeds, [], ""
    if asked.zsre or asked.counterfact:
        request, layer = outside(asked, folder)
        requests, seeds = [request], asked.seeds[:1]
        before = f"{'zsRE' if asked.zsre else 'CounterFact'}, {asked.model.resolve().name}: "
    else:
        requests = [request_for(asked.form, seed, asked.edits, folder) for seed in seeds]
    found: dict[str, Any] = {}
    for editor in asked.editors:
        settings = [f"edit.algorithm={editor}", *layer, *asked.settings]
        rows = [scores(request, seed, settings) for request, seed in zip(requests, seeds, strict=True)]
        found.setdefault(f"{before}unedited", over_seeds(rows, "target"))
        found[f"{before}{editor}"] = over_seeds(rows)
        print(json.dumps({"row": f"{before}{editor}", **found[f"{before}{editor}"]}), file=sys.stderr)
    return found


def together(request: Any, seed: int, settings: Sequence[str]) -> Any:
    """Make the edits of a request in one model, forced; return what became of it."""
    from flows.rank_one_editing import rank_one_editing
    from flows.steps.settings import apply_settings
    from tasks.settings.rank_one_editing import rank_one_preset

    config = apply_settings(rank_one_preset("default", seed), ["evaluation.generations=0", *settings])
    return rank_one_editing(replace(request, each=False, force=True), config)


def world_questions(seed: int, subjects: Sequence[str], path: Path) -> None:
    """Write the questions of a fact world that are not about these subjects, each with its relation's other objects as
    false answers.
    """
    from tasks.algorithms.world.fact_world import build_fact_world
    from tasks.settings.fact_model import FactWorldConfig

    world = build_fact_world(FactWorldConfig(seed=seed))
    rows = [
        {
            "question": fact.relation.questions[0].replace("{}", fact.subject.name),
            "answer": fact.object,
            "perturbed_answer": [other for other in world.objects(fact.relation.name) if other != fact.object][:4],
        }
        for fact in world.facts
        if fact.subject.name not in subjects
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def benchmarks(outcome: Any, target: str, questions: Path, data: Path | None) -> dict[str, Any]:
    """Return `benchmark/...` -> what the model scores before and after, through lm-eval."""
    from tasks import store
    from tasks.benchmarking import benchmark
    from tasks.benchmarks.local_files import gather_benchmarks
    from tasks.corpus import gather_inputs, read_corpus
    from tasks.models.checkpoints import inspect_model
    from tasks.settings.measuring import BenchmarkingConfig
    from tasks.settings.text import CorpusConfig
    from tasks.storage.plain_files import read_json

    corpus = read_corpus.body(gather_inputs(general=[str(questions)]), CorpusConfig())
    wanted = gather_benchmarks(BenchmarkingConfig(), str(data) if data else None)
    models = {"target": inspect_model(target, "target"), "unlearned": outcome.edited}
    found = {
        label: read_json(
            store.path(benchmark.body(corpus, model, wanted, BenchmarkingConfig(), CorpusConfig(), label))
            / "results.json"
        )
        for label, model in models.items()
    }
    names = [name for name in found["target"] if name.endswith("/acc")]
    return {f"benchmark/{name}": {label: found[label][name] for label in models} for name in names}


def costs(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what the model scores before and after the edits, over seeds."""
    from tasks import store
    from tasks.inputs.edit_requests import read_edit_requests
    from tasks.storage.plain_files import read_json

    rows: list[dict[str, Any]] = []
    for seed in asked.seeds:
        request = request_for(asked.form, seed, asked.edits, folder)
        outcome = together(request, seed, asked.settings)
        edited = [one.subject for one in read_edit_requests(Path(request.edit_files[0]))]
        world_questions(seed, edited, folder / f"questions-{seed}.jsonl")
        rows.append(benchmarks(outcome, request.model, folder / f"questions-{seed}.jsonl", asked.benchmark_data))
        metrics = read_json(store.path(outcome.scorecard) / "scorecard.json")["metrics"]
        rows[-1] |= {name: metrics[name] for name in ("edit/perplexity", "edit/alteration") if name in metrics}
    return {name: cost(name, [row[name] for row in rows]) for name in rows[0]}


def cost(name: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return a figure before and after over seeds, and whether an edit costs more of it than it may."""
    before, after = (spread(row[model] for row in rows) for model in ("target", "unlearned"))
    if name == "edit/perplexity":
        kept = after["mean"] <= COSTS[name] * before["mean"]
        wanted = f"<= {COSTS[name]:g}x"
    elif name == "edit/alteration":
        kept, wanted = after["mean"] <= COSTS[name], f"<= {COSTS[name]:g}"
    else:
        kept, wanted = after["mean"] >= before["mean"] - COSTS["benchmark"], f"at most {COSTS['benchmark']:g} less"
    return {"before": before, "after": after, "wanted": wanted, "short": not kept}


def cases(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the case studies of each seed's world."""
    from tasks.inputs.edit_requests import read_edit_requests
    from tasks.storage.edit_records import read_answers

    found: dict[str, Any] = {}
    for seed in asked.seeds:
        request = request_for(asked.form, seed, 1, folder)
        file = Path(request.text[0]).parent / "cases.jsonl"
        answered = read_answers(together(replace(request, edit_files=(str(file),)), seed, asked.settings).scores)
        for one in read_edit_requests(file):
            own = [row for row in answered if row["edit"] == one.name]
            found[f"{one.relation}, seed {seed}"] = case(one, {row["kind"]: row for row in own})
    return found


def case(request: Any, answered: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return a case study as the literature prints it: the fact before and after, a query with the response to it, and
    an unrelated one.
    """
    prompt, other = answered["prompt"], answered["unrelated"]
    query = next(answered[kind] for kind in ("question", "paraphrase", "prompt") if kind in answered)
    stated = next((one.object for one in request.unrelated if one.prompt == other["query"]), other["before"])
    as_wanted = {
        "edited fact": prompt["after"].startswith(request.target),
        "response": query["after"].startswith(request.target),
        "unrelated": other["after"].startswith(stated),
    }
    return {
        "original": f"{prompt['query']} {prompt['before']}",
        "edited": f"{prompt['query']} {prompt['after']}",
        "query": _line(query["query"]),
        "response": query["after"],
        "unrelated query": _line(other["query"]),
        "unrelated before": other["before"],
        "unrelated after": other["after"],
        "short": ", ".join(name for name, held in as_wanted.items() if not held) or "no",
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("what", nargs="?", default="editors", choices=("editors", "costs", "cases"))
    parser.add_argument("--editors", nargs="+", default=list(EDITORS), choices=EDITORS)
    parser.add_argument("--form", default="gpt2", choices=("gpt2", "llama"), help="Of the fact model.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--edits", type=int, help="[default: 100; of `costs`, which makes them in one model, 1]")
    parser.add_argument("--zsre", type=Path, help="File of zsRE, for --model.")
    parser.add_argument("--counterfact", type=Path, help="The same of CounterFact.")
    parser.add_argument("--model", type=Path, help="Model folder.")
    parser.add_argument("--layer", type=int, help="Layer that is edited there. [default: a third of the depth]")
    parser.add_argument("--benchmark-data", type=Path, help="Folder with lm-eval's tasks as files, for `costs`.")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    if bool(asked.model) != bool(asked.zsre or asked.counterfact):
        parser.error("--model and one of --zsre and --counterfact go together")
    asked.edits = asked.edits or (1 if asked.what == "costs" else 100)
    record = recording.begin(asked.results, asked.seeds)
    with tempfile.TemporaryDirectory() as folder:
        if asked.what == "editors":
            record.write("editors", editors(asked, Path(folder)), keep=True)
        elif asked.what == "costs":
            record.write("edit_costs", costs(asked, Path(folder)), keep=True)
        else:
            record.write("case_studies", cases(asked, Path(folder)))


if __name__ == "__main__":
    main()
