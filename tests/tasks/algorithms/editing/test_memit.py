"""Claims: the changes are those of the restatement, which runs row by row and inverts; one request in one layer goes in
ROME's direction; with nothing to keep, what is missing is written whole; of ten edits of a small model nearly all
take; the model is left as it was.
"""

import pytest
import torch

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.memit import memit_layers, memit_updates
from tasks.algorithms.editing.rome import find_values, rank_one
from tasks.algorithms.editing.second_moments import cholesky, second_moments, solver, text_batches
from tasks.settings.rank_one_editing import EditConfig, SecondMomentConfig
from tests.reference.memit import memit, states
from tests.stand_ins.fact_model import fact_model, facts, rewrite, said, text_rows


@pytest.fixture(scope="module")
def model():
    return fact_model()


@pytest.fixture(scope="module")
def moments(model) -> torch.Tensor:
    config = SecondMomentConfig(block_size=32)
    return second_moments(model, text_batches(text_rows(80), config, 0, torch.device("cpu")), config).matrices


def solvers(moments: torch.Tensor, layers: list[int], ridge: float = 1e-2) -> list:
    return [solver(cholesky(moments[layer], ridge)) for layer in layers]


def ridged(moment: torch.Tensor, ridge: float = 1e-2) -> torch.Tensor:
    return moment + ridge * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)


def whole(update) -> torch.Tensor:
    return update.left.double() @ update.right.double().T


@pytest.mark.parametrize(("layers", "batch"), [([0, 1, 2], 16), ([1, 2], 2), ([0], 2)])
def test_the_changes_are_those_of_the_restatement(model, moments, layers: list[int], batch: int) -> None:
    exact = fact_model().double()
    requests = [
        rewrite(fact, fact.other(), beginnings) for fact, beginnings in zip(facts()[:3], (3, 1, 2), strict=True)
    ]
    config = EditConfig(steps=4, learning_rate=0.2, memit_moment_weight=0.7, batch=batch)
    updates, values = memit_updates(exact, requests, layers, solvers(moments, layers), config)
    wanted = memit(
        exact, requests, [value.delta for value in values], layers, [ridged(moments[n]) for n in layers], 0.7
    )
    assert [update.layer for update in updates] == layers
    for update, want in zip(updates, wanted, strict=True):
        assert update.left.shape == (64, 3)
        assert torch.linalg.norm(whole(update) - want) <= 1e-8 * torch.linalg.norm(want)


def test_values_are_those_of_rome_at_the_last_layer_in_whatever_batches(model, moments) -> None:
    requests = [rewrite(fact, fact.other()) for fact in facts()[:3]]
    config = EditConfig(steps=5, learning_rate=0.2, batch=2)
    _, values = memit_updates(model, requests, [0, 1], solvers(moments, [0, 1]), config)
    for value, alone in zip(values, find_values(model, requests, 1, config), strict=True):
        torch.testing.assert_close(value.delta, alone.delta, atol=2e-4, rtol=0)


def test_one_request_in_one_layer_is_romes_but_for_its_length(model, moments) -> None:
    request = rewrite(facts()[0], facts()[0].other())
    for weight in (1e-9, 3.0):
        config = EditConfig(steps=8, learning_rate=0.2, memit_moment_weight=weight)
        (solve,) = solvers(moments, [0])
        (update,), (value,) = memit_updates(model, [request], [0], [solve], config)
        rome = rank_one(value, 0, solve)
        stiff = value.key.double() @ solve(value.key.double())
        wanted = whole(rome) * stiff / (stiff + weight)
        assert torch.linalg.norm(whole(update) - wanted) <= 1e-4 * torch.linalg.norm(wanted)


def test_with_nothing_to_keep_what_is_missing_is_written_whole(model, moments) -> None:
    requests = [rewrite(fact, fact.other()) for fact in facts()[:6:2]]
    config = EditConfig(steps=6, learning_rate=0.2, memit_moment_weight=1e-9)
    before = [states(model, request, 1, 1)[1] for request in requests]
    updates, values = memit_updates(model, requests, [0, 1], solvers(moments, [0, 1]), config)
    with edited(model, updates):
        after = [states(model, request, 1, 1)[1] for request in requests]
    for value, was, is_now in zip(values, before, after, strict=True):
        assert (was + value.delta - is_now).norm() <= 1e-3 * value.delta.norm()


def test_of_ten_edits_more_take_and_more_of_the_rest_stays_than_without_the_second_moment(model, moments) -> None:
    known = facts()
    chosen, others = known[:20:2], known[20:]  # all others share a name part with some of the ten
    requests = [rewrite(fact, fact.other()) for fact in chosen]
    config = EditConfig(learning_rate=0.1, steps=80, memit_moment_weight=0.1)
    before = said(model, [fact.prompt() for fact in others]).argmax(dim=-1)

    def taken_and_kept(solve) -> tuple[float, float]:
        updates, _ = memit_updates(model, requests, [0], [solve], config)
        with edited(model, updates):
            new = said(model, [fact.prompt() for fact in chosen]).argmax(dim=-1)
            old = said(model, [fact.prompt() for fact in others]).argmax(dim=-1)
        wanted = torch.tensor([fact.other() for fact in chosen])
        return (new == wanted).float().mean().item(), (old == before).float().mean().item()

    taken, kept = taken_and_kept(solvers(moments, [0])[0])
    taken_without, kept_without = taken_and_kept(solver(torch.eye(256, dtype=torch.float64)))
    assert taken >= max(0.8, taken_without + 0.2)
    assert kept >= kept_without + 0.1


def test_a_heavier_moment_changes_less(model, moments) -> None:
    requests = [rewrite(fact, fact.other()) for fact in facts()[:4:2]]
    norms = []
    for weight in (0.01, 1.0, 100.0):
        config = EditConfig(steps=3, memit_moment_weight=weight)
        updates, _ = memit_updates(model, requests, [0, 1], solvers(moments, [0, 1]), config)
        norms.append(sum(update.norm for update in updates))
    assert norms == sorted(norms, reverse=True)


def test_the_model_is_left_as_it_was_even_when_a_layer_fails(model, moments) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    request = rewrite(facts()[0], facts()[0].other())
    solves = solvers(moments, [0, 1])

    def failing(right: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no C")

    memit_updates(model, [request], [0, 1], solves, EditConfig(steps=2))
    with pytest.raises(RuntimeError, match="no C"):
        memit_updates(model, [request], [0, 1], [solves[0], failing], EditConfig(steps=2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_steps_are_told_up_to_the_last(model, moments) -> None:
    told: list[tuple[int, int]] = []
    requests = [rewrite(fact, fact.other()) for fact in facts()[:3]]
    config = EditConfig(steps=2, batch=2, stop_nats=0)
    memit_updates(model, requests, [0, 1], solvers(moments, [0, 1]), config, lambda *step: told.append(step))
    assert told == [(number, 6) for number in range(1, 7)]


def test_layers_end_at_the_last_and_begin_at_the_first_there_is() -> None:
    assert memit_layers(5, 3) == [3, 4, 5]
    assert memit_layers(1, 3) == [0, 1]


@pytest.mark.parametrize(("layers", "count"), [([], 0), ([1, 0], 2), ([0, 0], 2), ([0, 1], 1)])
def test_layers_out_of_order_or_without_their_moments_are_refused(model, moments, layers, count: int) -> None:
    with pytest.raises(ValueError, match=r"the layers of MEMIT are|there are 1 solvers of C for 2 layers"):
        memit_updates(model, [], layers, solvers(moments, [0, 1])[:count], EditConfig())


def test_a_model_that_normalises_after_its_mlps_write_takes_one_layer(model, moments, tiny_gemma3) -> None:
    request = rewrite(facts()[0], facts()[0].other())
    eye = solver(torch.eye(64, dtype=torch.float64))
    (update,), _ = memit_updates(tiny_gemma3, [request], [1], [eye], EditConfig(steps=2))
    assert update.left.shape == (32, 1)
    with pytest.raises(ValueError, match=r"Gemma3ForCausalLM normalises after its MLPs write.*wanted one layer"):
        memit_updates(tiny_gemma3, [request], [0, 1], [eye, eye], EditConfig(steps=2))


@pytest.fixture
def tiny_gemma3():
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
    )
    return Gemma3ForCausalLM(config).eval()
