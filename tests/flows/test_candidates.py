"""Claims: candidates differ in their own settings alone; a request's text says which are left out, with why; the
guardrail comes last; a shortened training has a share of the steps, and what it stands on is whole.
"""

from dataclasses import fields, replace
from typing import Any

import pytest

from flows.candidates import read_candidates, sort_out, whole_first
from flows.methods import AUTOMATIC, METHODS, method
from flows.steps.settings import apply_settings
from tasks.artifacts import AnchorTable, BadInputError, FactTable
from tasks.settings.automatic import AutomaticConfig
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest

CONFIG = apply_settings(AUTOMATIC["auto"].preset("default", 7), ["probing.window=64", "verdict.forgotten_ratio=0.2"])
REQUEST = UnlearningRequest(forget=("a",), retain=("b",), model="m")


def anchors(count: int) -> AnchorTable:
    return AnchorTable(kind="dictionaries", digest="a" * 64, sensitivity="forget", anchors=count, pipeline="none")


def facts(family: str) -> FactTable:
    counts = {"facts": 1, "held_out": 0, "recommended": family, "reason": "900 words of prose"}
    return FactTable(kind="facts", digest="a" * 64, sensitivity="forget", **counts)


def sorted_out(
    config: AutomaticConfig = CONFIG, request: UnlearningRequest = REQUEST, terms: int = 3, family: str = "whp"
) -> tuple[list[str], dict[str, str]]:
    allowed, left_out = sort_out(read_candidates(config), request, config, anchors(terms), facts(family))
    return [one.words for one in allowed], left_out


def test_all_candidates_are_asked_alike_and_differ_in_their_own_settings() -> None:
    read = {one.words: one for one in read_candidates(CONFIG)}
    shared = [field.name for field in fields(MethodConfig)]
    assert {tuple(str(getattr(one.config, name)) for name in shared) for one in read.values()} == {
        tuple(str(getattr(CONFIG, name)) for name in shared)
    }
    sharp, plain = read["npo training.sharpness=0.1"].config, read["npo"].config
    assert (sharp.training.sharpness, plain.training.sharpness) == (0.1, 0.0)
    assert replace(sharp, training=plain.training) == plain
    default = METHODS["npo"].preset("default", 7)
    assert (read["npo"].config.training, read["npo"].config.objective) == (default.training, default.objective)
    assert read["npo"].config.training.seed == 7


@pytest.mark.parametrize(
    ("candidate", "line"),
    [
        ("magic", "--method magic: unknown; wanted one of"),
        ("auto", "--method auto: unknown"),
        ("npo training.sharpnes=1", "did you mean training.sharpness"),
        ("npo training.sharpness=-1", "sharpness is -1"),
    ],
)
def test_a_wrong_candidate_is_refused(candidate: str, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        read_candidates(replace(CONFIG, candidates=(candidate,)))


def test_what_the_request_does_not_allow_is_left_out_with_why() -> None:
    allowed, left_out = sorted_out()
    assert allowed == [
        "whp",
        "npo",
        "npo training.sharpness=0.1",
        "simnpo",
        "undial",
        "scrub",
    ]
    assert left_out == {
        "rome": "for few facts alone: 900 words of prose",
        "guardrail": "it changes no weights; --set guardrail=true allows it",
    }
    bare, why = sorted_out(request=replace(REQUEST, retain=()))
    assert bare == ["whp", "npo", "npo training.sharpness=0.1", "simnpo", "undial"]
    assert why["scrub"] == "--method scrub holds on to retain text, and there is none; wanted --retain FILE..."
    nameless, why = sorted_out(terms=0, config=replace(CONFIG, guardrail=True))
    assert (nameless[0], why["whp"], why["guardrail"]) == ("npo", "the text has no anchors", "the text has no anchors")


def test_a_guardrail_that_is_allowed_is_the_last_wherever_it_is_named() -> None:
    config = replace(CONFIG, candidates=("guardrail", "npo", "whp"), guardrail=True)
    assert sorted_out(config)[0] == ["npo", "whp", "guardrail"]


def test_where_none_is_left_that_is_said() -> None:
    with pytest.raises(BadInputError, match=r"no candidate is left \(guardrail: it changes no weights"):
        sorted_out(replace(CONFIG, candidates=("guardrail",)))


def test_few_facts_are_edited_where_the_model_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, candidates=("rome", "whp"))

    def refuse(model: str) -> None:
        raise BadInputError(f"--model {model}: no")

    monkeypatch.setattr("flows.candidates.check_editable", refuse)
    assert sorted_out(config, family="editing") == (["whp"], {"rome": "--model m: no"})
    monkeypatch.setattr("flows.candidates.check_editable", lambda model: None)
    assert sorted_out(config, family="editing") == (["rome", "whp"], {})


@pytest.mark.parametrize(("names", "count"), [(("rome", "whp", "npo"), 2), (("whp", "npo"), 1), (("guardrail",), 1)])
def test_all_up_to_the_first_that_trains_are_made_whole_at_once(names: tuple[str, ...], count: int) -> None:
    found = read_candidates(replace(CONFIG, candidates=names))
    assert whole_first(found) == count or len(found) == count


@pytest.mark.parametrize(
    ("name", "section", "kept"),
    [("whp", "finetune", "reinforcement"), ("npo", "training", ""), ("scrub", "training", "")],
)
def test_a_shortened_training_has_a_share_of_the_steps(name: str, section: str, kept: str) -> None:
    (one,) = read_candidates(replace(CONFIG, candidates=(name,)))
    short = one.shortened(0.25)
    whole, cut = getattr(one.config, section), getattr(short.config, section)
    assert (cut.least_steps, cut.epochs) == (round(whole.least_steps / 4), max(1, round(whole.epochs / 4)))
    assert replace(cut, least_steps=whole.least_steps, epochs=whole.epochs) == whole
    assert (short.config.relearning.steps, short.config.rounding.bits) == ((), ())
    assert not kept or getattr(short.config, kept) == getattr(one.config, kept)
    assert short.config.probing == one.config.probing
    assert one.trains


def test_what_is_not_trained_cannot_be_trained_in_part() -> None:
    assert [one.trains for one in read_candidates(replace(CONFIG, candidates=("rome", "guardrail")))] == [False, False]


def test_auto_is_a_name_of_unlearn_alone() -> None:
    found: Any = method("auto", METHODS | AUTOMATIC)
    assert (found.config, found.entrypoint) == (AutomaticConfig, "flows.automatic:automatic")
    assert found.flow().name == "auto"
    with pytest.raises(ValueError, match="--method auto: unknown"):
        method("auto")
