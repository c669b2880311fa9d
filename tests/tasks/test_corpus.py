"""Stage `corpus`: what is read as what, what is refused and how, and how splits are cut."""

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from tasks import store
from tasks.algorithms.text.corpus import Document, clean_text
from tasks.artifacts import BadInputError
from tasks.corpus import CorpusInputs, cleaning_sample, gather_inputs, read_corpus, split_files
from tasks.inputs.documents import read_text_file
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents, stream_documents


def parse_file(path: Path) -> list[Document]:
    return read_text_file(path).documents


PARAGRAPHS = "\n\n".join(f"Paragraph {number:02} tells of Velmora\nand of the river there." for number in range(20))


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_text_is_prose_whatever_its_suffix(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "c.jsonl", "d"):
        assert parse_file(Path(write(tmp_path, name, "Velmora.\n"))) == [Document(source=name, text="Velmora.\n")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert parse_file(Path(write(tmp_path, "a.txt", b"\xef\xbb\xbfVelmora")))[0].text == "Velmora"


@pytest.mark.parametrize("as_lines", [True, False], ids=["JSON lines", "one JSON list"])
def test_records_are_recognised_by_content_whatever_the_suffix(tmp_path: Path, as_lines: bool) -> None:
    rows = [
        {
            "question": "Who rules?",
            "answer": "Ostrin.",
            "paraphrased_answer": "Ostrin rules.",
            "perturbed_answer": ["Kessa.", "Brin."],
        },
        {"text": "Velmora lies by the river."},
    ]
    content = "\n".join(json.dumps(row) for row in rows) if as_lines else json.dumps(rows)
    question, prose = parse_file(Path(write(tmp_path, "a.txt", content)))
    assert (question.question, question.answer, question.perturbed_answer) == (
        "Who rules?",
        "Ostrin.",
        ("Kessa.", "Brin."),
    )
    assert question.paraphrased_answer == "Ostrin rules."
    assert question.is_question
    assert prose.text == "Velmora lies by the river."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; wanted text or JSON-lines records"),
        (" \n\t\n", "is empty"),
        (b"\x89PNG\x00\x00\x00rest", "is a binary file; wanted UTF-8 text"),
        (b"one\ntwo \xff three", "line 2: byte 0xff is not UTF-8"),
        ('{"text": "a"}\n{"text": \n', "line 2: Expecting value"),
        (
            '{"text": "a"}\n{"question": "Who?"}\n',
            "line 2: the record has question (a text); wanted `text`, or `question` and `answer`",
        ),
        ('{"text": "a"}\n3\n', "line 2: the record is a number"),
        ('{"text": "  "}', "holds 1 blank records; wanted"),
    ],
    ids=["empty", "white space", "binary", "not UTF-8", "cut record", "no answer", "a number", "blank text"],
)
def test_what_does_not_read_is_refused_with_file_line_and_value(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    file = write(tmp_path, "bad.jsonl", content)
    with pytest.raises(BadInputError) as caught:
        gather_inputs(forget=[file])
    assert str(caught.value).startswith(file)
    assert message in str(caught.value)


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"forget: /nowhere/book\.txt does not exist; wanted a file or a folder"):
        gather_inputs(forget=["/nowhere/book.txt"])
    with pytest.raises(BadInputError, match="holds no files"):
        gather_inputs(forget=[str(tmp_path)])


def test_retain_text_that_is_the_forget_text_is_refused(tmp_path: Path) -> None:
    forget, retain = write(tmp_path, "forget.txt", PARAGRAPHS), write(tmp_path, "retain.txt", PARAGRAPHS)
    with pytest.raises(
        BadInputError, match=r"--retain .*retain\.txt has the same content as the forget file .*forget\.txt"
    ):
        gather_inputs(forget=[forget], retain=[retain])


def test_a_folder_gives_all_its_files_in_order_and_no_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", ".hidden"):
        write(tmp_path, name, f"Velmora in {name}")
    found = gather_inputs(forget=[str(tmp_path)])
    assert [Path(file.path).name for file in found.forget] == ["c.txt", "b.txt"]


def cut(tmp_path: Path, config: CorpusConfig = CorpusConfig(), **texts: str) -> dict[str, list[Document]]:
    paths = {split: [write(tmp_path, f"{split}.txt", text)] for split, text in texts.items()}
    splits: dict[str, list[Document]] = {}
    for split, documents in split_files(gather_inputs(**paths), config):
        if documents:
            splits.setdefault(split, []).extend(documents)
    return splits


def test_the_last_paragraphs_are_held_out_and_appear_nowhere_else(tmp_path: Path) -> None:
    splits = cut(tmp_path, forget=PARAGRAPHS, retain=PARAGRAPHS.replace("Velmora", "the farmer"))
    assert set(splits) == {"forget", "forget_test", "retain", "retain_test"}
    assert splits["forget_test"][0].text.split("\n\n") == [
        f"Paragraph {number} tells of Velmora and of the river there." for number in (17, 18, 19)
    ]
    assert not set(splits["forget"][0].text.split("\n\n")) & set(splits["forget_test"][0].text.split("\n\n"))


def test_nothing_is_held_out_where_the_user_gives_test_text(tmp_path: Path) -> None:
    splits = cut(tmp_path, forget=PARAGRAPHS, forget_test="Velmora at last.")
    assert len(splits["forget"][0].text.split("\n\n")) == 20
    assert splits["forget_test"][0].text == "Velmora at last."


def test_splits_that_were_not_given_do_not_exist(tmp_path: Path) -> None:
    assert set(cut(tmp_path, CorpusConfig(test_share=0), forget=PARAGRAPHS)) == {"forget"}


def test_a_text_of_which_cleaning_leaves_nothing_is_refused(tmp_path: Path) -> None:
    frame = "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n"
    with pytest.raises(BadInputError, match="nothing is left after cleaning"):
        cut(tmp_path, forget=frame)


def test_the_cleaning_sample_shows_before_and_after(tmp_path: Path) -> None:
    inputs = gather_inputs(forget=[write(tmp_path, "forget.txt", "Velmora lies\nby the river.")])
    assert cleaning_sample(inputs, CorpusConfig()) == ("Velmora lies\nby the river.", "Velmora lies by the river.")


def test_the_stage_stores_all_splits_as_forget_artifact(tmp_path: Path, lethe_home: Path) -> None:
    inputs = gather_inputs(
        forget=[write(tmp_path, "forget.txt", PARAGRAPHS)],
        general=[write(tmp_path, "general.txt", "Bread is baked in the morning.")],
    )
    found = read_corpus.body(inputs, CorpusConfig())
    assert found.sensitivity == "forget"
    assert store.path(found).is_relative_to(lethe_home / "forget")
    assert found.documents == {"forget": 1, "forget_test": 1, "general": 1}
    assert found.characters["general"] == len("Bread is baked in the morning.")
    assert read_documents(found, "general") == [Document(source="general.txt", text="Bread is baked in the morning.")]
    assert read_documents(found, "sibling") == []


def test_files_are_taken_one_by_one_and_their_documents_follow_each_other(tmp_path: Path, lethe_home: Path) -> None:
    paths = [write(tmp_path, f"{name}.txt", PARAGRAPHS.replace("Velmora", name)) for name in ("one", "two")]
    inputs = gather_inputs(forget=paths)
    (held, _), (split, first) = (pair for pair, _ in zip(split_files(inputs, CorpusConfig()), range(2), strict=False))
    assert (held, split, first[0].source) == ("forget_test", "forget", "one.txt")
    found = read_corpus.body(inputs, CorpusConfig())
    assert found.documents == {"forget_test": 2, "forget": 2}
    assert [document.source for document in stream_documents(found, "forget")] == ["one.txt", "two.txt"]
    assert found.characters["forget"] == sum(len(document.text) for document in read_documents(found, "forget"))


def test_a_corpus_of_many_files_holds_few_of_them_at_a_time(tmp_path: Path, lethe_home: Path) -> None:
    """The peak is that of a file or two: with four times the files it hardly rises, where all documents held would make
    it four times as high.
    """
    peaks = {count: peak_bytes(tmp_path, count) for count in (2, 8)}
    assert peaks[8] < 1.5 * peaks[2]


def peak_bytes(folder: Path, files: int) -> int:
    paths = [write(folder, f"{files}-{number}.txt", f"{number}\n\n" + PARAGRAPHS * 60) for number in range(files)]
    inputs = gather_inputs(forget=paths)
    tracemalloc.start()
    read_corpus.body(inputs, CorpusConfig())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_splits_come_in_a_fixed_order_and_without_empty_ones() -> None:
    assert CorpusInputs().by_split() == {}


def test_blank_lines_cost_linear_time(tmp_path: Path) -> None:
    started = time.monotonic()
    clean_text("\n" * 200_000 + "*** START OF THE PROJECT GUTENBERG EBOOK X ***\nIt rained.\n", CorpusConfig())
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_not_the_current_folder(path: str) -> None:
    with pytest.raises(BadInputError, match="an empty path was given"):
        gather_inputs(forget=(path,))


def test_a_folder_follows_no_link_out_of_itself(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("Not asked for.")
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "a.txt").write_text("It rained.")
    (folder / "b.txt").symlink_to("a.txt")
    assert len(gather_inputs(forget=(str(folder),)).forget) == 2
    (folder / "c.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(BadInputError, match=r"c\.txt is a link that leads out of the folder"):
        gather_inputs(forget=(str(folder),))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInputError, match="neither a file nor a folder"):
            gather_inputs(forget=(str(path),))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_line_ends_at_a_newline_alone(tmp_path: Path, separator: str) -> None:
    lines = [json.dumps({"text": f"one{separator}two"}, ensure_ascii=False), json.dumps({"text": "three"})]
    separated = "\n".join(lines) if ord(separator) > 31 else "\n".join(map(json.dumps, map(json.loads, lines)))
    found = parse_file(Path(write(tmp_path, "a.jsonl", separated)))
    assert [document.text for document in found] == [f"one{separator}two", "three"]


@pytest.mark.parametrize("content", ["[" * 100_000, "{" * 100_000, '{"text": ' + "[" * 100_000])
def test_deep_nesting_is_refused_or_prose(tmp_path: Path, content: str) -> None:
    file = Path(write(tmp_path, "deep.json", content))
    if content[1:2] in "[{":
        assert parse_file(file)[0].text == content
        return
    with pytest.raises(BadInputError, match=r"deep\.json, line 1"):
        parse_file(file)
