"""Claims: every cell of a grid is one whole pass of the restatement; nothing put back is the corrupted run, all put
back the clean one; no noise, no effect; draws are seeded and their order is nothing.
"""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.editing import causal_tracing
from tasks.algorithms.editing.causal_tracing import STATES, default_window, embedding_noise, trace, window_of
from tasks.algorithms.models.architectures import attention_output, decoder_layers, mlp_output, tensor_of
from tasks.settings.tracing import TracingConfig
from tests.reference.causal_tracing import Tracing, modules
from tests.stand_ins.architectures import OPT_350M, tiny

IDS, SUBJECT, ANSWER = [5, 6, 7, 8, 9, 10, 11], (2, 4), 20
CONFIG = TracingConfig(draws=3, window=2)


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return tiny(request.param).double()


@pytest.fixture
def gpt2() -> nn.Module:
    return tiny("gpt2").double()


def plain(model: nn.Module, config: TracingConfig = CONFIG) -> Tracing:
    return Tracing(model, IDS, ANSWER, embedding_noise(model, SUBJECT, len(IDS), config))


@pytest.mark.parametrize("window", [1, 2, 3])
def test_every_cell_is_a_whole_pass_of_its_own(model, window: int) -> None:
    found = trace(model, IDS, SUBJECT, ANSWER, dataclasses.replace(CONFIG, window=window))
    reference = plain(model)
    assert found.clean == pytest.approx(reference.clean, rel=1e-9)
    assert found.corrupted == pytest.approx(reference.restored([]), rel=1e-9)
    for state in STATES:
        wanted = reference.grid(state, window)
        torch.testing.assert_close(found.restored[state], wanted, rtol=1e-9, atol=1e-12)
        assert (wanted - wanted[0, 0]).abs().max() > 3e-4
        torch.testing.assert_close(found.indirect(state), wanted - reference.restored([]), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("subject", [(0, 1), (0, 7), (5, 7), (6, 7)])
def test_the_subject_may_stand_anywhere(gpt2, subject: tuple[int, int]) -> None:
    found = trace(gpt2, IDS, subject, ANSWER, CONFIG)
    reference = Tracing(gpt2, IDS, ANSWER, embedding_noise(gpt2, subject, len(IDS), CONFIG))
    for state in STATES:
        torch.testing.assert_close(found.restored[state], reference.grid(state, 2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3, 7, 20])
def test_however_the_cells_are_shared_among_passes(gpt2, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(causal_tracing, "MOST_ROWS", rows)
    found, reference = trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG), plain(gpt2)
    for state in STATES:
        torch.testing.assert_close(found.restored[state], reference.grid(state, 2), rtol=1e-9, atol=1e-12)


CELLS = [(layer, token) for layer in (0, 1, 2) for token in (2, 3, 6)]
OTHERS = {
    **{kind: (kind, {}) for kind in ("gpt_neo", "gptj", "gpt_neox", "mistral", "gemma3_text", "phi", "bloom")},
    **{"opt": ("opt", {}), "opt-350m": ("opt", OPT_350M), "mixtral": ("mixtral", {})},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_equal_a_hook_on_their_modules(name: str) -> None:
    """Windows of one layer: the output of the one matrix, or of the layer, put back in a whole pass."""
    kind, changes = OTHERS[name]
    model = tiny(kind, **changes)
    found = trace(model, IDS, SUBJECT, ANSWER, dataclasses.replace(CONFIG, window=1))
    noise = embedding_noise(model, SUBJECT, len(IDS), CONFIG)
    at = {"hidden": lambda layer: decoder_layers(model)[layer]}
    at |= {"mlp": lambda layer: mlp_output(model, layer), "attention": lambda layer: attention_output(model, layer)}
    for state in STATES:
        wanted = [put_back(model, at[state](layer), token, noise) for layer, token in CELLS]
        cells = [found.restored[state][cell].item() for cell in CELLS]
        assert cells == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        assert max(wanted) > 1.003 * min(wanted)


@torch.no_grad()
def put_back(model: nn.Module, module: nn.Module, token: int, noise: Tensor) -> float:
    """The mean probability of the answer with one clean output of a module at a token."""
    clean: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, given, made: clean.append(tensor_of(made).view(len(IDS), -1)))
    model(input_ids=torch.tensor([IDS]))
    handle.remove()

    def put(_: nn.Module, given: tuple, made: Tensor | tuple) -> Tensor | tuple:
        states = tensor_of(made).clone()
        states.view(len(noise), len(IDS), -1)[:, token] = clean[0][token]
        return states if isinstance(made, Tensor) else (states, *made[1:])

    handles = [
        model.get_input_embeddings().register_forward_hook(lambda _, given, made: made + noise),
        module.register_forward_hook(put),
    ]
    logits = model(input_ids=torch.tensor([IDS] * len(noise))).logits[:, -1]
    for each in handles:
        each.remove()
    return logits.softmax(-1)[:, ANSWER].mean().item()


def test_no_noise_has_no_effect(model) -> None:
    found = trace(model, IDS, SUBJECT, ANSWER, dataclasses.replace(CONFIG, noise=0.0))
    assert found.total == pytest.approx(0, abs=1e-12)
    for state in STATES:
        assert found.indirect(state).abs().max() < 1e-12


def test_all_states_restored_give_the_clean_probability(model) -> None:
    """Those of all tokens; of the corrupted one where it is the last, since no other has changed."""
    reference = plain(model)
    layers = modules(model, "hidden")
    every = [(layers[0], token) for token in range(len(IDS))]
    assert reference.restored(every) == pytest.approx(reference.clean, rel=1e-9)
    found = trace(model, IDS, (len(IDS) - 1, len(IDS)), ANSWER, CONFIG)
    assert found.restored["hidden"][:, -1].tolist() == pytest.approx([found.clean] * 3, rel=1e-9)
    assert found.total != pytest.approx(0, abs=1e-4)


def test_the_last_state_of_the_last_token_is_the_clean_answer(model) -> None:
    found = trace(model, IDS, SUBJECT, ANSWER, CONFIG)
    assert found.restored["hidden"][-1, -1].item() == pytest.approx(found.clean, rel=1e-9)


def test_what_changes_nothing_gives_the_corrupted_probability(model) -> None:
    found = trace(model, IDS, SUBJECT, ANSWER, CONFIG)
    for state in STATES:
        before = found.restored[state][:, : SUBJECT[0]]
        torch.testing.assert_close(before, torch.full_like(before, found.corrupted), rtol=1e-9, atol=0)
    last = found.restored["hidden"][-1, :-1]
    torch.testing.assert_close(last, torch.full_like(last, found.corrupted), rtol=1e-9, atol=0)


def test_the_order_of_draws_is_nothing(gpt2) -> None:
    noise = embedding_noise(gpt2, SUBJECT, len(IDS), CONFIG)
    one, other = (trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, noise=each) for each in (noise, noise[[2, 0, 1]]))
    for state in STATES:
        torch.testing.assert_close(one.restored[state], other.restored[state], rtol=1e-9, atol=1e-12)
    assert one.corrupted == pytest.approx(other.corrupted, rel=1e-9)


def test_draws_are_averaged(gpt2) -> None:
    noise = embedding_noise(gpt2, SUBJECT, len(IDS), CONFIG)
    together = trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, noise=noise)
    alone = [trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, noise=noise[draw : draw + 1]) for draw in range(3)]
    mean = sum(each.restored["mlp"] for each in alone) / 3
    torch.testing.assert_close(together.restored["mlp"], mean, rtol=1e-9, atol=1e-12)
    assert together.total == pytest.approx(sum(each.total for each in alone) / 3, rel=1e-9)


def test_noise_is_seeded_and_on_the_subject_alone(gpt2) -> None:
    config = TracingConfig(draws=200, noise=2.0)
    noise = embedding_noise(gpt2, SUBJECT, len(IDS), config)
    assert noise.shape == (200, len(IDS), 32)
    assert torch.equal(noise, embedding_noise(gpt2, SUBJECT, len(IDS), config))
    assert not torch.equal(noise, embedding_noise(gpt2, SUBJECT, len(IDS), dataclasses.replace(config, seed=1)))
    assert noise[:, :2].abs().max() == noise[:, 4:].abs().max() == 0
    assert noise[:, 2:4].std().item() == pytest.approx(2.0 * gpt2.transformer.wte.weight.std().item(), rel=0.03)
    before = torch.random.get_rng_state()
    embedding_noise(gpt2, SUBJECT, len(IDS), config)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["gemma", "gemma3_text", "llama"])
def test_noise_is_in_the_unit_of_what_the_embedding_gives(kind: str) -> None:
    """Gemma's is its table times the square root of its width."""
    model = tiny(kind)
    noise = embedding_noise(model, (0, 7), 7, TracingConfig(draws=200, noise=3.0))
    with torch.no_grad():
        given = model.get_input_embeddings()(torch.arange(60))
    assert noise.std().item() == pytest.approx(3.0 * given.std().item(), rel=0.03)


def test_only_the_states_asked_for(gpt2) -> None:
    found = trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, states=["mlp"])
    assert [*found.restored] == ["mlp"]


def test_windows() -> None:
    assert [list(window_of(layer, 3, 4)) for layer in range(4)] == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]
    assert [list(window_of(layer, 2, 3)) for layer in range(3)] == [[0], [0, 1], [1, 2]]
    assert [list(window_of(layer, 1, 3)) for layer in range(3)] == [[0], [1], [2]]
    assert len(window_of(20, 10, 48)) == 10
    assert [default_window(depth) for depth in (1, 4, 6, 12, 48)] == [1, 1, 1, 2, 10]


def test_progress_is_told_up_to_the_end(gpt2) -> None:
    told: list[tuple[int, int]] = []
    trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, on_token=lambda done, of: told.append((done, of)))
    assert told[-1] == (5, 5)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_no_hook_stays(gpt2) -> None:
    trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module) for module in gpt2.modules()
    )


def test_of_some_tokens_the_cells_are_the_same_and_elsewhere_stands_the_corrupted_run(gpt2) -> None:
    whole = trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG)
    some = trace(gpt2, IDS, SUBJECT, ANSWER, CONFIG, tokens=[3, 5])
    for state in STATES:
        torch.testing.assert_close(some.restored[state][:, [3, 5]], whole.restored[state][:, [3, 5]])
        rest = some.restored[state][:, [0, 1, 2, 4, 6]]
        torch.testing.assert_close(rest, torch.full_like(rest, whole.corrupted))
        assert (whole.restored[state][:, 2] - whole.corrupted).abs().max() > 1e-5
