"""Claims: what cannot be is refused by name; how many layers are trained follows from the depth; every method has the
setting that can be restricted, off, and its presets seed it.
"""

import pytest

from flows.methods import METHODS
from tasks.settings.evaluation import LocalisableConfig
from tasks.settings.gradient_unlearning import GradientUnlearningConfig
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tasks.settings.training import LoraConfig

TRACED = LocalisationConfig(by="trace")
WHOLE = {"task_vector", "rome", "guardrail"}
"""Methods that cannot be restricted."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"by": "probe"}, r"localisation\.by is 'probe'; wanted one of all, trace, random"),
        ({"layers": -1}, r"localisation\.layers is -1; wanted a whole number >= 0"),
    ],
)
def test_bad_values_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalisationConfig(**changes)


@pytest.mark.parametrize(("depth", "count"), [(1, 1), (2, 1), (4, 1), (6, 2), (12, 4), (32, 11)])
def test_by_rule_a_third_of_the_layers_are_trained(depth: int, count: int) -> None:
    assert TRACED.count(depth) == count
    assert LocalisationConfig(by="random").count(max(2, depth)) == count  # as many in the control


def test_a_count_is_taken_as_it_is_up_to_what_there_is() -> None:
    assert LocalisationConfig(by="trace", layers=6).count(6) == 6
    assert LocalisationConfig(by="random", layers=3).count(6) == 3
    with pytest.raises(ValueError, match=r"localisation\.layers is 7 in a model of 6 layers; wanted 1 to 6$"):
        LocalisationConfig(by="trace", layers=7).count(6)
    with pytest.raises(ValueError, match="wanted 1 to 3, and as many others to draw from"):
        LocalisationConfig(by="random", layers=4).count(6)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_whether_it_can_be_restricted_and_none_is(name: str) -> None:
    config = METHODS[name].preset("default", 7)
    assert isinstance(config, LocalisableConfig) == (name not in WHOLE)
    if name in WHOLE:
        assert config.localisation is None
    else:
        assert (config.localisation.by, config.localisation.seed) == ("all", 7)


def test_a_trace_wants_anchors() -> None:
    assert not GradientUnlearningConfig(method="npo").needs_anchors
    assert GradientUnlearningConfig(method="npo", localisation=TRACED).needs_anchors
    assert SelectiveUnlearningConfig().needs_anchors


def test_an_objective_that_chooses_its_matrices_takes_no_others() -> None:
    with pytest.raises(ValueError, match=r"localisation\.by is 'trace', but rmu chooses its matrices; wanted all"):
        GradientUnlearningConfig(method="rmu", localisation=TRACED)


@pytest.mark.parametrize("kind", [SelectiveUnlearningConfig, GradientUnlearningConfig])
def test_adapters_sit_where_the_trace_says_and_nowhere_else(kind: type) -> None:
    named = {"method": "npo"} if kind is GradientUnlearningConfig else {}
    lora = LoraConfig(rank=2, targets=("q_proj",))
    with pytest.raises(ValueError, match=r"lora\.targets is q_proj, but localisation\.by 'trace' chooses the matrices"):
        kind(localisation=TRACED, lora=lora, **named)
    assert kind(localisation=TRACED, lora=LoraConfig(rank=2), **named).lora.rank == 2
    assert kind(lora=lora, **named).lora.targets == ("q_proj",)
