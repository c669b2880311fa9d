"""Files of prompts: the published ones are read whole; what does not read is named by file and line."""

from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.prompting import read_prompts
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
