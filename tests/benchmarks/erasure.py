"""Few facts erased by rank-one edits, beside methods that unlearn by training: what the fact world says of ten people.

    python -m tests.benchmarks.erasure [--methods rome whp npo] [--seeds 0 1 2] [--people 10] [--set key=value ...]

Forgotten are the people's homes, jobs, sports and years of birth, asked for in trained wordings and told in sentences;
judged are answers to questions in wordings that nobody was taught, against a twin that was trained without these facts.
A rank-one edit puts `unknown` in the object's place, the word that the world's text has for strangers: a word that a
model was never taught to say cannot be put into its mouth. Beside the scorecard stands a look inside: the share of
facts whose old object is among the 20 likeliest of the logit lens at some layer. Rows of methods that were measured
before stay in the result.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from prefect import flow  # noqa: E402 - the environment comes first

from flows.methods import METHODS  # noqa: E402
from tasks.algorithms.world.fact_words import UNKNOWN  # noqa: E402
from tasks.settings.fact_model import FactModelConfig, FactWorldConfig  # noqa: E402
from tasks.settings.unlearning_request import UnlearningRequest  # noqa: E402
from tests.benchmarks.methods import WORLD, figures_of, over_seeds, unlearn  # noqa: E402

RELATIONS = ("home", "job", "sport", "birth year")
"""In the order in which a person's facts are told."""
OWN = {"rome": ["proposals.most=500", f"proposals.refusals=[{UNKNOWN}]"]}
COMPARED = ("rome", "whp", "npo")
TEXTS = {"retain": (-2, 1500), "general": (-3, 300)}
"""Split -> seed of its documents and how many."""
FALSE = 4
"""False answers beside a true one."""


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """A world, and what is to be forgotten of it."""

    world: Any
    facts: tuple[Any, ...]
    """Person by person, relations in the order of `RELATIONS`."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the facts."""
        return tuple(fact.key for fact in self.facts)

    @property
    def kept(self) -> list[Any]:
        """All other facts."""
        return [fact for fact in self.world.facts if fact.key not in set(self.keys)]


def forgotten(seed: int, people: int) -> Forgotten:
    """Draw people of a seed's world, of those whose facts serve figures."""
    from tasks.algorithms.world.fact_world import build_fact_world

    world = build_fact_world(FactWorldConfig(seed=seed))
    known = {(fact.subject.name, fact.relation.name): fact for fact in world.facts}
    names = sorted(
        {fact.subject.name for fact in world.facts if fact.subject.kind == "person" and not fact.subject.tuning}
    )
    drawn = random.Random(seed).sample(names, people)
    return Forgotten(world=world, facts=tuple(known[name, relation] for name in drawn for relation in RELATIONS))


@flow(name="erasure-models", log_prints=False)
def trained(seed: int, without: tuple[str, ...]) -> tuple[Any, Any]:
    """Train the model that knows everything and its twin without some facts; both come from the cache the next time."""
    from flows.steps.outcome import Stages
    from tasks.execution import isolation
    from tasks.fact_model import train_fact_model

    isolation.begin()
    stages, world, config = Stages(run=""), FactWorldConfig(seed=seed), FactModelConfig(seed=seed)
    target = stages.result("fact model", train_fact_model.submit(world, config, (), "target"), "target")
    twin = stages.result("fact model", train_fact_model.submit(world, config, without, "retrained"), "retrained")
    return target, twin


def asked(fact: Any, question: str, objects: Sequence[str]) -> dict[str, Any]:
    """Return a question as a record, with false answers."""
    false = [other for other in objects if other != fact.object][:FALSE]
    text = question.replace("{}", fact.subject.name)
    return {"question": text, "answer": fact.object, "fact": fact.key, "perturbed_answer": false}


def write_request(given: Forgotten, target: Any, twin: Any, folder: Path) -> UnlearningRequest:
    """Write the texts of a request, and return it."""
    from tasks import store
    from tasks.algorithms.world.fact_text import FactText
    from tasks.algorithms.world.fact_world import without_facts

    def questions(name: str, facts: Sequence[Any], wordings: range | None) -> str:
        told = [
            asked(fact, fact.relation.held_question if n is None else fact.relation.questions[n], objects(fact))
            for n in (wordings or (None,))
            for fact in facts
        ]
        return _written(folder / f"{name}.jsonl", "".join(json.dumps(record) + "\n" for record in told))

    def objects(fact: Any) -> Sequence[str]:
        return given.world.objects(fact.relation.name)

    text = FactText(without_facts(given.world, given.keys))
    texts = {
        split: _written(
            folder / f"{split}.txt", "\n\n".join(text.document(number, seed).text for number in range(count))
        )
        for split, (seed, count) in TEXTS.items()
    }
    sentences = "\n\n".join(
        f"{fact.asked(phrase=phrase)} {fact.object}."
        for fact in given.facts
        for phrase in range(len(fact.relation.phrases))
    )
    return UnlearningRequest(
        model=str(store.path(target)),
        retrained=str(store.path(twin)),
        forget=(questions("forget", given.facts, range(3)), _written(folder / "forget.txt", sentences)),
        retain=(questions("retain", given.kept, range(1)), texts["retain"]),
        forget_test=(questions("forget_test", given.facts, None),),
        retain_test=(questions("retain_test", given.kept, None),),
        general=(texts["general"],),
        anchors=_written(folder / "anchors.json", json.dumps(_names(given))),
    )


def _names(given: Forgotten) -> dict[str, str]:
    """Return each forgotten person's name with another that nobody has."""
    taken = {fact.subject.name for fact in given.world.facts}
    own = dict.fromkeys(fact.subject.name for fact in given.facts)
    people = [fact.subject.name.split() for fact in given.world.facts if fact.subject.kind == "person"]
    firsts, lasts = ({each[at] for each in people} for at in (0, -1))
    free = sorted(f"{first} {last}" for first in firsts for last in lasts if f"{first} {last}" not in taken)
    return dict(zip(own, random.Random(len(own)).sample(free, len(own)), strict=True))


def _written(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    return str(file)


def in_sight(checkpoint: Any, given: Forgotten) -> float:
    """Return the share of forgotten facts whose object the lens shows, asked in a trained wording."""
    from tasks.algorithms.measuring.logit_lens import lens_ranks
    from tasks.algorithms.models.heads import context_size
    from tasks.models.loading import load_model, load_tokenizer, pad_id
    from tasks.settings.edit_request import EditRequest

    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
    requests = [
        EditRequest(
            subject=fact.subject.name,
            prompt=f"Question: {fact.relation.questions[0]}\nAnswer:",
            object=fact.object,
            target=UNKNOWN,
        )
        for fact in given.facts
    ]
    places = range(len(requests))
    found = lens_ranks(model, tokenizer, requests, places, context_size(model.config), pad_id(tokenizer))
    return sum(one.in_sight for one in found) / len(found)


def measured(seed: int, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each method; each is shown on stderr when it is there."""
    given, rows = forgotten(seed, options.people), []
    target, twin = trained(seed, given.keys)
    request = write_request(given, target, twin, folder)
    shares = {"target": in_sight(target, given), "retrained": in_sight(twin, given)}
    for name in options.methods:
        outcome = unlearn(name, request, seed, [*OWN.get(name, ()), *options.settings])
        row = figures_of(name, outcome, seed, WORLD)
        rows.append(row | {"lens": shares | {"unlearned": in_sight(outcome.unlearned, given)}})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=COMPARED, choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    record, rows = recording.begin(options.results, options.seeds), []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows += measured(seed, options, Path(folder))
    record.write("erasure", over_seeds(rows, WORLD | {"lens": ""}), keep=True)


if __name__ == "__main__":
    main()
