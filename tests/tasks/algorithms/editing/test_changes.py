"""Claims: a change is added as it says, in either storage; while it is held the model has it, afterwards its own
tensors, to the bit and after an error too; tied and twice-changed weights come back.
"""

import pytest
import torch

from tasks.algorithms.editing.changes import Change, WeightChange, edited, frozen
from tasks.algorithms.editing.rome import Update

NAMES = {"tiny_gpt2": "transformer.h.1.mlp.c_proj.weight", "tiny_llama": "model.layers.1.mlp.down_proj.weight"}


@pytest.fixture(params=list(NAMES))
def named(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)(0), NAMES[request.param]


def low_rank(model, rank: int = 2) -> Update:
    torch.manual_seed(0)
    inner = 128 if model.config.model_type == "gpt2" else 64
    return Update(layer=1, left=torch.randn(32, rank), right=torch.randn(inner, rank))


def test_an_update_is_added_to_its_layer_as_outputs_by_inputs(named) -> None:
    model, name = named
    update = low_rank(model)
    before = model.get_parameter(name).detach().clone()
    update.apply(model)
    added = model.get_parameter(name).detach() - before
    wanted = update.left @ update.right.T
    torch.testing.assert_close(added if added.shape[0] == 32 else added.T, wanted, atol=1e-5, rtol=1e-5)
    assert update.norm == pytest.approx(wanted.norm().item(), rel=1e-5)
    assert [id(weight) for weight in update.weights(model)] == [id(model.get_parameter(name))]


def test_a_weight_change_is_added_by_name(tiny_llama) -> None:
    model = tiny_llama(0)
    change = WeightChange(added={"model.norm.weight": torch.full((32,), 2.0), "lm_head.weight": torch.ones(300, 32)})
    change.apply(model)
    assert torch.equal(model.model.norm.weight.detach(), torch.full((32,), 3.0))
    assert change.norm == pytest.approx((4 * 32 + 300 * 32) ** 0.5)
    assert isinstance(change, Change)
    assert isinstance(Update(layer=0, left=torch.ones(2, 1), right=torch.ones(2, 1)), Change)


def test_held_changes_come_in_order_and_go_to_the_bit(named) -> None:
    model, name = named
    ids = torch.tensor([[1, 2, 3]])
    state = {key: value.clone() for key, value in model.state_dict().items()}
    storage = model.get_parameter(name).data_ptr()
    clean = model(ids).logits.detach()
    changes = [low_rank(model), WeightChange(added={name: torch.full_like(model.get_parameter(name), 0.1)})]
    with edited(model, changes) as changed:
        assert changed is model
        inside = model.get_parameter(name).detach().clone()
        assert not torch.allclose(model(ids).logits, clean, atol=1e-3)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.get_parameter(name).data_ptr() == storage
    assert torch.equal(model(ids).logits, clean)
    for change in changes:
        change.apply(model)
    assert torch.equal(model.get_parameter(name).detach(), inside)


def test_an_error_inside_or_in_the_second_change_puts_all_back(named) -> None:
    model, name = named
    before = model.get_parameter(name).detach().clone()
    with pytest.raises(KeyError, match="asked"), edited(model, [low_rank(model)]):
        raise KeyError("asked")
    wrong = WeightChange(added={name: torch.ones(3, 5)})
    with pytest.raises(RuntimeError), edited(model, [low_rank(model), wrong]):
        pass
    assert torch.equal(model.get_parameter(name).detach(), before)


def test_held_changes_can_be_held_one_in_the_other(named) -> None:
    model, name = named
    before = model.get_parameter(name).detach().clone()
    with edited(model, [low_rank(model)]):
        once = model.get_parameter(name).detach().clone()
        with edited(model, [low_rank(model)]):
            assert not torch.equal(model.get_parameter(name).detach(), once)
        assert torch.equal(model.get_parameter(name).detach(), once)
    assert torch.equal(model.get_parameter(name).detach(), before)


def test_tied_weights_stay_tied(tiny_gpt2) -> None:
    model = tiny_gpt2(0)
    with edited(model, [WeightChange(added={"transformer.wte.weight": torch.ones(300, 32)})]):
        assert model.lm_head.weight is model.transformer.wte.weight
    assert model.lm_head.weight is model.transformer.wte.weight


def test_frozen_parameters_want_gradients_again_and_others_still_do_not(tiny_llama) -> None:
    model = tiny_llama(0)
    model.lm_head.weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    with torch.no_grad(), pytest.raises(KeyError, match="asked"), frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert torch.is_grad_enabled()
        raise KeyError("asked")
    assert [parameter.requires_grad for parameter in model.parameters()] == before
