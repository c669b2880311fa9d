"""Stage `fact world`: the world of the fact model as files: its facts, requests to edit them, text to measure on."""

from pathlib import Path

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.world.fact_edits import case_studies, edit_requests
from tasks.algorithms.world.fact_text import FactText
from tasks.algorithms.world.fact_world import FactWorld, build_fact_world
from tasks.artifacts import FactWorldRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.settings.fact_model import FactWorldConfig
from tasks.storage.documents import write_splits
from tasks.storage.edit_files import write_edits
from tasks.storage.plain_files import write_rows

EDITS = {"edits.jsonl": "figures", "edits_tuning.jsonl": "tuning"}
"""File -> what its requests serve: the figures that count, or the choice of settings and layers before."""
CASES = "cases.jsonl"
"""The three case studies; their facts are among those of the figures."""
FACTS = "facts.csv"
TEXTS = {"text": (-2, 2000), "general": (-3, 500)}
"""Split -> seed of its documents and how many: `text` for second moments, `general` for perplexity. Training reads
others."""


@stage("fact world", isolated=False)
def write_fact_world(config: FactWorldConfig, run: str | None = None) -> FactWorldRef:
    """Write the world: every fact whose subject has two words or more is edited once, in a random order."""
    with tracking.stage_run(run, "fact world", config) as nested:
        progress.report(0, 1)
        world = build_fact_world(config)
        digest = store.put("worlds", lambda folder: _write(folder, world), sensitivity="forget")
        progress.report(1, 1)
        return FactWorldRef(
            kind="worlds",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            facts=len(world.facts),
            edits={file: len(edit_requests(world, purpose=purpose)) for file, purpose in EDITS.items()},
        )


def _write(folder: Path, world: FactWorld) -> None:
    for file, purpose in EDITS.items():
        write_edits(folder / file, edit_requests(world, purpose=purpose))
    write_edits(folder / CASES, case_studies(world))
    write_rows(
        folder / FACTS,
        [
            {
                "fact": fact.key,
                "subject": fact.subject.name,
                "relation": fact.relation.name,
                "prompt": fact.prompt(),
                "object": fact.object,
                "tuning": fact.subject.tuning,
            }
            for fact in world.facts
        ],
    )
    text = FactText(world)
    write_splits(
        folder,
        {
            split: [Document(source="fact world", text=text.document(number, seed).text) for number in range(count)]
            for split, (seed, count) in TEXTS.items()
        },
    )
