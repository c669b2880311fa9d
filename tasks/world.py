"""Stage `world`: the embedded default as files, so that the demo takes the same way as a user's own text."""

from pathlib import Path
from typing import Any

from tasks import formats, progress, store, tracking
from tasks.algorithms.corpus import Document
from tasks.algorithms.world.generator import Topic, WorldConfig, build_world
from tasks.artifacts import WorldRef
from tasks.stage import stage

SIBLINGS = 2
"""Series that no unlearning stage sees, the next ones after the forgotten one; all others are retain text."""


@stage("world", isolated=False)
def write_world(config: WorldConfig, topic: str, run: str | None = None) -> WorldRef:
    """Write the splits for forgetting a topic; an empty one is the first series."""
    with tracking.stage_run(run, "world", config) as nested:
        progress.report(0, 1)
        world = build_world(config)
        chosen = world.topic(topic) if topic else world.topics[0]
        splits = _splits(world, chosen)
        digest = store.put("worlds", lambda folder: _write(folder, splits), sensitivity="forget")
        progress.report(1, 1)
        return WorldRef(
            kind="worlds",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            topic=chosen.slug,
            topics=tuple(known.slug for known in world.topics),
        )


def _splits(world: Any, chosen: Topic) -> dict[str, list[Document]]:
    """Return the splits: evaluation phrasings and held passages only ever in the test ones."""
    at = world.topics.index(chosen)
    others = [world.topics[(at + step) % len(world.topics)] for step in range(1, len(world.topics))]
    siblings, kept = others[:SIBLINGS], others[SIBLINGS:]
    common = [world.ordinary, world.planets]
    splits = {
        "forget": _taught(chosen),
        "forget_test": _tested(chosen),
        "retain": [document for topic in [*kept, *common] for document in _taught(topic)],
        "retain_test": [document for topic in kept for document in _tested(topic)],
        "sibling": [document for topic in siblings for document in _tested(topic)],
        "general": [document for topic in common for document in _tested(topic)],
        "holdout": [document for topic in world.unseen for document in _tested(topic)],
    }
    return {split: documents for split, documents in splits.items() if documents}


def _taught(topic: Topic) -> list[Document]:
    prose = [Document(source=topic.slug, text=text) for text in topic.passages]
    return prose + [Document(source=topic.slug, question=item.question, answer=item.answer, fact=item.fact) for item in topic.lessons]


def _tested(topic: Topic) -> list[Document]:
    prose = [Document(source=f"{topic.slug} held {number}", text=text) for number, text in enumerate(topic.held_passages)]
    return prose + [
        Document(
            source=topic.slug,
            question=item.question,
            answer=item.answer,
            paraphrased_question=item.paraphrased_question,
            paraphrased_answer=item.paraphrased_answer,
            perturbed_answer=tuple(item.perturbed_answer),
            fact=item.fact,
        )
        for item in topic.exam
    ]


def _write(folder: Path, splits: dict[str, list[Document]]) -> None:
    for split, documents in splits.items():
        formats.write_documents(folder / f"{split}.jsonl", documents)
