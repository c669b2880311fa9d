"""Claims: the change is that of the restatement, one statement or several, bounded or not, in either storage; training
stops when the target is said; layers below are run once; the model is left as it was; on a small model edits take.
"""

import pytest
import torch

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.finetuning import finetune
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.architectures import decoder_layers
from tasks.settings.edit_baselines import EditBaselinesConfig, EditFinetuningConfig
from tests.reference import edit_baselines as reference
from tests.stand_ins.architectures import tiny
from tests.stand_ins.fact_model import fact_model, facts, said, statement

STATEMENTS = [ScoredSequence(ids=(3, 5, 6, 7, 20, 21), start=4), ScoredSequence(ids=(3, 9, 10, 22), start=3)]
NAMES = {"gpt2": "transformer.h.1.mlp.c_proj.weight", "llama": "model.layers.1.mlp.down_proj.weight"}


@pytest.mark.parametrize("kind", list(NAMES))
@pytest.mark.parametrize("bound", [None, 0.004])
@pytest.mark.parametrize("count", [1, 2])
def test_the_change_is_that_of_the_restatement(kind: str, bound: float | None, count: int) -> None:
    model = tiny(kind).double()
    config = EditFinetuningConfig(learning_rate=2e-3, steps=6, stop_nats=0, largest_change=bound)
    found = finetune(model, STATEMENTS[:count], 1, config)
    wanted = reference.finetune(model, STATEMENTS[:count], 1, 2e-3, 6, bound)
    assert list(found.change.added) == [NAMES[kind]]
    torch.testing.assert_close(found.change.added[NAMES[kind]], wanted, rtol=1e-6, atol=1e-9)
    if bound is not None:
        assert found.change.added[NAMES[kind]].abs().max() <= bound
    with edited(model, [found.change]):
        after = sum(reference.nats(model, each).item() for each in STATEMENTS[:count]) / count
    assert found.nats == pytest.approx(after, rel=1e-6)
    assert found.steps == 6


def test_training_stops_when_the_target_is_said() -> None:
    model, told = tiny("gpt2"), []
    config = EditFinetuningConfig(learning_rate=2e-2, steps=100, stop_nats=2.0)
    found = finetune(model, STATEMENTS[:1], 1, config, told.append)
    assert found.nats < 2.0
    assert told == list(range(1, found.steps + 1))
    assert 1 <= found.steps < 100
    again = finetune(model, STATEMENTS[:1], 1, EditFinetuningConfig(stop_nats=1e9))
    assert again.steps == 0
    assert again.change.norm == 0


def test_layers_below_are_run_once_and_the_model_is_left_as_it_was() -> None:
    model, ran = tiny("gpt2"), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for number, layer in enumerate(decoder_layers(model)):
        layer.ln_1.register_forward_hook(lambda *_, number=number: ran.append(number))
    finetune(model, STATEMENTS, 1, EditFinetuningConfig(steps=3, stop_nats=0))
    assert [ran.count(number) for number in range(3)] == [1, 5, 5]  # one pass, three steps, the last loss
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["finetuning", "constrained"])
def test_edits_of_a_small_model_take(name: str) -> None:
    model, config = fact_model(), getattr(EditBaselinesConfig(), name)
    taken = []
    for fact in facts()[::8]:
        found = finetune(model, [statement(fact.prompt(), fact.other())], 0, config)
        with edited(model, [found.change]):
            p = said(model, [fact.prompt()])[0]
        taken.append(bool(p[fact.other()] > p[fact.answer]))
    assert sum(taken) >= 5
    assert sum(said(model, [fact.prompt()])[0].argmax().item() == fact.answer for fact in facts()[::8]) >= 5


def test_a_model_in_half_precision_is_trained_in_single_and_experts_are_refused() -> None:
    model = tiny("llama").to(torch.bfloat16)
    config = EditFinetuningConfig(learning_rate=1e-4, steps=2, stop_nats=0)
    (change,) = finetune(model, STATEMENTS, 1, config).change.added.values()
    assert change.dtype == torch.float32
    assert 0 < change.abs().max() <= 2.1e-4
    with pytest.raises(ValueError, match="model type 'mixtral' cannot be edited"):
        finetune(tiny("mixtral"), STATEMENTS, 1, config)
