"""Claims: what is declared has the stage that names layers where training is restricted, and only there; the training
gets what it names, whatever the method; card and log say it in words.
"""

import inspect
from dataclasses import replace
from typing import Any

import pytest

from flows.methods import METHODS
from flows.steps.localisation import account
from flows.steps.outcome import StageOf
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.settings.evaluation import LocalisableConfig
from tests.stand_ins.localised import localisation

CORPUS = CorpusRef(
    kind="corpora", digest="c" * 64, sensitivity="forget", documents={"forget": 1, "retain": 1}, characters={}
)
TARGET = CheckpointRef(kind="checkpoints", digest="a" * 64, sensitivity="ordinary", parameters=10, label="target")
LOCALISED = [name for name, method in METHODS.items() if issubclass(method.config, LocalisableConfig)]
CHOOSING = [name for name in LOCALISED if METHODS[name].preset("default", 0).chooses_weights]


def declared(name: str, by: str) -> Call:
    config = METHODS[name].preset("default", 0)
    config = replace(config, localisation=replace(config.localisation, by=by))
    return METHODS[name].declare()(CORPUS, TARGET, config)


def given(call: Call) -> dict[str, Any]:
    return inspect.signature(call.stage.body).bind(*call.arguments).arguments


def test_what_can_be_restricted() -> None:
    assert {"whp", "npo", "scrub"} < {*LOCALISED}
    assert CHOOSING == ["rmu"]


@pytest.mark.parametrize("name", LOCALISED)
def test_all_weights_are_trained_and_nothing_is_traced_by_default(name: str) -> None:
    calls = declared(name, "all").upstream()
    assert StageOf("localisation") not in [call.key for call in calls]
    assert [given(call)["localisation"] for call in calls if "localisation" in given(call)] == [None]


@pytest.mark.parametrize("by", ["trace", "random"])
@pytest.mark.parametrize("name", [name for name in LOCALISED if name not in CHOOSING])
def test_the_training_waits_for_the_layers_which_wait_for_the_dictionary(name: str, by: str) -> None:
    calls = declared(name, by).upstream()
    (named,) = [call for call in calls if call.key == StageOf("localisation")]
    assert given(named)["config"].by == by
    assert named.needs(DICTIONARY)  # so that no run begins it before there is one
    (trained,) = [call for call in calls if "localisation" in given(call)]
    assert given(trained)["localisation"] is named
    assert given(trained)["target"] is TARGET
    assert calls.index(named) < calls.index(trained)


def test_card_and_log_say_what_was_trained() -> None:
    records = {StageOf("corpus"): CORPUS, StageOf("localisation"): localisation(1, 2)}
    assert account(records) == {"trained": "MLPs of layers 1, 2 (by trace of 3 facts)"}
    records[StageOf("localisation")] = replace(localisation(3, by="random"), facts=1)
    assert account(records) == {"trained": "MLPs of layer 3 (drawn from those not named by trace of 1 fact)"}
    assert account({StageOf("corpus"): CORPUS}) == {}
