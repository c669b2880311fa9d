"""Claims: ROME is its float64 restatement; requests of one batch do not know of each other; the update is of rank one
and maps k* to v*, and nothing that is C-orthogonal to it; the model is left as it was.
"""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.editing.contexts import Rewrite, Row, parted
from tasks.algorithms.editing.rome import Update, find_values, rank_one
from tasks.algorithms.editing.second_moments import cholesky, solver
from tasks.algorithms.models.architectures import is_transposed, mlp_output, mlp_weight
from tasks.settings.rank_one_editing import EditConfig
from tests.reference import rome as reference
from tests.stand_ins.architectures import OPT_350M, tiny
from tests.stand_ins.edit_requests import random_request, rewrite_of

REQUESTS = [random_request(seed, target=1 + seed % 3) for seed in range(5)]
REWRITES = [rewrite_of(request) for request in REQUESTS]
CONFIG = EditConfig(steps=12, decay=0.001)
STOP = {"gpt2": 4.3, "llama": 4.0}
"""Loss at which requests to these models stop at different steps, one at none."""


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return tiny(request.param).double()


def config_of(model: nn.Module, stopping: bool) -> EditConfig:
    """Settings under which all take every step, or each its own number of them."""
    changes = {"stop_nats": STOP[model.config.model_type], "learning_rate": 0.1} if stopping else {}
    return dataclasses.replace(CONFIG, **changes)


@pytest.fixture
def gpt2() -> nn.Module:
    return tiny("gpt2").double()


def moment(size: int) -> Tensor:
    """A symmetric positive definite matrix, far from the identity."""
    drawn = torch.randn(3 * size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = drawn * torch.linspace(0.1, 3.0, size) + 0.5
    return drawn.T @ drawn / len(drawn)


def inner_size(model: nn.Module) -> int:
    return max(mlp_weight(model, 0).shape)


def whole_weight(model: nn.Module, layer: int) -> Tensor:
    """W as (hidden, inner), whatever its storage."""
    matrix = mlp_output(model, layer)
    return (matrix.weight.T if is_transposed(matrix) else matrix.weight).detach().clone()


def dense(update: Update) -> Tensor:
    return update.left @ update.right.T


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_update_equals_the_restatement(model, layer: int, stopping: bool) -> None:
    config = config_of(model, stopping)
    solve = solver(cholesky(moment(inner_size(model)), 0.0))
    inverse = torch.linalg.inv(moment(inner_size(model)))
    for request, value in zip(REQUESTS, find_values(model, REWRITES, layer, config), strict=True):
        found = reference.find_value(copy.deepcopy(model), request, layer, config)
        assert (value.steps, value.nats) == (found.steps, pytest.approx(found.nats, rel=1e-5))
        torch.testing.assert_close(value.delta, found.delta, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close((value.key, value.bare_key, value.before), (found.key, found.bare_key, found.before))
        for keys in ("averaged", "original"):
            wanted = reference.change_of_weights(found, lambda key: inverse @ key, keys)
            update = rank_one(value, layer, solve, keys)
            assert (dense(update) - wanted).norm() <= 1e-4 * wanted.norm()
            assert update.norm == pytest.approx(wanted.norm().item(), rel=1e-4)


def test_single_precision_is_near_the_restatement() -> None:
    model = tiny("gpt2")
    for request, value in zip(REQUESTS, find_values(model, REWRITES, 1, CONFIG), strict=True):
        found = reference.find_value(copy.deepcopy(model).double(), request, 1, CONFIG)
        assert (value.delta - found.delta).norm() <= 1e-3 * found.delta.norm()


@pytest.mark.parametrize("changes", [{"clamp": 0.5}, {"kl_weight": 2.0}, {"decay": 20.0}, {"learning_rate": 0.05}])
def test_every_setting_equals_the_restatement(gpt2, changes: dict) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    usual = find_values(gpt2, REWRITES, 1, CONFIG)
    for number, value in enumerate(find_values(gpt2, REWRITES, 1, config)):
        found = reference.find_value(copy.deepcopy(gpt2), REQUESTS[number], 1, config)
        torch.testing.assert_close(value.delta, found.delta, rtol=1e-5, atol=1e-8)
        assert (value.delta - usual[number].delta).norm() > 1e-3 * value.delta.norm()


@pytest.mark.parametrize("kind", ["gpt2", "mistral", "gemma3_text"])
def test_what_requests_begin_with_alike_is_run_once_and_nothing_changes(kind: str) -> None:
    model = tiny(kind).double()
    begun = [(), (40, 41, 42, 43, 44), (50, 51, 52)]
    rewrites = [
        Rewrite(
            rows=(
                *(Row(ids=(*ids, *own, 20, 21), at=len(ids) + len(own) - 1) for ids in begun),
                Row(ids=own, at=len(own) - 1),
            ),
            target=(21, 22),
        )
        for own in ((10, 11), (12, 13), (14,), (15, 16))
    ]
    assert any(parted(rewrites)[0])
    for rewrite, value in zip(rewrites, find_values(model, rewrites, 1, CONFIG), strict=True):
        (alone,) = find_values(model, [rewrite], 1, CONFIG)
        assert not any(parted([rewrite])[0])
        torch.testing.assert_close(
            (value.delta, value.key, value.before), (alone.delta, alone.key, alone.before), rtol=1e-7, atol=1e-10
        )


@pytest.mark.parametrize("stopping", [False, True])
def test_requests_of_one_batch_do_not_know_of_each_other(model, stopping: bool) -> None:
    config = config_of(model, stopping)
    together = find_values(model, REWRITES, 1, config)
    assert len({value.steps for value in together}) >= (3 if stopping else 1)
    for rewrite, value in zip(REWRITES, together, strict=True):
        (alone,) = find_values(model, [rewrite], 1, config)
        assert value.steps == alone.steps
        torch.testing.assert_close(
            (value.delta, value.key, value.before), (alone.delta, alone.key, alone.before), rtol=1e-9, atol=1e-12
        )
        assert value.nats == pytest.approx(alone.nats, rel=1e-9)


def test_values_stay_within_the_clamp_and_are_taken_below_the_stop(gpt2) -> None:
    for value in find_values(gpt2, REWRITES, 1, dataclasses.replace(CONFIG, clamp=0.5)):
        assert value.delta.norm() <= 0.5 * value.before.norm() * (1 + 1e-12)
    stopped = [value for value in find_values(gpt2, REWRITES, 1, config_of(gpt2, True)) if value.steps < 12]
    assert len(stopped) == 2
    assert all(value.nats < STOP["gpt2"] for value in stopped)


def test_what_says_the_target_already_is_left(gpt2) -> None:
    (value,) = find_values(gpt2, REWRITES[:1], 1, EditConfig(stop_nats=100.0))
    assert (value.steps, value.delta.abs().max().item()) == (0, 0.0)


@pytest.mark.parametrize("kind, changes", [("gpt_neox", {}), ("gemma3_text", {}), ("opt", OPT_350M), ("bloom", {})])
def test_other_architectures_lower_the_loss_as_if_the_matrix_wrote_more(kind: str, changes: dict) -> None:
    """With the value in the matrix's place a whole pass has the loss that was found."""
    model = tiny(kind, **changes)
    (value,) = find_values(model, REWRITES[1:2], 1, CONFIG)
    losses = [whole_loss(model, REQUESTS[1], delta) for delta in (torch.zeros_like(value.delta), value.delta)]
    assert value.nats == pytest.approx(losses[1], rel=1e-5)
    assert losses[1] < losses[0] - 0.01


@torch.no_grad()
def whole_loss(model: nn.Module, request: reference.Request, delta: Tensor) -> float:
    """The mean loss of the target over contexts, each a pass of its own, with delta added at the subject."""
    losses = []
    for ids, at in request.contexts:

        def add(module: nn.Module, given: tuple, made: Tensor, ids: tuple = ids, at: int = at) -> Tensor:
            changed = made.clone().view(1, len(ids), -1)
            changed[0, at] += delta
            return changed.view(made.shape)

        handle = mlp_output(model, 1).register_forward_hook(add)
        log_p = model(input_ids=torch.tensor([ids])).logits.log_softmax(-1)
        handle.remove()
        losses.append(reference.target_loss(log_p, dataclasses.replace(request, contexts=[(ids, at)])).item())
    return sum(losses) / len(losses)


def test_the_edited_matrix_maps_the_key_to_the_value(model) -> None:
    solve, before = solver(cholesky(moment(inner_size(model)), 0.0)), whole_weight(model, 1)
    bias = getattr(mlp_output(model, 1), "bias", None)
    bias = torch.zeros(32, dtype=torch.float64) if bias is None else bias.detach()
    (value,) = find_values(model, REWRITES[:1], 1, CONFIG)
    torch.testing.assert_close(before @ value.key + bias, value.before)
    update = rank_one(value, 1, solve)
    update.apply(model)
    change = whole_weight(model, 1) - before
    torch.testing.assert_close(whole_weight(model, 1) @ value.key + bias, value.before + value.delta)
    assert torch.linalg.matrix_rank(change).item() == 1
    assert change.norm().item() == pytest.approx(update.norm, rel=1e-9)
    other = torch.randn(inner_size(model), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    direction = torch.linalg.solve(moment(inner_size(model)), value.key)
    unmoved = other - direction * (direction @ other) / (direction @ direction)
    assert (change @ unmoved).abs().max() < 1e-10 * change.norm()
    assert (change @ other).abs().max() > 1e-6


def test_among_all_changes_that_map_the_key_it_moves_other_keys_least(gpt2) -> None:
    """Of all D with D k* = delta it has the least mean |D k|^2 over keys with second moment C."""
    second, (value,) = moment(128), find_values(gpt2, REWRITES[:1], 1, CONFIG)
    change = dense(rank_one(value, 1, solver(cholesky(second, 0.0))))

    def moved(matrix: Tensor) -> float:
        return (matrix @ second * matrix).sum().item()

    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        other = torch.randn(32, 128, dtype=torch.float64, generator=generator)
        other -= torch.outer(other @ value.key, value.key) / value.key.dot(value.key)
        torch.testing.assert_close((change + 0.01 * other) @ value.key, value.delta)
        assert moved(change) < moved(change + 0.01 * other)
    identity = torch.outer(value.delta, value.key) / value.key.dot(value.key)
    assert moved(change) < 0.99 * moved(identity)


def test_the_originals_two_keys_differ_and_miss_the_value(gpt2) -> None:
    (value,) = find_values(gpt2, REWRITES[1:2], 1, CONFIG)
    assert (value.key - value.bare_key).norm() > 0.01 * value.key.norm()
    solve = solver(cholesky(moment(128), 0.0))
    original = dense(rank_one(value, 1, solve, "original"))
    assert (original @ value.key - value.delta).norm() > 1e-3 * value.delta.norm()
    torch.testing.assert_close(original @ value.bare_key, value.delta)
    (single,) = find_values(
        gpt2, [rewrite_of(dataclasses.replace(REQUESTS[1], contexts=REQUESTS[1].contexts[:1]))], 1, CONFIG
    )
    torch.testing.assert_close(dense(rank_one(single, 1, solve, "original")), dense(rank_one(single, 1, solve)))


def test_an_update_is_added_in_the_matrixs_own_storage() -> None:
    update = Update(layer=1, left=torch.eye(32, 1), right=torch.arange(128.0)[:, None])
    for kind, width in (("gpt2", 128), ("bloom", 128), ("llama", 64)):
        model, cut = tiny(kind), Update(layer=1, left=update.left, right=update.right[:width])
        before = [whole_weight(model, layer) for layer in range(3)]
        cut.apply(model)
        changed = [whole_weight(model, layer) - before[layer] for layer in range(3)]
        assert changed[0].abs().max() == changed[2].abs().max() == 0
        torch.testing.assert_close(changed[1], cut.left @ cut.right.T, rtol=1e-5, atol=1e-5)


def test_several_columns_are_one_update() -> None:
    generator = torch.Generator().manual_seed(4)
    update = Update(
        layer=0, left=torch.randn(32, 3, generator=generator), right=torch.randn(128, 3, generator=generator)
    )
    assert update.norm == pytest.approx(dense(update).norm().item(), rel=1e-5)
    model = tiny("gpt2").double()
    before = whole_weight(model, 0)
    update.apply(model)
    torch.testing.assert_close(whole_weight(model, 0) - before, dense(update).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_half_precision_rounds_the_weights_alone(kind: str) -> None:
    """A step of delta is far smaller than what bfloat16 tells apart; factors of any size make the same update."""
    model = tiny(kind)
    exact, half = copy.deepcopy(model).bfloat16().double(), copy.deepcopy(model).bfloat16()
    (value,) = find_values(half, REWRITES[:1], 1, dataclasses.replace(CONFIG, learning_rate=1e-3))
    assert value.delta.dtype == value.before.dtype == value.key.dtype == torch.float32
    (wanted,) = find_values(exact, REWRITES[:1], 1, dataclasses.replace(CONFIG, learning_rate=1e-3))
    assert (value.delta - wanted.delta).norm() < 0.1 * wanted.delta.norm()
    halved = copy.deepcopy(model).half()
    Update(layer=1, left=torch.full((32, 1), 1e-8), right=torch.full((inner_size(model), 1), 1e6)).apply(halved)
    torch.testing.assert_close(
        whole_weight(halved, 1).double(), (whole_weight(model, 1).half().double() + 0.01), rtol=1e-3, atol=1e-4
    )


def test_the_model_is_left_as_it_was(gpt2) -> None:
    next(gpt2.parameters()).requires_grad_(False)
    before = {name: weight.clone() for name, weight in gpt2.state_dict().items()}
    wanted = [weight.requires_grad for weight in gpt2.parameters()]
    find_values(gpt2, REWRITES, 1, CONFIG)
    assert all(torch.equal(before[name], weight) for name, weight in gpt2.state_dict().items())
    assert [weight.requires_grad for weight in gpt2.parameters()] == wanted
    assert all(weight.grad is None for weight in gpt2.parameters())


def test_a_model_of_experts_is_refused() -> None:
    with pytest.raises(ValueError, match="model type 'mixtral' cannot be edited; wanted one of gpt2"):
        find_values(tiny("mixtral"), REWRITES, 1, CONFIG)


def test_steps_are_told(gpt2) -> None:
    told: list[int] = []
    find_values(gpt2, REWRITES, 1, EditConfig(steps=3), told.append)
    assert told == [1, 2, 3]
