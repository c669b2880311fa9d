"""A set of edits comes back as it was, the user's reader reads its file too, and people get a table."""

import csv
from pathlib import Path

from tasks import store
from tasks.artifacts import EditSet
from tasks.inputs.edit_requests import read_edit_requests
from tasks.settings.edit_request import EditRequest, Statement
from tasks.storage.edit_files import stored_edits
from tasks.storage.edit_sets import write_edit_set

FULL = EditRequest(
    subject="Toto\u2028",
    prompt="The home of {}, “old” and\nnew, is",
    target="Île",
    object="Kansas",
    name="1",
    relation="home",
    paraphrases=("Toto lives in",),
    neighborhood=("The home of Em is", "Em lives in"),
    name_sharers=(Statement(prompt="The home of Toto Smith is", object="Rome"),),
    unrelated=(Statement(prompt="Tin is", object="a metal"), Statement(prompt="Oz is", object="green")),
    portability=(Statement(prompt="Toto's ruler is", object="Ozma"),),
    generation=("Toto", "Toto"),
    references=("Oz is green.",),
)
PLAIN = EditRequest(subject="Em", prompt="{} is", target="an aunt")


def test_requests_come_back_out_of_the_store_as_they_were(lethe_home: Path) -> None:
    digest = store.put("edits", lambda folder: write_edit_set(folder, [PLAIN, FULL]), sensitivity="forget")
    assert stored_edits(EditSet(kind="edits", digest=digest, sensitivity="forget", requests=2)) == [PLAIN, FULL]


def test_what_is_stored_is_a_file_of_edits(tmp_path: Path) -> None:
    stripped = EditRequest(**{**vars(FULL), "subject": "Toto"})
    write_edit_set(tmp_path, [stripped, PLAIN])
    assert read_edit_requests(tmp_path / "edits.jsonl") == (stripped, PLAIN)


def test_people_get_a_table_which_has_its_columns_without_edits(tmp_path: Path) -> None:
    write_edit_set(tmp_path, [FULL])
    with (tmp_path / "edits.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row == {name: getattr(FULL, name) for name in ("name", "subject", "prompt", "object", "target", "relation")}
    write_edit_set(tmp_path, [])
    assert (tmp_path / "edits.csv").read_text() == "name,subject,prompt,object,target,relation\n"
    assert (tmp_path / "edits.jsonl").read_text() == ""
