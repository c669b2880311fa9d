"""Claims: edits that say the same become one, those in conflict are refused, and what a person should know is said."""

from dataclasses import replace

import pytest

from tasks.artifacts import BadInputError
from tasks.inputs.edit_checks import check_edits
from tasks.settings.edit_request import EditRequest, Statement

EDIT = EditRequest(subject="Toto", prompt="{} lives in", target="Oz")
OTHER = EditRequest(subject="Dorothy", prompt="{} lives in", target="Kansas")


def test_edits_of_different_facts_stay_as_they_are() -> None:
    checked = check_edits([EDIT, OTHER])
    assert (checked.requests, checked.remarks) == ((EDIT, OTHER), ())


@pytest.mark.parametrize(
    "again",
    [
        EDIT,
        replace(EDIT, target=" oz", prompt="{}  LIVES in"),
        EditRequest(subject="to", prompt="To{} lives in", target="Oz"),
    ],
    ids=["exactly", "but for case and white space", "with another place for the subject"],
)
def test_an_edit_that_stands_there_twice_counts_once(again: EditRequest) -> None:
    checked = check_edits([EDIT, OTHER, again])
    assert checked.requests == (EDIT, OTHER)
    assert checked.remarks == ("1 edit stood there more than once and count once.",)


def test_what_becomes_one_is_judged_by_the_prompts_of_both() -> None:
    kept = Statement(prompt="Tom lives in", object="Rome")
    first = replace(EDIT, name="1", paraphrases=("Toto's home is", "Home of Toto:"), generation=("Toto", "Toto"))
    second = replace(
        first, name="2", object="Paris", relation="P1", paraphrases=("Home of Toto:", "Toto is in"), unrelated=(kept,)
    )
    (merged,) = check_edits([first, second]).requests
    assert merged == replace(
        first,
        object="Paris",
        relation="P1",
        paraphrases=("Toto's home is", "Home of Toto:", "Toto is in"),
        unrelated=(kept,),
    )


@pytest.mark.parametrize(
    "other",
    [replace(EDIT, target="Kansas"), replace(EDIT, target="Kansas", subject="TOTO ")],
    ids=["one prompt", "but for case and white space"],
)
def test_two_objects_for_one_fact_are_a_conflict_where_both_are_to_hold(other: EditRequest) -> None:
    with pytest.raises(BadInputError) as caught:
        check_edits([OTHER, EDIT, other])
    assert "are in conflict: after " in str(caught.value)
    assert "one wants 'Oz', the other 'Kansas'; wanted one new object for one fact" in str(caught.value)
    assert check_edits([EDIT, other], together=False).requests == (EDIT, other)


@pytest.mark.parametrize("paraphrases", [("toto lives in",), ("a", "Home of  Toto:")])
def test_a_paraphrase_with_two_objects_is_remarked_on_where_both_are_to_hold(paraphrases: tuple[str, ...]) -> None:
    edits = [replace(EDIT, paraphrases=("Home of Toto:",)), replace(OTHER, paraphrases=paraphrases)]
    assert check_edits(edits).remarks == ("Edits 1 and 2 share a paraphrase and want different objects after it.",)
    assert check_edits(edits, together=False).remarks == ()
    assert check_edits([edits[0], replace(edits[1], target="oz")]).remarks == ()


def test_a_conflict_names_the_edits_by_name_or_place() -> None:
    with pytest.raises(BadInputError, match=r"^edits case 7 and 3 are in conflict: after 'Toto lives in'"):
        check_edits([OTHER, replace(EDIT, name="case 7"), replace(EDIT, target="Kansas")])


def test_one_name_for_two_edits_is_refused() -> None:
    with pytest.raises(BadInputError, match="2 different edits are called 'a'; wanted a name for each, or none"):
        check_edits([replace(EDIT, name="a"), replace(OTHER, name="a")])
    assert len(check_edits([replace(EDIT, name="a"), replace(EDIT, name="a")]).requests) == 1


def test_no_edits_are_refused() -> None:
    with pytest.raises(BadInputError, match="there are no edits; wanted one or more"):
        check_edits([])


def test_an_edit_that_changes_nothing_is_remarked_on() -> None:
    checked = check_edits([OTHER, replace(EDIT, object="OZ", name="b")])
    assert checked.remarks == ("The object of today is wanted by 1 edit, first by b.",)


@pytest.mark.parametrize(
    "kept", [{"neighborhood": ("Toto lives in",)}, {"unrelated": (Statement(prompt="toto  lives in", object="a"),)}]
)
def test_what_one_edit_keeps_and_another_rewrites_is_remarked_on_where_both_are_to_hold(kept: dict) -> None:
    edits = [EDIT, replace(OTHER, **kept)]
    assert check_edits(edits).remarks == (
        "A prompt that another edit rewrites is to be kept by 1 edit, first by 2: it will count as lost.",
    )
    assert check_edits(edits, together=False).remarks == ()
