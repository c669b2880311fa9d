"""Settings of editing's baselines: bad ones are refused by name."""

import pytest

from tasks.settings.edit_baselines import EditBaselinesConfig, EditFinetuningConfig, KnowledgeNeuronConfig, MendConfig


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (EditFinetuningConfig, {"layer": -1}, "edit_finetuning.layer is -1; wanted a number >= 0, or none"),
        (EditFinetuningConfig, {"learning_rate": 0.0}, "edit_finetuning.learning_rate is 0.0; wanted a number > 0"),
        (EditFinetuningConfig, {"steps": 0}, "edit_finetuning.steps is 0; wanted a whole number >= 1"),
        (EditFinetuningConfig, {"stop_nats": -0.1}, "edit_finetuning.stop_nats is -0.1; wanted a number >= 0"),
        (EditFinetuningConfig, {"largest_change": 0.0}, "edit_finetuning.largest_change is 0.0; wanted a number > 0"),
        (KnowledgeNeuronConfig, {"object_weight": -1.0}, "knowledge_neurons.object_weight is -1.0; wanted a number >="),
        (KnowledgeNeuronConfig, {"target_weight": float("nan")}, "knowledge_neurons.target_weight is nan"),
        (MendConfig, {"rank": 0}, "mend.rank is 0; wanted a whole number >= 1"),
        (MendConfig, {"batch": 0}, "mend.batch is 0"),
        (MendConfig, {"objects": 0}, "mend.objects is 0; wanted a whole number >= 1"),
        (MendConfig, {"edit_rate": 0.0}, "mend.edit_rate is 0.0; wanted a number > 0"),
        (MendConfig, {"edit_weight": float("inf")}, "mend.edit_weight is inf"),
        (MendConfig, {"layers": (2, 1)}, r"mend.layers is \(2, 1\); wanted numbers >= 0, the lowest first, or none"),
        (MendConfig, {"layers": (-1, 1)}, r"mend.layers is \(-1, 1\)"),
        (MendConfig, {"layers": ()}, "mend.layers is empty; wanted one or more, or none for the last three"),
    ],
)
def test_bad_settings_are_refused(kind: type, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**changes)


def test_ft_l_is_ft_with_a_bound() -> None:
    config = EditBaselinesConfig()
    assert config.finetuning.largest_change is None
    assert config.constrained.largest_change > 0
