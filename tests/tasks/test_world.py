"""Stage `world`: the splits on disk; what was never told is a holdout, asked as the forgotten topic is asked."""

from pathlib import Path

from tasks import store
from tasks.algorithms.world.generator import WorldConfig, build_world
from tasks.inputs.documents import read_text_file
from tasks.storage.plain_files import read_json
from tasks.world import DICTIONARY, write_world

SMALL = {"series": 4, "neighbours": 4, "tellings": 1}


def questions(folder: Path, split: str) -> set[str]:
    return {
        document.fact.split("/")[0]
        for document in read_text_file(folder / f"{split}.jsonl").documents
        if document.is_question
    }


def test_an_unseen_series_becomes_the_holdout(lethe_home: Path) -> None:
    config = WorldConfig(**SMALL, unseen=1)
    folder, world = store.path(write_world.body(config, "")), build_world(config)
    assert questions(folder, "holdout") == {world.unseen[0].slug}
    assert questions(folder, "forget_test") == {world.topics[0].slug}
    told = "\n".join(path.read_text() for path in folder.glob("*.jsonl") if path.stem != "holdout")
    assert world.unseen[0].name not in told


def test_without_one_there_is_no_holdout(lethe_home: Path) -> None:
    folder = store.path(write_world.body(WorldConfig(**SMALL), ""))
    assert {path.stem for path in folder.glob("*.jsonl")} == {
        "forget",
        "forget_test",
        "retain",
        "retain_test",
        "sibling",
        "general",
    }


def test_what_later_books_tell_is_the_sibling_of_the_first_and_is_nowhere_trained_on(lethe_home: Path) -> None:
    config = WorldConfig(**{**SMALL, "tellings": 2})
    made = write_world.body(config, "book")
    folder, slug = store.path(made), build_world(config).topics[0].slug
    assert (made.topic, questions(folder, "forget"), questions(folder, "sibling")) == ("book", {slug}, {slug})
    asked = {
        split: {item.fact for item in read_text_file(folder / f"{split}.jsonl").documents if item.is_question}
        for split in ("forget_test", "sibling")
    }
    assert not asked["forget_test"] & asked["sibling"]
    assert slug not in questions(folder, "retain")
    assert not (folder / DICTIONARY).exists()


def test_an_article_on_the_planets_brings_its_dictionary_and_is_not_kept(lethe_home: Path) -> None:
    folder = store.path(write_world.body(WorldConfig(**SMALL), "planets"))
    assert read_json(folder / DICTIONARY)["Mars"] == "Red Planet"
    assert questions(folder, "forget_test") == {"planets"}
    assert "planets" not in questions(folder, "retain") | questions(folder, "general") | questions(folder, "sibling")
