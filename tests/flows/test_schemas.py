"""The schema of every flow, which a deployment's form is made of: each setting, however deep, has its prose, each
choice its words.
"""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter, ValidationError

from flows.automatic import automatic
from flows.benchmark import benchmark
from flows.comparison import compare
from flows.demo import demo, embedded_world
from flows.evaluation import evaluate
from flows.methods import METHODS
from flows.scheduled_reunlearning import scheduled_reunlearning
from flows.sweep import sweep
from flows.weight_sweep import sweep_weights
from tasks.settings.gradient_unlearning import GradientUnlearningConfig
from tasks.settings.objectives.table import OBJECTIVES
from tests.stand_ins.schemas import check_schema, classes_of

FLOWS = {
    flow.name: flow.fn
    for flow in (
        *(found.flow() for found in METHODS.values()),
        automatic,
        benchmark,
        compare,
        demo,
        embedded_world,
        evaluate,
        scheduled_reunlearning,
        sweep,
        sweep_weights,
    )
}


def schema_of(flow: Callable[..., Any]) -> dict[str, Any]:
    """Return what Prefect stores with a deployment of the flow."""
    return parameter_schema(flow).model_dump_for_openapi()


@pytest.mark.parametrize("name", FLOWS)
def test_every_setting_shows_its_prose_and_every_choice_its_words(name: str) -> None:
    check_schema(schema_of(FLOWS[name]), FLOWS[name])


@pytest.mark.parametrize("name", METHODS)
def test_the_settings_of_every_method_are_in_the_schema(name: str) -> None:
    flow = METHODS[name].flow().fn
    assert METHODS[name].config in classes_of(flow).values()
    assert check_schema(schema_of(flow), flow) > 100


def test_prose_and_choices_by_example() -> None:
    shown = schema_of(FLOWS["selective-unlearning"])["definitions"]
    # of the class that it inherits from
    assert shown["FinetuneConfig"]["properties"]["epochs"]["description"] == "Passes over the data, >= 1."
    assert (
        shown["FinetuneConfig"]["properties"]["rate_at_7b"]["description"]
        == "The rule's learning rate for seven billion parameters: the paper's value."
    )
    assert shown["SelectiveUnlearningConfig"]["properties"]["anchors"]["description"].startswith(
        "Which terms are anchors: "
    )
    assert shown["TranslationConfig"]["properties"]["fallback"]["enum"] == ["none", "offline"]
    assert shown["VerdictConfig"]["properties"]["required"]["items"]["enum"] == [
        "forgotten",
        "utility_kept",
        "healthy",
        "robust",
        "private",
    ]
    assert shown["LabelConfig"]["description"] == "How generic labels are made."


def test_each_objective_shows_its_own_settings_under_the_name_of_its_method() -> None:
    shown = schema_of(FLOWS["gradient-unlearning"])["definitions"]["GradientUnlearningConfig"]["properties"]
    groups = {group["title"]: group["properties"] for group in shown["objective"]["anyOf"][1:]}
    assert list(groups) == shown["method"]["enum"] == list(OBJECTIVES)
    assert groups["idk"] == groups["dpo"] != groups["npo"]
    assert (
        groups["npo"]["b"]["description"]
        == "Inverse temperature, dimensionless, > 0; small values come near to gradient ascent. Not read with `until`."
    )
    assert groups["rmu"]["alpha"]["default"] == 1200.0
    assert groups["gradient_ascent"] == {}


@pytest.mark.parametrize("method", OBJECTIVES)
def test_what_the_form_gives_becomes_the_settings_of_the_method_and_of_no_other(method: str) -> None:
    adapter, kind = TypeAdapter(GradientUnlearningConfig), resolve_name(OBJECTIVES[method].settings)
    for given in ({}, {"objective": None}, {"objective": {}}):
        assert type(adapter.validate_python({"method": method, **given}).objective) is kind
    config = METHODS[method].preset("default", 0)
    assert adapter.validate_python(adapter.dump_python(config, mode="json")) == config
    with pytest.raises(ValidationError, match=f"method {method} has no setting magic"):
        adapter.validate_python({"method": method, "objective": {"magic": 1}})


@pytest.mark.parametrize("name", METHODS)
def test_a_misspelt_setting_from_a_deployment_is_refused(name: str) -> None:
    adapter = TypeAdapter(METHODS[name].config)
    config = adapter.dump_python(METHODS[name].preset("default", 0), mode="json")
    config["corpus"]["test_shares"] = 0.2
    with pytest.raises(ValidationError, match=r"corpus\.test_shares\n  Unexpected keyword argument"):
        adapter.validate_python(config)


def test_a_misspelt_part_of_a_request_is_refused_by_the_flow() -> None:
    flow = METHODS["whp"].flow()
    assert flow.validate_parameters({"request": {"forget": ["a.txt"], "model": "m"}})
    with pytest.raises(ParameterTypeError, match=r"request\.retian"):
        flow.validate_parameters({"request": {"forget": ["a.txt"], "model": "m", "retian": ["b.txt"]}})
