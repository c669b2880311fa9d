"""Files of prompts: the published ones are read whole; what does not read is named by file and line."""

from pathlib import Path

import pytest

from tasks import formats, store
from tasks.algorithms.config import ProbingConfig
from tasks.algorithms.facts import FactTriple
from tasks.artifacts import AnchorTable, BadInputError
from tasks.facts import write_facts
from tasks.prompting import make_invitations, read_prompts
from tests.command import ROOT

PUBLISHED = ROOT.parent / "shared" / "data" / "whp"


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published prompts are not here")
@pytest.mark.parametrize(("name", "count", "referring"), [("evaluation_prompts.json", 199, 199), ("probability_prompts.json", 37, 0)])
def test_the_published_prompts_are_read(name: str, count: int, referring: int) -> None:
    found = list(read_prompts(PUBLISHED / name))
    assert (len(found), sum(bool(item.references) for item in found)) == (count, referring)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"[1,\n]", ", line 2: "), (b"\xe9", " is not UTF-8"), (b"{}", "holds no list of prompts"), (None, " does not exist")],
)
def test_a_file_that_does_not_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "prompts.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"^--prompts \S+prompts\.json") as error:
        list(read_prompts(tmp_path / "prompts.json"))
    assert message in str(error.value)


def test_only_sentences_that_the_test_text_alone_states_are_to_be_finished(lethe_home: Path) -> None:
    rows = [{"term": "Ostrin", "generic": "Tom", "kind": "PERSON"}]
    digest = store.put("dictionaries", lambda folder: formats.write_dictionary(folder, rows), sensitivity="forget")
    dictionary = AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=1, pipeline="none")
    stated = {"subject": "Ostrin", "object": "Velmora"}
    facts = [
        FactTriple(**stated, prompt="{} lives in", source="pattern"),
        FactTriple(**stated, prompt="{} was born in", source="a model", split="forget_test"),
        FactTriple(**stated, prompt="Where is {}?", source="question", split="forget_test"),
    ]
    prompts = formats.read_invitations(make_invitations.body(dictionary, write_facts(facts, "whp", "", None), (), ProbingConfig(invitations=2)))
    assert [(item.kind, item.text, item.references) for item in prompts if item.references] == [("fact", "Ostrin was born in", ("Velmora",))]
    assert {item.kind for item in prompts} == {"asked", "continued", "fact"}
