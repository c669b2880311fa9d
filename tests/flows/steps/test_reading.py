"""Claims: what a person should know of the text is said before anything is trained, in counts, without names of
files.
"""

from pathlib import Path

import pytest

from flows.steps.reading import remarks
from tasks.artifacts import CorpusRef
from tasks.corpus import gather_inputs, read_corpus
from tasks.settings.text import CorpusConfig

QUESTIONS = "".join(f'{{"question": "Who is number {n}?", "answer": "Velmora {n}"}}\n' for n in range(6))
BOOK = "\n\n".join(f"Paragraph {number:02} tells of Velmora and of the river there." for number in range(20))


def read(folder: Path, config: CorpusConfig = CorpusConfig(), **texts: str) -> CorpusRef:
    for split, text in texts.items():
        (folder / f"secret-{split}.txt").write_text(text)
    return read_corpus.body(gather_inputs(**{split: [str(folder / f"secret-{split}.txt")] for split in texts}), config)


def said(folder: Path, config: CorpusConfig = CorpusConfig(), **texts: str) -> list[str]:
    lines = list(remarks(read(folder, config, **texts), config))
    assert not [line for line in lines if "secret" in line or "Velmora" in line or "\n" in line]
    return lines


def test_enough_text_needs_no_word(tmp_path: Path, lethe_home: Path) -> None:
    assert said(tmp_path, forget=BOOK, retain=BOOK.replace("Velmora", "the farmer")) == []


@pytest.mark.parametrize("text", [QUESTIONS, "Velmora lies by the river."], ids=["six questions", "one paragraph"])
def test_text_of_which_nothing_can_be_held_out_is_named_with_what_to_give(
    tmp_path: Path, lethe_home: Path, text: str
) -> None:
    (line,) = said(tmp_path, forget=text)
    assert line == (
        "forget: too little text to hold any of it out for testing: no figure will say what was forgotten; wanted"
        " --forget-test FILE, more text, or --set corpus.test_share=0.5"
    )
    assert said(tmp_path, forget=text, forget_test="Velmora at last.") == []


def test_the_share_that_is_named_helps_six_questions(tmp_path: Path, lethe_home: Path) -> None:
    assert said(tmp_path, CorpusConfig(test_share=0.5), forget=QUESTIONS) == []


def test_blank_records_are_counted(tmp_path: Path, lethe_home: Path) -> None:
    assert said(tmp_path, forget='{"text": ""}\n' + QUESTIONS * 2) == ["forget: 1 blank record left out"]


def test_forgotten_text_that_is_to_be_kept_too_is_counted(tmp_path: Path, lethe_home: Path) -> None:
    kept = [*BOOK.replace("Velmora", "the farmer").split("\n\n"), BOOK.split("\n\n")[3]]
    assert said(tmp_path, forget=BOOK, retain="\n\n".join(kept)) == [
        "retain: 1 of the 20 questions and paragraphs that are to be forgotten stand there too; wanted text without"
        " them, since nothing is forgotten and kept at once"
    ]
