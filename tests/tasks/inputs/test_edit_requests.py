"""Files of edits in every schema, and edits on the command line: what is asked for is read, and what is wrong is named
with file, place and field.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.algorithms.text.facts import FactTriple
from tasks.artifacts import BadInputError
from tasks.inputs.edit_checks import check_edits
from tasks.inputs.edit_requests import as_request, read_edit_requests, read_known_facts
from tasks.settings.edit_request import EditRequest, Statement
from tests.stand_ins.command import ROOT

DATA = ROOT.parent / "shared" / "data" / "rome"
COUNTERFACT = {
    "case_id": 12,
    "pararel_idx": 3,
    "requested_rewrite": {
        "prompt": "The home of {} is",
        "relation_id": "P1",
        "target_new": {"str": "Oz", "id": "Q1"},
        "target_true": {"str": "Kansas", "id": "Q2"},
        "subject": "Toto",
    },
    "paraphrase_prompts": ["It rained. Toto lives in"],
    "neighborhood_prompts": ["The home of Dorothy is", "The home of Em is"],
    "attribute_prompts": ["The home of the Lion is"],
    "generation_prompts": ["Toto's home is known for", "Toto's home is known for"],
}
SHORT = {
    "case_id": 7,
    "prompt": "The home of Toto is",
    "target_new": "Oz",
    "subject": "Toto",
    "ground_truth": "Kansas",
    "rephrase_prompt": "Toto lives in",
    "locality_prompt": "The home of Em is",
    "locality_ground_truth": "Kansas",
}
ZSRE = {
    "subject": "Toto",
    "src": "Where does Toto live?",
    "pred": "Rome",
    "rephrase": "What is Toto's home?",
    "alt": " Oz",
    "answers": ["Kansas", "a farm"],
    "loc": "nq question: who sang over the rainbow",
    "loc_ans": "Judy Garland",
    "cond": "Rome >> Oz || Where does Toto live?",
    "portability": {
        "Recalled Relation": "(Oz, ruler, Ozma)",
        "New Question": "Who rules where Toto lives?",
        "New Answer": "Ozma",
    },
}
OWN = {"subject": "Toto", "prompt": "The home of {} is", "target": "Oz"}
PLAIN = EditRequest(**OWN)


def read(folder: Path, *records: Any) -> tuple[EditRequest, ...]:
    (folder / "mine").write_text("\n".join(json.dumps(record) for record in records))
    return read_edit_requests(folder / "mine")


def refusal(folder: Path, *records: Any, known: bool = False) -> str:
    """Return what is said of the file, after its name."""
    (folder / "mine").write_text("\n".join(json.dumps(record) for record in records))
    with pytest.raises(BadInputError) as caught:
        (read_known_facts if known else read_edit_requests)(folder / "mine")
    said = str(caught.value)
    assert said.startswith(f"{folder / 'mine'}, ")
    assert "\n" not in said
    return said.removeprefix(f"{folder / 'mine'}, ")


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def test_counterfact_as_published(tmp_path: Path) -> None:
    assert read(tmp_path, COUNTERFACT) == (
        dataclasses.replace(
            PLAIN,
            object="Kansas",
            name="12",
            relation="P1",
            paraphrases=("It rained. Toto lives in",),
            neighborhood=("The home of Dorothy is", "The home of Em is"),
            generation=("Toto's home is known for", "Toto's home is known for"),
        ),
    )


def test_counterfact_in_short_holds_its_subject_in_the_prompt(tmp_path: Path) -> None:
    wanted = dataclasses.replace(PLAIN, object="Kansas", name="7", paraphrases=("Toto lives in",))
    near, elsewhere, alone = read(
        tmp_path,
        SHORT,
        {**SHORT, "locality_ground_truth": "Rome"},
        {name: SHORT[name] for name in ("subject", "prompt", "target_new")},
    )
    assert near == dataclasses.replace(wanted, neighborhood=("The home of Em is",))
    kept = Statement(prompt="The home of Em is", object="Rome")
    assert elsewhere == dataclasses.replace(wanted, unrelated=(kept,))
    assert alone == PLAIN


def test_zsre_with_portability_and_without(tmp_path: Path) -> None:
    wanted = EditRequest(
        subject="Toto",
        prompt="Where does {} live?",
        target="Oz",
        object="Kansas",
        paraphrases=("What is Toto's home?",),
        unrelated=(Statement(prompt="nq question: who sang over the rainbow?", object="Judy Garland"),),
    )
    ported = Statement(prompt="Who rules where Toto lives?", object="Ozma")
    assert read(tmp_path, ZSRE, without(ZSRE, "portability")) == (
        dataclasses.replace(wanted, portability=(ported,)),
        wanted,
    )


def test_our_own_schema_holds_every_field(tmp_path: Path) -> None:
    full = EditRequest(
        **OWN,
        object="Kansas",
        name="1",
        relation="home",
        paraphrases=("Toto lives in",),
        neighborhood=("The home of Em is",),
        name_sharers=(Statement(prompt="The home of Toto Smith is", object="Rome"),),
        unrelated=(Statement(prompt="Tin is", object="a metal"),),
        portability=(Statement(prompt="Toto's ruler is", object="Ozma"),),
        generation=("Toto",),
        references=("Oz is green.",),
    )
    assert read(tmp_path, dataclasses.asdict(full), {**OWN, "prompt": "The home of Toto is "}) == (full, PLAIN)


def test_every_record_has_the_schema_that_its_fields_say(tmp_path: Path) -> None:
    found = read(tmp_path, OWN, SHORT, COUNTERFACT, ZSRE)
    assert [(request.target, request.object) for request in found] == [("Oz", "")] + [("Oz", "Kansas")] * 3
    (tmp_path / "list").write_text(json.dumps([OWN, SHORT, COUNTERFACT, ZSRE], indent=1))
    assert read_edit_requests(tmp_path / "list") == found


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "a", "answer": "b"}, "line 2: the record has question, answer; wanted CounterFact (case_id, "),
        ({}, "line 2: the record has no field; wanted CounterFact"),
        ([1], "line 2: [1] is no record; wanted one with named fields"),
        ("Toto", "line 2: 'Toto' is no record"),
        ({**OWN, "target": " "}, "line 2: the target of the edit 'The home of {} is' is empty; wanted a name"),
        ({**SHORT, "target_new": ""}, "line 2: the target of the edit 'The home of {} is' is empty"),
        ({**ZSRE, "alt": ""}, "line 2: the target of the edit 'Where does {} live?' is empty"),
        ({**OWN, "subject": " "}, "line 2: the subject of the edit 'The home of {} is' is empty"),
        ({**SHORT, "subject": ""}, "line 2: the subject of the edit 'The home of Toto is' is empty"),
        ({**SHORT, "subject": "Em"}, "line 2: the subject 'Em' is not in the prompt 'The home of Toto is'; wanted it"),
        ({**OWN, "prompt": "A home is"}, "line 2: the subject 'Toto' is not in the prompt 'A home is'"),
        ({**OWN, "prompt": "{} and {} are"}, "line 2: the prompt '{} and {} are' holds {} 2 times; wanted once"),
        ({**OWN, "target": 3}, "line 2: target is 3; wanted text"),
        ({**OWN, "paraphrases": "Toto lives in"}, "line 2: paraphrases is 'Toto lives in'; wanted a list"),
        ({**OWN, "paraphrases": ["a", None]}, "line 2: paraphrases.1 is None; wanted text"),
        ({**OWN, "unrelated": ["a"]}, "line 2: unrelated.0 is 'a'; wanted a record"),
        ({**OWN, "unrelated": [{"prompt": "a"}]}, "line 2: unrelated.0.object is missing among subject, prompt, targ"),
        ({**OWN, "unrelated": [{"prompt": "a", "object": ""}]}, "line 2: the object of a statement is empty; wanted"),
        ({**OWN, "paraphrase": "a"}, "line 2: paraphrase is no field of an edit; wanted subject, prompt, target, "),
        ({"subject": "Toto", "target": "Oz"}, "line 2: prompt is missing among subject, target; wanted CounterFact"),
        (without(SHORT, "subject"), "line 2: subject is missing among case_id, prompt, target_new, ground_truth, "),
        ({**COUNTERFACT, "requested_rewrite": "a"}, "line 2: requested_rewrite is 'a'; wanted a record"),
        ({**COUNTERFACT, "neighborhood_prompts": 2}, "line 2: neighborhood_prompts is 2; wanted a list"),
        ({**ZSRE, "answers": []}, "line 2: answers is []; wanted "),
        ({**ZSRE, "portability": {"New Question": "a"}}, "line 2: portability.New Answer is missing"),
        ({**SHORT, "ground_truth": "a" * 99, "prompt": ["b" * 99]}, f"line 2: prompt is ['{'b' * 58}...; wanted text"),
        ({"subject": "a", "prompt": "a is", "attribute": "b"}, "line 2: a known fact has no new object, and is only"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, record: Any, message: str) -> None:
    assert refusal(tmp_path, OWN, record).startswith(message)


def test_a_rewrite_without_its_object_names_the_field(tmp_path: Path) -> None:
    rewrite = {**COUNTERFACT["requested_rewrite"], "target_new": {"id": "Q1"}}
    said = refusal(tmp_path, {**COUNTERFACT, "requested_rewrite": rewrite})
    assert said.startswith("line 1: requested_rewrite.target_new.str is missing")


def test_of_a_list_the_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(json.dumps([OWN, OWN, {**OWN, "target": ""}], indent=2))
    with pytest.raises(BadInputError, match="mine, record 3: the target of the edit"):
        read_edit_requests(tmp_path / "mine")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("\n")
    for reader in (read_edit_requests, read_known_facts):
        with pytest.raises(BadInputError, match="mine is empty; wanted JSON or JSON lines"):
            reader(tmp_path / "mine")


def test_an_edit_on_the_command_line_holds_its_subject_or_marks_it() -> None:
    assert as_request("Toto", "The home of {} is", "Oz") == as_request(" Toto", "The home of Toto is ", "Oz ") == PLAIN


@pytest.mark.parametrize(
    ("subject", "prompt", "target", "message"),
    [
        ("Toto", "The home of Em is", "Oz", "the subject 'Toto' is not in the prompt 'The home of Em is'; wanted it"),
        ("Oz", "The ruler of Ozma is", "a", "the subject 'Oz' is not in the prompt"),
        ("toto", "The home of Toto is", "Oz", "the subject 'toto' is not in the prompt"),
        ("Route 6", "Route 66 is in", "Oz", "the subject 'Route 6' is not in the prompt"),
        ("Toto", "", "Oz", "the subject 'Toto' is not in the prompt ''"),
        ("", "The home of {} is", "Oz", "the subject of the edit 'The home of {} is' is empty"),
        ("Toto", "The home of Toto is", " ", "the target of the edit 'The home of {} is' is empty"),
        ("Toto", "{} and {} are", "Oz", "the prompt '{} and {} are' holds {} 2 times; wanted once"),
    ],
)
def test_what_cannot_be_an_edit_is_refused(subject: str, prompt: str, target: str, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        as_request(subject, prompt, target)
    assert str(caught.value).startswith(message)


def known(folder: Path, *records: Any) -> tuple[EditRequest, ...]:
    (folder / "mine").write_text(json.dumps(records))
    return read_known_facts(folder / "mine")


def test_facts_to_trace_are_published_ones_our_own_and_the_objects_of_edits(tmp_path: Path) -> None:
    fact = FactTriple(subject="Toto", prompt="The home of {} is", object="Kansas", source="user")
    kept = EditRequest(subject="Toto", prompt="The home of {} is", object="Kansas", target="Kansas")
    published = {"known_id": 1, "subject": "Toto", "attribute": "Kansas", "template": "The home of {}"}
    stage = dataclasses.asdict(dataclasses.replace(fact, source="pattern", split="forget_test"))
    rows = [{**published, "prompt": "The home of Toto is"}, stage, COUNTERFACT, SHORT, {**OWN, "object": "Kansas"}]
    found = known(tmp_path, *rows)
    assert found[:2] == (kept, kept)
    stated = [(one.subject, one.prompt, one.object, one.target) for one in found]
    assert stated == [("Toto", "The home of {} is", "Kansas", "Kansas")] * 5
    assert found[2].paraphrases == read(tmp_path, COUNTERFACT)[0].paraphrases != ()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (OWN, "line 1: the edit 'The home of Toto is' says no present object; wanted one, to trace it"),
        ({"subject": "Toto"}, "line 1: the record has subject; wanted known facts (subject, prompt, attribute), facts"),
        ({"subject": "Toto", "prompt": "Em is", "attribute": "a"}, "line 1: the subject 'Toto' is not in the prompt"),
        ({"subject": "Toto", "prompt": "{} is", "attribute": ""}, "line 1: the target of the edit '{} is' is empty"),
        ({"subject": "Toto", "prompt": "{} is", "object": 1}, "line 1: object is 1; wanted text"),
    ],
)
def test_what_cannot_be_traced_is_refused(tmp_path: Path, record: Any, message: str) -> None:
    assert refusal(tmp_path, record, known=True).startswith(message)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")
@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("counterfact.json", 348),
        ("counterfact-edit.json", 6653),
        ("counterfact-train.json", 6632),
        ("zsre_mend_eval_portability_gpt4.json", 660),
    ],
)
def test_published_files_are_read_whole(file: str, count: int) -> None:
    requests, records = read_edit_requests(DATA / file), json.loads((DATA / file).read_text())
    assert len(requests) == len(records) == count
    for request, record in zip(requests, records, strict=True):
        flat = record.get("requested_rewrite", record)
        assert request.question == flat.get("src", flat.get("prompt", "")).replace("{}", flat["subject"])
        assert request.object
        assert request.paraphrases
        assert request.neighborhood or request.unrelated
    assert len(check_edits(requests, together=False).requests) > 0.99 * count


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")
def test_published_edits_are_in_conflict_where_all_are_to_hold() -> None:
    with pytest.raises(BadInputError, match="are in conflict: after"):
        check_edits(read_edit_requests(DATA / "counterfact-edit.json"))
    assert len(check_edits(read_edit_requests(DATA / "zsre_mend_eval_portability_gpt4.json")).requests) == 660


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")
def test_published_known_facts_are_read_whole() -> None:
    facts, records = read_known_facts(DATA / "known_1000.json"), json.loads((DATA / "known_1000.json").read_text())
    assert len(facts) == 818
    assert all(
        fact.prompt.replace("{}", fact.subject) == record["prompt"] for fact, record in zip(facts, records, strict=True)
    )
