"""Claims: a pass that goes on from any layer and position is the whole pass, changed or not, for every known type and
any padding; gradients too; nothing stays behind in the model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.models.activations import (
    Kept,
    changed_output,
    keep,
    logits_of,
    pad_left,
    positions_of,
    resume,
    resume_all,
)
from tasks.algorithms.models.architectures import (
    ARCHITECTURES,
    attention_output,
    decoder_layers,
    mlp_output,
    tensor_of,
)
from tests.stand_ins.architectures import OPT_350M, tiny

ROWS = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15], [3, 4, 5, 6, 7, 8]]
DEPTH = 3
MODELS = {kind: (kind, {}) for kind in ARCHITECTURES} | {"opt-350m": ("opt", OPT_350M)}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    kind, changes = MODELS[request.param]
    return tiny(kind, **changes)


@pytest.fixture
def llama() -> nn.Module:
    return tiny("llama")


def both_sides(left: list[int], right: list[int]) -> tuple[Tensor, Tensor]:
    """Rows with padding before and after them."""
    padded = list(zip(left, ROWS, right, strict=True))
    return (
        torch.tensor([[2] * before + row + [2] * after for before, row, after in padded]),
        torch.tensor([[0] * before + [1] * len(row) + [0] * after for before, row, after in padded]),
    )


LEFT, BOTH, RIGHT = pad_left(ROWS, 2), both_sides([0, 2, 1], [1, 2, 1]), both_sides([0, 0, 0], [0, 3, 1])


def real_logits(logits: Tensor, mask: Tensor, split: int) -> list[Tensor]:
    """Of each row those at its tokens from the split on."""
    return [row[flags[split:].bool()] for row, flags in zip(logits, mask, strict=True)]


@torch.no_grad()
def alone(model: nn.Module, mask: Tensor, split: int) -> list[Tensor]:
    """The same of each row by itself, without padding."""
    starts = [max(0, split - int(flags.argmax())) for flags in mask]
    return [model(input_ids=torch.tensor([row])).logits[0, start:] for row, start in zip(ROWS, starts, strict=True)]


@contextmanager
def replaced(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change what a module returns, the plain way."""

    def hook(_: nn.Module, given: tuple, made: Tensor | tuple) -> Tensor | tuple:
        return change(made) if isinstance(made, Tensor) else (change(made[0]), *made[1:])

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def at_position(position: int, change: Tensor) -> Callable[[Tensor], Tensor]:
    """Add to the states of one position; some modules see their rows end to end."""

    def changed(made: Tensor) -> Tensor:
        states = made.clone().view(len(change), -1, made.shape[-1])
        states[:, position] += change
        return states.view(made.shape)

    return changed


@pytest.mark.parametrize("split", [0, 3])
@pytest.mark.parametrize("padding", [LEFT, BOTH, RIGHT], ids=["left", "both", "right"])
def test_what_is_resumed_from_any_layer_is_the_whole_pass(model, padding: tuple[Tensor, Tensor], split: int) -> None:
    ids, mask = padding
    kept, wanted = keep(model, ids, mask, split), alone(model, mask, split)
    for layer in range(DEPTH + 1):
        with torch.no_grad():
            found = logits_of(model, resume(model, kept, layer, kept.inputs[layer]))
        for one, other in zip(real_logits(found, mask, split), wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_changed_state_is_the_whole_pass_with_a_hook(model) -> None:
    ids, mask = LEFT
    kept, change = keep(model, ids, mask, 4), torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    for layer in range(DEPTH):
        hidden = kept.inputs[layer + 1].clone()
        hidden[:, 1] += change
        with torch.no_grad():
            found = logits_of(model, resume(model, kept, layer + 1, hidden))
            with replaced(decoder_layers(model)[layer], at_position(5, change)):
                wanted = model(input_ids=ids, attention_mask=mask, **placed(model, mask)).logits[:, 4:]
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert (found - logits_of(model, resume(model, kept, 3, kept.inputs[3]))).abs().max() > 0.01


def placed(model: nn.Module, mask: Tensor) -> dict[str, Tensor]:
    return {} if model.config.model_type == "bloom" else {"position_ids": positions_of(mask)}


@pytest.mark.parametrize("matrix", [mlp_output, attention_output])
def test_a_changed_output_is_the_whole_pass_with_a_hook(model, matrix: Callable) -> None:
    ids, mask = LEFT
    kept, change = keep(model, ids, mask, 4), torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    at_tail = torch.zeros(3, 3, 32)
    at_tail[:, 1] = change
    for layer in range(DEPTH):
        with torch.no_grad():
            with changed_output(matrix(model, layer), lambda made: made + at_tail, rows=3):
                found = logits_of(model, resume(model, kept, layer, kept.inputs[layer]))
            with replaced(matrix(model, layer), at_position(5, change)):
                wanted = model(input_ids=ids, attention_mask=mask, **placed(model, mask)).logits[:, 4:]
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_modules_give_and_read_is_kept_from_the_split_on(model) -> None:
    ids, mask = LEFT
    seen: dict[str, Tensor] = {}
    matrix, attention = mlp_output(model, 1), attention_output(model, 2)

    def see(name: str, value: Tensor) -> None:
        seen[name] = value.reshape(3, 7, -1)

    handles = [
        matrix.register_forward_hook(lambda module, given, made: see("made", tensor_of(made))),
        matrix.register_forward_pre_hook(lambda module, given: see("read", given[0])),
        attention.register_forward_hook(lambda module, given, made: see("attention", tensor_of(made))),
    ]
    with torch.no_grad():
        model(input_ids=ids, attention_mask=mask, **placed(model, mask))
    for handle in handles:
        handle.remove()
    kept = keep(model, ids, mask, 3, record={"made": matrix, "attention": attention}, record_inputs={"read": matrix})
    assert {*kept.outputs} == {*seen}
    for name, wanted in seen.items():
        for one, other in zip(
            real_logits(kept.outputs[name], mask, 3), real_logits(wanted[:, 3:], mask, 3), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_noise_is_added_to_the_embeddings(model) -> None:
    ids, mask = LEFT
    width = model.get_input_embeddings().weight.shape[1]
    noise = torch.randn(3, 7, width, generator=torch.Generator().manual_seed(1))
    kept = keep(model, ids, mask, noise=noise)
    with torch.no_grad():
        found = logits_of(model, resume(model, kept, DEPTH, kept.inputs[DEPTH]))
        with replaced(model.get_input_embeddings(), lambda made: made + noise):
            wanted = model(input_ids=ids, attention_mask=mask, **placed(model, mask)).logits
    for one, other in zip(real_logits(found, mask, 0), real_logits(wanted, mask, 0), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("split", [0, 1])
def test_rows_that_go_on_from_another_pass_are_the_whole_pass(model, split: int) -> None:
    ids, mask = LEFT
    rest = [[8, 9, 10, 11], [12, 13, 14, 15], [5, 6, 7, 8]]  # of the second, all of it
    before = keep(model, *pad_left([row[: len(row) - len(tail)] for row, tail in zip(ROWS, rest, strict=True)], 2))
    for layer in range(DEPTH + 1):
        kept = keep(model, *pad_left(rest, 2), split, past=before)
        with torch.no_grad():
            found = logits_of(model, resume(model, kept, layer, kept.inputs[layer]))
        whole = keep(model, ids, mask, ids.shape[1] - found.shape[1])
        torch.testing.assert_close(found, logits_of(model, whole.last), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "split", "copied"), [("llama", 3, True), ("llama", 0, False), ("bloom", 3, False)])
def test_keys_and_values_are_copied_only_where_a_tail_is_written_behind_them(
    kind: str, split: int, *, copied: bool
) -> None:
    model = tiny(kind)
    kept = keep(model, *LEFT, split)
    before = [key.clone() for key in kept.keys]
    resume(model, kept, 1, kept.inputs[1])
    assert ("rooms" in vars(kept)) == copied
    assert all(torch.equal(one, other) for one, other in zip(before, kept.keys, strict=True))


def test_gradients_are_those_of_the_whole_pass(model) -> None:
    ids, mask = LEFT
    kept, change = keep(model, ids, mask, 4), torch.zeros(3, 32, requires_grad=True)
    at_tail = torch.nn.functional.pad(change[:, None], (0, 0, 0, 2))
    found = logits_of(model, resume(model, kept, 2, kept.inputs[2] + at_tail))[:, -1, 7].sum()
    with replaced(decoder_layers(model)[1], at_position(4, change)):
        wanted = model(input_ids=ids, attention_mask=mask, **placed(model, mask)).logits[:, -1, 7].sum()
    gradients = [torch.autograd.grad(value, change)[0] for value in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
    assert gradients[0].abs().max() > 1e-3


def test_rows_are_chosen_in_any_order_and_number(llama) -> None:
    ids, mask = LEFT
    kept = keep(llama, ids, mask, 3, record={"made": mlp_output(llama, 0)})
    chosen = kept.rows(torch.tensor([2, 0, 2]))
    whole = logits_of(llama, resume(llama, kept, 1, kept.inputs[1]))
    found = logits_of(llama, resume(llama, chosen, 1, chosen.inputs[1]))
    torch.testing.assert_close(found, whole[[2, 0, 2]], rtol=1e-5, atol=1e-5)
    assert torch.equal(chosen.outputs["made"], kept.outputs["made"][[2, 0, 2]])


def test_rows_that_join_at_different_layers_are_each_as_if_alone(model) -> None:
    kept = keep(model, *LEFT, 3)
    generator = torch.Generator().manual_seed(1)
    joining = {
        0: kept.inputs[0][[2]],
        1: kept.inputs[1][[0, 1]] + torch.randn(2, 4, 32, generator=generator),
        3: kept.inputs[3][[1, 0, 2]] + torch.randn(3, 4, 32, generator=generator),
    }
    of = torch.tensor([2, 0, 1, 1, 0, 2])
    for layers in ([0, 1, 3], [1, 3], [3], [0]):
        places = torch.cat([torch.arange(6).split([1, 2, 3])[[0, 1, 3].index(layer)] for layer in layers])
        with torch.no_grad():
            found = resume_all(model, kept, {layer: joining[layer] for layer in layers}, of[places])
            alone = [
                resume(model, kept.rows(of[where]), layer, joining[layer])
                for layer, where in zip([0, 1, 3], torch.arange(6).split([1, 2, 3]), strict=True)
                if layer in layers
            ]
        torch.testing.assert_close(found, torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_what_is_read_is_the_same_as_of_all_positions(model) -> None:
    kept, reads = keep(model, *LEFT, 3), (torch.tensor([0, 2, 0, 3, 4]), torch.tensor([3, 0, 1, 3, 2]))
    joining, of = {1: kept.inputs[1] * 1.1, 3: kept.inputs[3][:2] * 0.9}, torch.tensor([0, 1, 2, 0, 1])
    with torch.no_grad():
        whole, found = resume_all(model, kept, joining, of), resume_all(model, kept, joining, of, reads)
    torch.testing.assert_close(found, whole[reads], rtol=1e-5, atol=1e-5)
    assert found.shape == (5, whole.shape[-1])


def test_the_last_layer_writes_only_what_is_read_and_gradients_are_the_same(llama) -> None:
    kept, ran = keep(llama, *LEFT, 3), []
    change, reads = torch.zeros(3, 4, 32, requires_grad=True), (torch.tensor([0, 2]), torch.tensor([3, 1]))
    whole = resume(llama, kept, 1, kept.inputs[1] + change)[reads].square().sum()
    handle = decoder_layers(llama)[2].mlp.down_proj.register_forward_pre_hook(
        lambda module, given: ran.append(given[0].shape[:-1].numel())
    )
    found = resume(llama, kept, 1, kept.inputs[1] + change, reads).square().sum()
    handle.remove()
    assert ran == [2]
    torch.testing.assert_close(*(torch.autograd.grad(each, change)[0] for each in (found, whole)))


def test_padding_of_all_rows_is_dropped_and_nothing_changes(model) -> None:
    """The second and third row alone: two positions of padding before them, one behind."""
    kept = keep(model, *both_sides([0, 2, 2], [2, 3, 1]), 4, record={"made": mlp_output(model, 0)})
    some = kept.rows(torch.tensor([1, 2]))
    bare = some.unpadded()
    assert (some.split, some.ids.shape, some.mask.shape) == (4, (2, 5), (2, 9))
    assert (bare.split, bare.ids.shape, bare.mask.shape) == (2, (2, 4), (2, 6))
    assert bare.outputs["made"].shape[:2] == (2, 4)
    with torch.no_grad():
        found, whole = (resume(model, each, 1, each.inputs[1]) for each in (bare, some))
    for row, count in ((0, 2), (1, 4)):
        torch.testing.assert_close(found[row, :count], whole[row, :count], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(kept.last[row + 1, :count], whole[row, :count], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("split", [0, 2])
def test_a_layer_runs_the_rows_that_have_joined_and_no_others(llama, split: int) -> None:
    kept, ran = keep(llama, *LEFT, split), []
    for number, layer in enumerate(decoder_layers(llama)):
        layer.mlp.register_forward_pre_hook(lambda module, given, number=number: ran.append((number, len(given[0]))))
    resume_all(llama, kept, {1: kept.inputs[1], 2: kept.inputs[2][:1]}, torch.tensor([0, 1, 2, 0]))
    assert ran == [(1, 3), (2, 4)]


@pytest.mark.parametrize("padding", [LEFT, BOTH], ids=["left", "both"])
def test_a_cut_is_what_is_kept_from_there(model, padding: tuple[Tensor, Tensor]) -> None:
    made = {"made": mlp_output(model, 0)}
    found, wanted = keep(model, *padding, 1, record=made).cut(4), keep(model, *padding, 4, record=made)
    assert (found.split, found.ids.shape) == (4, wanted.ids.shape)
    for one, other in zip(
        (*found.inputs, found.outputs["made"]), (*wanted.inputs, wanted.outputs["made"]), strict=True
    ):
        assert torch.equal(one, other)
    with torch.no_grad():
        resumed = [resume(model, each, 1, each.inputs[1]) for each in (found, wanted)]
    assert torch.equal(*resumed)


def left_behind(model: nn.Module) -> list[str]:
    """Names of modules that have hooks, or a `forward` of their own."""
    return [
        name
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    ]


def test_nothing_stays_behind(model) -> None:
    before = left_behind(model)
    kept = keep(model, *LEFT, 3, noise=None, record={"made": mlp_output(model, 0)})
    with changed_output(mlp_output(model, 2), lambda made: made, rows=3):
        resume(model, kept, 2, kept.inputs[2])
    resume_all(model, kept, {1: kept.inputs[1], 3: kept.inputs[3]}, torch.tensor([0, 1, 2, 0, 1, 2]))
    assert left_behind(model) == before


def test_nothing_stays_behind_when_the_model_raises(llama) -> None:
    kept = keep(llama, *LEFT, 3)

    def fail(*ignored: object) -> None:
        raise RuntimeError("on purpose")

    handle = decoder_layers(llama)[2].self_attn.register_forward_pre_hook(fail)
    for work in (lambda: keep(llama, *LEFT, 3), lambda: resume(llama, kept, 2, kept.inputs[2])):
        with pytest.raises(RuntimeError, match="on purpose"):
            work()
    handle.remove()
    assert left_behind(llama) == []


def test_layers_below_are_not_run(llama) -> None:
    kept, ran = keep(llama, *LEFT, 3), []
    for number, layer in enumerate(decoder_layers(llama)):
        layer.mlp.register_forward_pre_hook(lambda module, given, number=number: ran.append((number, given[0].shape)))
    resume(llama, kept, 1, kept.inputs[1])
    assert ran == [(1, (3, 4, 32)), (2, (3, 4, 32))]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt"])
def test_float64_stays_float64(kind: str) -> None:
    model = tiny(kind).double()
    kept = keep(model, *LEFT, 3)
    found = logits_of(model, resume(model, kept, 1, kept.inputs[1]))
    assert found.dtype == torch.float64
    for one, other in zip(real_logits(found, LEFT[1], 3), alone(model, LEFT[1], 3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_positions_are_counted_from_the_first_token() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]], 2)
    assert ids.tolist() == [[5, 6, 7], [2, 2, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions_of(mask).tolist() == [[0, 1, 2], [0, 0, 0]]


def test_the_tail_of_what_is_kept(llama) -> None:
    kept = keep(llama, *LEFT, 3)
    assert isinstance(kept, Kept)
    assert (kept.split, kept.ids.shape, kept.mask.shape) == (3, (3, 4), (3, 7))
    assert [each.shape for each in kept.inputs] == [(3, 4, 32)] * 4
    assert [each.shape for each in kept.keys] == [(3, 4, 7, 8)] * 3
