"""Stage `anchors`: any pipeline, a person's edits, and names of real novels among the most frequent anchors."""

import csv
import json
from pathlib import Path

import pytest
import spacy

from tasks import store
from tasks.algorithms.text.anchors import Anchor
from tasks.algorithms.text.corpus import Document
from tasks.anchors import extract_anchors, find_entities, load_pipeline
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.inputs.english_pipeline import NAME
from tasks.settings.assistants import TranslationConfig
from tasks.settings.text import AnchorConfig, CorpusConfig
from tasks.storage.anchor_tables import read_anchors, read_dictionary
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import read_json
from tasks.translation import translate_anchors
from tests.benchmarks.anchor_recall import PRECISION, RECALL, measure, read_books
from tests.stand_ins.book_names import BOOK_NAMES, TUNED

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FORGET = (
    "One day Dorothy met the Tin-Woodman. Then the Tin Woodman came to the Emerald City with Dorothy, and Toto saw the"
    " Emerald\nCity too.\n\n" * 8
)
KEPT = "One day the man met the woman and showed the woman the city, and they saw the dog too. " * 8


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    def write(folder: Path) -> None:
        write_documents(folder / "forget.jsonl", [Document(source="a.txt", text=FORGET)])
        write_documents(folder / "retain.jsonl", [Document(source="b.txt", text=KEPT)])

    digest = store.put("corpora", write, sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={"forget": 1, "retain": 1},
        characters={"forget": len(FORGET)},
    )


def found(corpus: CorpusRef, user: Path | None = None, pipeline: str = NAME) -> AnchorTable:
    file = InputFile(path=str(user), digest="a" * 64, bytes=0) if user else None
    return extract_anchors.body(corpus, AnchorConfig(pipeline=pipeline), CorpusConfig(), file)


def rows(table: AnchorTable) -> dict[str, Anchor]:
    return {anchor.term: anchor for anchor in read_anchors(table)}


def test_spellings_are_counted_as_one_term(corpus: CorpusRef) -> None:
    table = found(corpus)
    assert {term: anchor.count for term, anchor in rows(table).items()} == {
        "Dorothy": 16,
        "Emerald City": 16,
        "Tin Woodman": 16,
        "Toto": 8,
    }
    assert table.pipeline == NAME


def test_a_pipeline_is_loaded_by_its_folder(corpus: CorpusRef, tmp_path: Path) -> None:
    own = spacy.blank("en")
    own.add_pipe("entity_ruler").add_patterns(
        [{"label": "GPE", "pattern": "Toto"}, {"label": "DATE", "pattern": "day"}]
    )
    own.to_disk(tmp_path / "own")
    table = found(corpus, pipeline=str(tmp_path / "own"))
    assert table.pipeline == str(tmp_path / "own")
    assert {
        term: (anchor.kind, anchor.origin) for term, anchor in rows(table).items() if anchor.origin != "log-odds"
    } == {"Toto": ("PLACE", "entity+log-odds")}


def test_a_pipeline_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        BadInputError,
        match=r"anchors.pipeline is 'en_nowhere', which is not installed; wanted auto, lethe_ruled_en, or an installed",
    ):
        load_pipeline("en_nowhere")


def test_long_text_reaches_a_pipeline_in_stretches() -> None:
    """Names at the ends of stretches are found too."""
    text = "They met Toto in the Emerald City. " * 2000
    found = find_entities(load_pipeline(NAME)[0], [text])
    assert {term: kinds.total() for term, kinds in found.items()} == {"Toto": 2000, "Emerald City": 2000}


def written(corpus: CorpusRef, user: Path | None = None) -> AnchorTable:
    """Return the dictionary as a run makes it; `--dry-run --out` copies its table and its records."""
    file = InputFile(path=str(user), digest="a" * 64, bytes=0) if user else None
    return translate_anchors.body(found(corpus, user), corpus, TranslationConfig(), CorpusConfig(), file)


def edit_csv(table: AnchorTable, path: Path) -> None:
    with (store.path(table) / "anchors.csv").open(newline="") as stream:
        known = list(csv.DictReader(stream))
    kept = [
        row | ({"kind": "GROUP", "generic": "Rover"} if row["term"] == "Toto" else {})
        for row in known
        if row["term"] != "Dorothy"
    ]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(known[0]))
        writer.writeheader()
        writer.writerows([*kept, {"term": "day", "generic": "hour"}])


def edit_json(table: AnchorTable, path: Path) -> None:
    known = read_json(store.path(table) / "dictionary.json")
    kept = [
        row | ({"kind": "GROUP", "generic": "Rover"} if row["term"] == "Toto" else {})
        for row in known
        if row["term"] != "Dorothy"
    ]
    path.write_text(json.dumps([*kept, {"term": "day", "generic": "hour"}]))


@pytest.mark.parametrize("edit", [edit_csv, edit_json])
def test_a_written_table_is_edited_and_given_back(corpus: CorpusRef, tmp_path: Path, edit: object) -> None:
    first = written(corpus)
    before = {row["term"]: row for row in read_json(store.path(first) / "dictionary.json")}
    edit(first, tmp_path / "edited")
    after = {
        row["term"]: row for row in read_json(store.path(written(corpus, tmp_path / "edited")) / "dictionary.json")
    }
    assert set(after) == set(before) - {"Dorothy"} | {"day"}
    assert (after["Toto"]["kind"], after["Toto"]["generic"]) == ("GROUP", "Rover")
    assert (after["day"]["generic"], after["day"]["count"], after["day"]["origin"]) == ("hour", 8, "user")
    unchanged = ("canonical", "kind", "count", "log_odds_z", "origin", "generic")
    assert all(after["Tin Woodman"][name] == before["Tin Woodman"][name] for name in unchanged)


def test_an_unedited_table_gives_the_same_anchors(corpus: CorpusRef) -> None:
    first = written(corpus)
    assert rows(found(corpus, store.path(first) / "anchors.csv")) == rows(found(corpus))


def test_a_dictionary_adds_to_what_is_found_and_wins(corpus: CorpusRef, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"day": "hour", "Toto": "Rover"}')
    table = written(corpus, tmp_path / "mine.json")
    generics = read_dictionary(table)
    assert set(generics) == {"Dorothy", "Emerald City", "Tin Woodman", "Toto", "day"}
    assert (generics["day"], generics["Toto"]) == ("hour", "Rover")
    assert rows(found(corpus, tmp_path / "mine.json"))["Toto"].kind == rows(found(corpus))["Toto"].kind


def test_no_anchors_are_bad_input_where_they_are_wanted(corpus: CorpusRef) -> None:
    config = AnchorConfig(pipeline=NAME, min_count=99)
    with pytest.raises(BadInputError, match="no anchors were found in the forget text; wanted terms of its own"):
        extract_anchors.body(corpus, config, CorpusConfig())
    assert extract_anchors.body(corpus, config, CorpusConfig(), None, False).anchors == 0


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "books").is_dir(), reason="needs the books beside the checkout")
@pytest.mark.parametrize("book", TUNED)
def test_the_names_of_a_novel_are_among_its_most_frequent_anchors(book: str) -> None:
    figures = measure(book, read_books(DATA))
    assert len(BOOK_NAMES[book]) >= 25
    assert figures.recall >= RECALL, figures.missed
    assert figures.precision >= PRECISION, figures.wrong
