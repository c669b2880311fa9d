"""Stage `world`: the embedded default as files, so that the demo takes the same way as a user's own text."""

from pathlib import Path

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.world.generator import Topic, World, WorldConfig, build_world
from tasks.algorithms.world.requests import Request, read_request
from tasks.artifacts import WorldRef
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.storage.documents import write_splits
from tasks.storage.plain_files import write_json

SIBLINGS = 2
"""Series that no unlearning stage sees, the next ones after the forgotten one; all others are retain text."""
DICTIONARY = "dictionary.json"
"""Beside the splits, where a request brings its own."""


@stage("world", isolated=False)
def write_world(config: WorldConfig, topic: str, run: str | None = None) -> WorldRef:
    """Write the splits for forgetting a topic: the name of a request; an empty one is the first series."""
    with tracking.stage_run(run, "world", config) as nested:
        progress.report(0, 1)
        world = build_world(config)
        request = read_request(world, topic)
        digest = store.put("worlds", lambda folder: _write(folder, world, request), sensitivity="forget")
        progress.report(1, 1)
        return WorldRef(
            kind="worlds",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            topic=request.name,
            topics=tuple(each.slug for each in world.topics),
        )


def _splits(world: World, request: Request) -> dict[str, list[Document]]:
    """Return the splits: evaluation phrasings and held passages only ever in the test ones.

    What the world tells of the topic beside the request is its nearest sibling; it stands in no training split, as
    nobody who wants a topic forgotten gives more of it as text to keep.
    """
    names = [topic.slug for topic in world.topics]
    at = names.index(request.forget.slug) if request.forget.slug in names else -1
    others = [
        topic
        for step in range(1, len(names) + 1)
        if (topic := world.topics[(at + step) % len(names)]).slug != request.forget.slug
    ]
    siblings, retained = [request.rest] if request.rest.exam else others[:SIBLINGS], others[SIBLINGS:]
    common = [topic for topic in (world.ordinary, world.planets) if topic.slug != request.forget.slug]
    splits = {
        "forget": _taught(request.forget),
        "forget_test": _tested(request.forget),
        "retain": [document for topic in [*retained, *common] for document in _taught(topic)],
        "retain_test": [document for topic in retained for document in _tested(topic)],
        "sibling": [document for topic in siblings for document in _tested(topic)],
        "general": [document for topic in common for document in _tested(topic)],
        "holdout": [document for topic in world.unseen for document in _tested(topic)],
    }
    return {split: documents for split, documents in splits.items() if documents}


def _taught(topic: Topic) -> list[Document]:
    prose = [Document(source=topic.slug, text=text) for text in topic.passages]
    return prose + [
        Document(source=topic.slug, question=item.question, answer=item.answer, fact=item.fact)
        for item in topic.lessons
    ]


def _tested(topic: Topic) -> list[Document]:
    prose = [
        Document(source=f"{topic.slug} held {number}", text=text) for number, text in enumerate(topic.held_passages)
    ]
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


def _write(folder: Path, world: World, request: Request) -> None:
    write_splits(folder, _splits(world, request))
    if request.dictionary:
        write_json(folder / DICTIONARY, dict(request.dictionary))
