"""Stage `world`: the splits on disk; what was never told is a holdout, asked as the forgotten topic is asked."""

from pathlib import Path

from tasks import store
from tasks.algorithms.world.generator import WorldConfig, build_world
from tasks.corpus import parse_file
from tasks.world import write_world

SMALL = {"series": 4, "neighbours": 4, "tellings": 1}


def questions(folder: Path, split: str) -> set[str]:
    return {document.fact.split("/")[0] for document in parse_file(folder / f"{split}.jsonl") if document.is_question}


def test_an_unseen_series_becomes_the_holdout(lethe_home: Path) -> None:
    config = WorldConfig(**SMALL, unseen=1)
    folder, world = store.path(write_world.body(config, "")), build_world(config)
    assert questions(folder, "holdout") == {world.unseen[0].slug}
    assert questions(folder, "forget_test") == {world.topics[0].slug}
    told = "\n".join(path.read_text() for path in folder.glob("*.jsonl") if path.stem != "holdout")
    assert world.unseen[0].name not in told


def test_without_one_there_is_no_holdout(lethe_home: Path) -> None:
    folder = store.path(write_world.body(WorldConfig(**SMALL), ""))
    assert {path.stem for path in folder.glob("*.jsonl")} == {"forget", "forget_test", "retain", "retain_test", "sibling", "general"}
