"""How far what was not given lives on: the ready topics of the embedded world, and one book of two on real text.

    python -m tests.benchmarks.topics [--seeds 0 1 2] [--set key=value ...] [--json FILE]
    python -m tests.benchmarks.topics --data DATA [--seeds 0 1 2] [--set ...]    (Alice alone, and with Looking-Glass)

A series and an article on the planets are asked about whole; the questions on the first book of a series are shown in
two parts, its own facts and those that later books tell too, and beside them what only the later books tell. On real
text the models are asked about unseen stretches of either book: of Alice by the names found there, of Looking-Glass by
those names that Alice does not hold.
"""

import hashlib
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest
from tests.benchmarks import recording
from tests.benchmarks.results import spread

environment.prepare()

from tasks.algorithms.world.requests import READY, Request, read_request  # noqa: E402 - the environment comes first

PROBABILITY = "forget_test/probability"
MODELS = ("target", "unlearned", "retrained")
ALICE, GLASS = "carroll_alice_in_wonderland.txt", "carroll_through_the_looking_glass.txt"
BOOK_FIGURES = (
    "forget_test/familiarity_first",
    "forget_test/familiarity",
    "forget_test/familiarity_interior",
    "retain_test/perplexity",
)
STRETCH, EVERY = 3000, 7
"""Characters of a stretch of a book, and which share of the stretches no stage sees."""
WINDOW = 48
"""Tokens of a scored window of a book: a name that stood a few lines before is copied from there by any model, whatever
it knows of the book."""


def world_rows(seed: int, settings: list[str]) -> list[dict[str, Any]]:
    """Forget every ready topic once; return a row for each part of what is asked."""
    from flows.demo import demo
    from flows.steps.settings import apply_settings
    from tasks.algorithms.world.generator import WorldConfig, build_world
    from tasks.settings.selective_unlearning import preset

    world, rows = build_world(WorldConfig(seed=seed)), []
    for name in READY:
        request = read_request(world, name)
        outcome = demo(topic=name, seed=seed, config=apply_settings(preset("default", seed), settings))
        rows += book_parts(outcome, request) if name == "book" else [_part(outcome, PROBABILITY, name, None)]
    return [{"seed": seed, **row} for row in rows]


def book_parts(outcome: Any, request: Request) -> list[dict[str, Any]]:
    """Return a row for the facts that only the first book tells, for those that later books tell too, and for what only
    the later ones tell.
    """
    facts, later = ({lesson.fact for lesson in topic.lessons} for topic in (request.forget, request.rest))
    parts = {"book: its own facts": facts - later, "book: facts told again later": facts & later}
    found = [_part(outcome, PROBABILITY, label, part) for label, part in parts.items()]
    return [*found, _part(outcome, "sibling/probability", "book: facts of later books", None)]


def _part(outcome: Any, metric: str, label: str, facts: set[str] | None) -> dict[str, Any]:
    """Return the mean of a metric over the items of some facts, for each model."""
    import pandas

    from tasks import store

    items = pandas.read_parquet(store.path(outcome.scorecard) / "items.parquet")
    items = items[items.metric == metric]
    if facts is not None:
        items = items[items.cluster.isin({hashlib.sha256(fact.encode()).hexdigest()[:12] for fact in facts})]
    means = items.groupby("model").value.mean()
    return {"part": label, **{model: float(means[model]) for model in MODELS}, "passed": outcome.scorecard.passed}


def book_rows(data: Path, seed: int, settings: list[str], folder: Path) -> list[dict[str, Any]]:
    """Forget Alice alone, then both books; each model is asked about stretches of either book that no stage saw."""
    from flows.selective_unlearning import selective_unlearning
    from flows.steps.settings import apply_settings
    from tasks.settings.selective_unlearning import preset

    books, target = data / "books", str(data / "tiny_lms" / "books")
    (alice, alice_asked), (glass, glass_asked) = (_cut(books / book, folder) for book in (ALICE, GLASS))
    only_glass = _names_of_one(glass, glass_asked, alice, folder / "only_glass.json")
    asked = {
        "Alice": UnlearningRequest(forget=(alice_asked,)),
        "Looking-Glass": UnlearningRequest(forget=(glass_asked,), anchors=only_glass),
    }
    retain = (str(books / "doyle_hound_of_the_baskervilles.txt"), str(books / "kipling_the_jungle_book.txt"))
    config, rows = apply_settings(preset("default", seed), settings), []
    for label, forget in (("Alice alone", (alice,)), ("both books", (alice, glass))):
        found = selective_unlearning(
            UnlearningRequest(forget=forget, forget_test=(alice_asked,), retain=retain, model=target), config
        )
        for about, question in asked.items():
            rows += [
                {"seed": seed, **row}
                for row in _book_figures(
                    label, about, replace(question, model=target, retain=retain), found.unlearned, config
                )
            ]
    return rows


def _book_figures(
    label: str, about: str, request: UnlearningRequest, unlearned: Any, config: Any
) -> list[dict[str, Any]]:
    """Return what is left of a book's names, and the perplexity of the retained books beside the first."""
    from flows.evaluation import evaluate
    from tasks import store
    from tasks.settings.evaluation import EvaluationConfig
    from tasks.storage.plain_files import read_json

    asking = EvaluationConfig(**{field.name: getattr(config, field.name) for field in fields(EvaluationConfig)})
    asking = replace(asking, probing=replace(asking.probing, window=WINDOW))
    outcome = evaluate(request, asking, judged=str(store.path(unlearned)))
    metrics = read_json(store.path(outcome.scorecard) / "scorecard.json")["metrics"]
    return [
        {
            "forgotten": label,
            "part": _part_of_book(about, name),
            "target": metrics[name]["target"],
            "unlearned": metrics[name]["unlearned"],
        }
        for name in BOOK_FIGURES
        if name in metrics and metrics[name]["target"]
    ]


def _part_of_book(about: str, metric: str) -> str:
    return metric if metric.startswith("retain") else f"{about}: {metric}"


def _names_of_one(book: str, asked: str, other: str, file: Path) -> str:
    """Write the anchors of a book that its unseen part holds and another book does not, in the form of a table that was
    looked over.
    """
    from tasks.algorithms.text.distinctive import select_anchors
    from tasks.anchors import find_entities
    from tasks.inputs.english_pipeline import ruled_pipeline
    from tasks.settings.text import AnchorConfig

    texts = [Path(path).read_text(encoding="utf-8") for path in (book, asked)]
    foreign = Path(other).read_text(encoding="utf-8").lower()
    found = select_anchors(find_entities(ruled_pipeline(), texts), texts, [foreign], AnchorConfig())
    kept = [
        {"term": anchor.term, "kind": anchor.kind, "origin": "user"}
        for anchor in found
        if anchor.term in texts[1] and anchor.term.lower() not in foreign
    ]
    file.write_text(json.dumps(kept), encoding="utf-8")
    return str(file)


def _cut(book: Path, folder: Path) -> tuple[str, str]:
    """Cut a book into what is given and what is asked about: one stretch in seven, so that all of its people are met in
    both.
    """
    from tasks.algorithms.text.corpus import clean_text
    from tasks.settings.text import CorpusConfig

    stretches: list[list[str]] = [[]]
    for paragraph in clean_text(book.read_text(encoding="utf-8"), CorpusConfig()).split("\n\n"):
        if sum(map(len, stretches[-1])) >= STRETCH:
            stretches.append([])
        stretches[-1].append(paragraph)
    files = folder / f"{book.stem}_given.txt", folder / f"{book.stem}_asked.txt"
    for asked, file in enumerate(files):
        kept = [
            "\n\n".join(stretch)
            for number, stretch in enumerate(stretches)
            if (number % EVERY == EVERY // 2) == bool(asked)
        ]
        file.write_text("\n\n".join(kept), encoding="utf-8")
    return str(files[0]), str(files[1])


def of_world(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the three models know of every part, over seeds, and how much of the target's is left."""
    return {part: _over_seeds(found) for part, found in _by_part(rows).items()}


def _over_seeds(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = {model: spread(row[model] for row in rows) for model in MODELS}
    return {**means, "left": _left(rows), "passed": sum(row["passed"] for row in rows), "runs": len(rows)}


def of_books(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the target knows of every part, and how much of it is left when one book or both are forgotten."""
    found = {}
    for part, measured in _by_part(rows).items():
        forgotten = dict.fromkeys(row["forgotten"] for row in measured)
        left = {label: _left([row for row in measured if row["forgotten"] == label]) for label in forgotten}
        found[part] = {"target": spread(row["target"] for row in measured), **left}
    return found


def _by_part(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["part"]].append(row)
    return parts


def _left(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    return spread(row["unlearned"] / row["target"] for row in rows)


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", dest="json_file", type=Path)
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in asked.seeds:
            found = (
                book_rows(asked.data.resolve(), seed, asked.settings, Path(folder))
                if asked.data
                else world_rows(seed, asked.settings)
            )
            rows += found
            print(json.dumps(found), file=sys.stderr, flush=True)
    record.write("topics_books", of_books(rows)) if asked.data else record.write("topics", of_world(rows))
    if asked.json_file:
        asked.json_file.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
