"""The verdict on planted cases: models known to be good or bad, judged at every tier of evidence.

    python -m tests.benchmarks.planted [--seeds 0 1 2 3] [--topics 0 1 2 3 4] [--workers 1] [--json FILE]
    python -m tests.benchmarks.planted --judge FILE      (the figures of an earlier run, judged anew)

Records how often each kind passed and which check failed it, the rates of false passes and false fails with 95 % Wilson
intervals, and what cannot be told apart. Everything comes from the cache where it has been computed before, so a run
that was stopped goes on. A case is a world seed and a topic: one target model a seed, two retrained models a topic (the
honest case, trained as the target was, and the reference, on another training seed), one plant of each bad kind.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flows.terminal import environment
from tests.benchmarks import recording

environment.prepare()

from prefect import flow  # noqa: E402 - the environment comes first
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from tasks import store  # noqa: E402
from tasks.algorithms.verdicts.scorecard import judge  # noqa: E402
from tasks.algorithms.world.generator import WorldConfig, build_world  # noqa: E402
from tasks.anchors import extract_anchors  # noqa: E402
from tasks.artifacts import AnchorTable, CorpusRef, ProbeRecords, RelearnRecords  # noqa: E402
from tasks.corpus import gather_inputs, read_corpus  # noqa: E402
from tasks.execution import isolation  # noqa: E402
from tasks.facts import keep_facts  # noqa: E402
from tasks.models.vocabulary_sizes import vocabulary_size  # noqa: E402
from tasks.pretraining import pretrain  # noqa: E402
from tasks.probing import probe  # noqa: E402
from tasks.prompting import make_invitations  # noqa: E402
from tasks.relearning import relearn, relearn_retained  # noqa: E402
from tasks.settings.measuring import ProbingConfig, RelearningConfig  # noqa: E402
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig  # noqa: E402
from tasks.settings.training import PretrainingConfig  # noqa: E402
from tasks.settings.verdict import VerdictConfig  # noqa: E402
from tasks.translation import translate_anchors  # noqa: E402
from tasks.world import write_world  # noqa: E402
from tests.planted.builders import PLANTS, plant  # noqa: E402
from tests.planted.confusion import Case, confusion, indistinct  # noqa: E402
from tests.planted.judging import TIERS, judged  # noqa: E402

Judged = list[tuple[Case, dict[str, Any]]]
"""Each verdict with its card."""
GOOD = "retrained"
REFERENCE = "reference"
OTHER_SEED = 1000
"""Added to the training seed of the reference, which shares nothing with the honest case but the text: against itself
any model would pass."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the planted cases are: models of half a million parameters that train in half a minute on one core."""

    world: WorldConfig = WorldConfig(series=5, unseen=1, neighbours=4, tellings=1)
    pretraining: PretrainingConfig = PretrainingConfig(
        layers=2, intermediate=256, epochs=36, batch_blocks=8, learning_rate=3e-3
    )
    probing: ProbingConfig = ProbingConfig(prompts=12, new_tokens=10)
    relearning: RelearningConfig = RelearningConfig()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that judging a case needs."""

    corpus: CorpusRef
    dictionary: AnchorTable
    probes: dict[str, ProbeRecords]
    """Kind -> records; `reference` too."""
    relearned: dict[str, list[RelearnRecords]]
    vocabulary: int
    """Tokens among which all of them choose."""


def measure(seed: int, topic: int, sizes: Sizes, workers: int) -> Measured:
    """Build and measure the models of one case; what has been made before comes from the cache."""
    case = flow(name="planted-case", task_runner=ThreadPoolTaskRunner(max_workers=workers), validate_parameters=False)(
        _stages
    )
    return case(seed, topic, sizes)


def _stages(seed: int, topic: int, sizes: Sizes) -> Measured:
    defaults, world = SelectiveUnlearningConfig(), replace(sizes.world, seed=seed)
    reading, slug = defaults.corpus, build_world(world).topics[topic].slug
    made = {
        label: pretrain.submit(world, without, replace(sizes.pretraining, seed=training), reading, label)
        for label, without, training in (
            ("untouched", "", seed),
            (GOOD, slug, seed),
            (REFERENCE, slug, seed + OTHER_SEED),
        )
    }
    files = store.path(write_world(world, slug)).glob("*.jsonl")
    corpus = read_corpus(gather_inputs(**{file.stem: [str(file)] for file in files}), reading)
    dictionary = translate_anchors(
        extract_anchors(corpus, defaults.anchors, reading), corpus, defaults.translation, reading
    )
    target = made["untouched"]
    models = made | {kind: plant.submit(kind, corpus, target, seed) for kind in PLANTS}
    for model in models.values():
        model.result()  # one that cannot be made says so here
    invited = make_invitations(corpus, dictionary, keep_facts([], "whp", "", None), (), sizes.probing)
    probes = {
        kind: probe.submit(corpus, dictionary, invited, model, target, sizes.probing, reading, kind)
        for kind, model in models.items()
    }
    relearned = {
        kind: [
            stage.submit(corpus, dictionary, model, sizes.relearning, sizes.probing, reading, kind)
            for stage in (relearn, relearn_retained)
        ]
        for kind, model in models.items()
    }
    return Measured(
        corpus=corpus,
        dictionary=dictionary,
        probes={kind: future.result() for kind, future in probes.items()},
        relearned={kind: [future.result() for future in futures] for kind, futures in relearned.items()},
        vocabulary=vocabulary_size(target.result()),
    )


def verdicts(seed: int, topic: str, measured: Measured, config: VerdictConfig) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Judge every kind at every tier; yield the case and its card."""
    for kind in ("untouched", *PLANTS, GOOD):
        named = {"target": "untouched", "unlearned": kind, "retrained": REFERENCE}
        probes, relearned = (
            {label: found[name] for label, name in named.items()} for found in (measured.probes, measured.relearned)
        )
        for tier in TIERS:
            card = judged(tier, measured.corpus, measured.dictionary, probes, relearned, config, measured.vocabulary)
            verdict = card["verdict"]
            yield (
                Case(
                    seed=seed,
                    topic=topic,
                    kind=kind,
                    tier=tier,
                    passed=verdict["passed"],
                    failed=_failed(verdict, config),
                ),
                card,
            )


def _failed(verdict: dict[str, Any], config: VerdictConfig) -> tuple[str, ...]:
    return tuple(check for check in config.required if verdict[check] is not True)


def run(
    seeds: Sequence[int],
    topics: Sequence[int],
    sizes: Sizes,
    config: VerdictConfig,
    workers: int = 1,
    keep: Callable[[Judged], None] = lambda found: None,
) -> Judged:
    """Build, measure and judge all cases, with a line on stderr for each; `keep` gets what there is after
    each of them.
    """
    isolation.begin()
    found: Judged = []
    for seed in seeds:
        slugs = [topic.slug for topic in build_world(replace(sizes.world, seed=seed)).topics]
        for topic in topics:
            case = list(verdicts(seed, slugs[topic], measure(seed, topic, sizes, workers), config))
            passed = [f"{verdict.kind} at {verdict.tier}" for verdict, _ in case if verdict.passed]
            print(f"seed {seed}, {slugs[topic]}: passed {', '.join(passed) or 'nothing'}", file=sys.stderr, flush=True)
            found += case
            keep(found)
    return found


def judged_anew(file: Path, config: VerdictConfig) -> Judged:
    """Judge the figures of an earlier run with the rules of today."""
    found = []
    for saved in json.loads(file.read_text(encoding="utf-8"))["cases"]:
        verdict = judge(saved["metrics"], config)
        names = {name: saved[name] for name in ("seed", "topic", "kind", "tier")}
        case = Case(**names, passed=verdict["passed"], failed=_failed(verdict, config))
        found.append((case, {"metrics": saved["metrics"], "verdict": verdict}))
    return found


def write(file: Path, found: Judged) -> None:
    """Write the table, and every verdict with its figures and reasons."""
    cases = [
        {**asdict(case), "metrics": card["metrics"], "reasons": card["verdict"]["reasons"]} for case, card in found
    ]
    file.write_text(
        json.dumps({"confusion": confusion([case for case, _ in found], GOOD), "cases": cases}, indent=1),
        encoding="utf-8",
    )


def by_kind(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return of every kind how often it passed at each tier, with the interval of the share of wrong verdicts there,
    and what failed it.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        kind = found.setdefault(
            row["kind"],
            {
                "wanted": "pass" if row["kind"] == GOOD else "fail",
                "cases": row["cases"],
                "runs": 0,
                "failed": Counter(),
            },
        )
        kind |= {
            row["tier"]: row["passed"],
            f"wrong at {row['tier']}, 95 %": row["wrong_ci95"],
            "runs": kind["runs"] + row["cases"],
        }
        kind["failed"] += Counter(row["failed_checks"])
    return {kind: {**values, "failed": dict(values["failed"].most_common())} for kind, values in found.items()}


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--topics", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--workers", type=int, default=1, help="stages side by side; set LETHE_THREADS=1 for equal results everywhere"
    )
    parser.add_argument(
        "--json", dest="json_file", type=Path, help="write every verdict and figure there, after every case"
    )
    parser.add_argument("--judge", type=Path, help="judge the figures in this file anew; nothing is built or measured")
    asked = parser.parse_args()
    if asked.judge:
        found = judged_anew(asked.judge, VerdictConfig())
        record = recording.begin(asked.results, sorted({case.seed for case, _ in found}))
    else:
        record = recording.begin(asked.results, asked.seeds)
        found = run(
            asked.seeds,
            asked.topics,
            Sizes(),
            VerdictConfig(),
            asked.workers,
            lambda made: write(asked.json_file, made) if asked.json_file else None,
        )
    rows = confusion([case for case, _ in found], GOOD)
    record.write("planted", by_kind(rows))
    print("\n".join(indistinct(rows, GOOD)) or "Every kind was told apart at every tier as often as is wanted.")


if __name__ == "__main__":
    main()
