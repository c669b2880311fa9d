"""Claims: WinoBias becomes splits that the corpus stage reads, pairs share their fact, and what is wrong is named with
file and line.
"""

import json
from pathlib import Path

import pytest

from tasks.algorithms.text.pairs import group_of, pair_documents
from tasks.artifacts import BadInputError
from tasks.corpus import gather_inputs, read_corpus
from tasks.inputs.winobias import read_aligned, read_pairs, write_winobias
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents
from tests.stand_ins.command import ROOT

SENTENCES = {
    "dev": [
        "1 [The developer] argued with the nurse because [{}] was late.",
        "2 The developer argued with [the construction worker] because [{}] was late.",
    ],
    "test": [
        "3 [The nurse] called the guard because [{}] was ill.",
        "9 The nurse called [the guard] because [{}] was there.",
    ],
}
DATA = ROOT.parent / "shared" / "data" / "winobias"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for part, lines in SENTENCES.items():
        for side, pronouns in (("pro", ("he", "she")), ("anti", ("she", "he"))):
            text = "\n".join(line.format(pronoun) for line, pronoun in zip(lines, pronouns, strict=True)) + "\n"
            (tmp_path / f"{side}_stereotyped_type1.txt.{part}").write_text(text)
    return tmp_path


def test_splits_are_written_as_records_that_share_their_fact(source: Path, tmp_path: Path) -> None:
    written = write_winobias(source, tmp_path / "out" / "splits")
    rows = {split: [json.loads(line) for line in file.read_text().splitlines()] for split, file in written.items()}
    assert list(rows) == ["forget", "retain", "forget_test", "retain_test"]
    assert rows["forget"][1] == {
        "text": "The developer argued with the construction worker because she was late.",
        "fact": "construction worker type1-2",
    }
    assert rows["retain"][1]["text"] == "The developer argued with the construction worker because he was late."
    assert (
        [row["fact"] for row in rows["forget_test"]]
        == [row["fact"] for row in rows["retain_test"]]
        == ["nurse type1-3", "guard type1-9"]
    )
    assert group_of(rows["forget"][1]["fact"]) == "construction worker"
    assert group_of("alone") == "alone"


def test_the_corpus_stage_keeps_the_pairs(source: Path, tmp_path: Path, lethe_home: Path) -> None:
    written = write_winobias(source, tmp_path / "splits")
    corpus = read_corpus.body(gather_inputs(**{split: [str(file)] for split, file in written.items()}), CorpusConfig())
    assert corpus.documents == {"forget": 2, "retain": 2, "forget_test": 2, "retain_test": 2}
    pairs = pair_documents(read_documents(corpus, "forget"), read_documents(corpus, "retain"))
    assert [(left.text.split()[-3], right.text.split()[-3]) for left, right in pairs] == [("he", "she"), ("she", "he")]


def test_without_test_files_what_is_held_out_keeps_its_fact(source: Path, tmp_path: Path, lethe_home: Path) -> None:
    written = write_winobias(source, tmp_path / "splits")
    inputs = gather_inputs(forget=[str(written["forget"])], retain=[str(written["retain"])])
    corpus = read_corpus.body(inputs, CorpusConfig(test_share=0.5))
    facts = [
        [document.fact for document in read_documents(corpus, split)]
        for split in ("forget", "forget_test", "retain", "retain_test")
    ]
    assert (
        sorted(facts[0] + facts[1])
        == sorted(facts[2] + facts[3])
        == ["construction worker type1-2", "developer type1-1"]
    )


def test_wrong_files_are_named_with_their_line(source: Path, tmp_path: Path) -> None:
    anti = source / "anti_stereotyped_type1.txt.test"
    anti.write_text(anti.read_text().replace("9 The", "10 The"))
    with pytest.raises(
        BadInputError,
        match=r"type1.txt.test and anti_stereotyped_type1.txt.test, line 2: sentence 9 stands against sentence 10",
    ):
        write_winobias(source, tmp_path / "splits")
    assert not (tmp_path / "splits").exists()
    with pytest.raises(BadInputError, match=r"pro_stereotyped_type2.txt.dev does not exist"):
        read_pairs(source, "dev", "type2")
    with pytest.raises(BadInputError, match="part is 'train'; wanted dev or test"):
        read_pairs(source, "train")
    (source / "empty").write_text("\n")
    with pytest.raises(BadInputError, match="empty is empty"):
        read_aligned(source / "empty", anti)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="WinoBias is not beside the checkout")
@pytest.mark.parametrize(
    ("kind", "part", "reworded"), [("type1", "dev", 2), ("type1", "test", 5), ("type2", "dev", 3), ("type2", "test", 4)]
)
def test_the_published_files_are_read_whole(kind: str, part: str, reworded: int) -> None:
    pairs = read_pairs(DATA, part, kind)
    assert len(pairs) == 264
    assert len({pair.group for pair in pairs}) == 40  # twenty occupations of either kind
    assert sum(not pair.minimal for pair in pairs) == reworded
    assert not any(sign in pair.pro + pair.anti for pair in pairs for sign in "[]")
