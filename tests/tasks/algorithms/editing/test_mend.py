"""Claims: gradients come in parts that sum to the whole, in every architecture; the network is that of the restatement
and begins as the identity; an edit made beside the weights is the one made in them, each seen by its own rows alone;
training makes edits of other facts take and leaves the rest; one seed, one network.
"""

from dataclasses import replace

import pytest
import torch

from tasks.algorithms.editing import mend as module
from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.mend import (
    MendExample,
    edited_apart,
    gradient_factors,
    mend_layers,
    mend_updates,
    train_mend,
)
from tasks.algorithms.editing.statements import keep_statements
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.architectures import ARCHITECTURES, is_transposed, mlp_output
from tasks.settings.edit_baselines import MendConfig
from tests.reference import edit_baselines as reference
from tests.stand_ins.architectures import OPT_350M, tiny
from tests.stand_ins.fact_model import fact_model, facts, said, statement

STATEMENTS = [
    ScoredSequence(ids=(3, 5, 6, 7, 8, 20, 21), start=5),
    ScoredSequence(ids=(3, 9, 10), start=2),
    ScoredSequence(ids=(5, 6, 14, 15, 16, 20, 21, 22, 7), start=8),
]
EXAMPLES = [
    MendExample(edit=one, rephrased=(replace(one, ids=(4, *one.ids[1:])),), unrelated=(other,))
    for one, other in zip(STATEMENTS, reversed(STATEMENTS), strict=True)
]
KINDS = [*(kind for kind, each in ARCHITECTURES.items() if each.editable), "opt-350m"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_gradient_sum_to_it(kind: str) -> None:
    model = tiny("opt", **OPT_350M) if kind == "opt-350m" else tiny(kind)
    factors = gradient_factors(model, keep_statements(model, STATEMENTS), [1, 2])
    for number, layer in enumerate((1, 2)):
        for row, one in enumerate(STATEMENTS):
            found = factors.wanted[number, row].T @ factors.read[number, row]
            wanted = reference.gradient(model, [one], layer)
            wanted = wanted.T if is_transposed(mlp_output(model, layer)) else wanted
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)
    lengths = [len(one.ids) - 1 for one in STATEMENTS]
    assert (factors.used.sum(dim=-1) <= torch.tensor(lengths)).all()  # no padding


@pytest.fixture(scope="module")
def trained():
    """A network after a few steps, so that none of its parts is what it was."""
    model = tiny("gpt2").double()
    return model, train_mend(model, EXAMPLES, MendConfig(layers=(0, 2), rank=3, steps=5, batch=2))


def test_the_network_is_that_of_the_restatement(trained) -> None:
    model, mend = trained
    factors = gradient_factors(model, keep_statements(model, STATEMENTS), [0, 2])
    read, written = mend(factors)
    for layer in (0, 1):
        for row in range(3):
            for place in range(factors.used.shape[2]):
                if not factors.used[layer, row, place]:
                    assert not read[layer, row, place].any()
                    assert not written[layer, row, place].any()
                    continue
                u, delta = reference.mend_token(
                    mend, layer, factors.read[layer, row, place], factors.wanted[layer, row, place]
                )
                torch.testing.assert_close(read[layer, row, place], u)
                torch.testing.assert_close(written[layer, row, place], -mend.log_rate[layer].exp() * delta)


def test_inputs_are_normalised_over_the_tokens_that_are_used(trained) -> None:
    model, mend = trained
    factors = gradient_factors(model, keep_statements(model, [each.edit for each in EXAMPLES]), [0, 2])
    for layer in (0, 1):
        tokens = torch.cat([factors.read, factors.wanted], dim=-1)[layer][factors.used[layer]]
        z = (tokens - mend.mean[layer, 0]) / mend.deviation[layer, 0]
        torch.testing.assert_close(z.mean(dim=0), torch.zeros(160, dtype=z.dtype), atol=1e-9, rtol=0)
        torch.testing.assert_close(z.std(dim=0, correction=0), torch.ones(160, dtype=z.dtype))


def test_the_network_begins_as_the_identity_and_every_part_of_it_learns() -> None:
    model = tiny("llama").double()
    config = MendConfig(layers=(1,), rank=3, steps=1, batch=3, edit_rate=0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_batches", lambda *_: iter(()))
        mend = train_mend(model, EXAMPLES, config)
    factors = gradient_factors(model, keep_statements(model, STATEMENTS), [1])
    read, written = mend(factors)
    z = (torch.cat([factors.read, factors.wanted], dim=-1) - mend.mean) / mend.deviation * factors.used[..., None]
    torch.testing.assert_close(torch.cat([read, written / -0.02], dim=-1), z)
    start = {name: value.clone() for name, value in mend.state_dict().items()}
    after = train_mend(model, EXAMPLES, replace(config, steps=3)).state_dict()
    assert {name for name, value in after.items() if torch.equal(value, start[name])} == {"mean", "deviation"}


def test_an_edit_beside_the_weights_is_the_one_in_them_and_rows_meet_their_own_alone(trained) -> None:
    model, mend = trained
    kept = keep_statements(model, [*STATEMENTS, *STATEMENTS])
    read, written = mend(gradient_factors(model, keep_statements(model, STATEMENTS), mend.layers))
    owner = torch.tensor([0, 1, 2, 2, 0, 1])
    with torch.no_grad(), edited_apart(model, mend.layers, read, written, owner):
        apart = kept.nats(kept.log_probabilities(model, 0))
    for row, one in enumerate([*STATEMENTS, *STATEMENTS]):
        updates = mend_updates(mend, model, [STATEMENTS[owner[row]]])
        assert [update.layer for update in updates] == [0, 2]
        with edited(model, updates):
            assert apart[row].item() == pytest.approx(reference.nats(model, one).item(), rel=1e-6)


def test_several_statements_are_added_up(trained) -> None:
    model, mend = trained
    together = mend_updates(mend, model, STATEMENTS)
    alone = [mend_updates(mend, model, [one]) for one in STATEMENTS]
    for number, update in enumerate(together):
        wanted = sum(each[number].left @ each[number].right.T for each in alone)
        torch.testing.assert_close(update.left @ update.right.T, wanted)


def examples_of(chosen: list) -> list[MendExample]:
    known = facts()
    return [
        MendExample(
            edit=statement(fact.prompt(), fact.other(step)),
            rephrased=tuple(statement(prompt, fact.other(step)) for prompt in fact.paraphrases()),
            unrelated=tuple(
                statement(other.prompt(), other.answer) for other in known if other.subject != fact.subject
            ),
        )
        for fact in chosen
        for step in range(1, 6)
    ]


def test_training_makes_edits_of_other_facts_take_and_leaves_the_rest() -> None:
    model, known, seen = fact_model(), facts(), []
    held = known[::6]
    mend = train_mend(
        model,
        examples_of([fact for fact in known if fact not in held]),
        MendConfig(steps=60, rank=32),
        lambda step, figures: seen.append(figures),
    )
    losses = [each.edit_nats + each.drift for each in seen]
    assert sum(losses[-10:]) / 10 < losses[0] / 2
    before = [said(model, [fact.prompt()])[0] for fact in held]
    raised, kept = [], []
    for fact, was in zip(held, before, strict=True):
        with edited(model, mend_updates(mend, model, [statement(fact.prompt(), fact.other(2))])):
            raised.append(said(model, [fact.prompt()])[0][fact.other(2)].item() - was[fact.other(2)].item())
            rest = [other for other in known[1::4] if other.subject != fact.subject]
            answers = said(model, [other.prompt() for other in rest]).argmax(dim=-1).tolist()
            kept += [answer == other.answer for answer, other in zip(answers, rest, strict=True)]
    assert sum(raised) / len(raised) > 0.3
    assert sum(kept) / len(kept) > 0.9


def test_one_seed_gives_one_network_and_nothing_else_is_touched() -> None:
    model, config = tiny("gpt2"), MendConfig(layers=(1,), rank=3, steps=3, batch=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    first = train_mend(model, EXAMPLES, config).state_dict()
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(5)
    again, other = (train_mend(model, EXAMPLES, replace(config, seed=seed)).state_dict() for seed in (0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["up.0"], other["up.0"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_each_example_comes_once_before_any_comes_again() -> None:
    examples = [replace(EXAMPLES[0], edit=ScoredSequence(ids=(1, number), start=1)) for number in range(7)]
    config = MendConfig(steps=7, batch=3)
    drawn = [each for batch in module._batches(examples, config, torch.Generator().manual_seed(0)) for each in batch]
    numbers = [each.edit.ids[1] for each in drawn]
    assert [sorted(numbers[start : start + 7]) for start in (0, 7, 14)] == [list(range(7))] * 3
    assert all(len(each.rephrased) == len(each.unrelated) == 1 for each in drawn)


def test_layers_are_the_last_three_or_those_named() -> None:
    model = tiny("gpt2", n_layer=5)
    assert mend_layers(model, MendConfig()) == [2, 3, 4]
    assert mend_layers(tiny("gpt2", n_layer=2), MendConfig()) == [0, 1]
    assert mend_layers(model, MendConfig(layers=(0, 3))) == [0, 3]
    with pytest.raises(ValueError, match=r"mend.layers is \(5,\); wanted numbers below 5, the model's layers"):
        mend_layers(model, MendConfig(layers=(5,)))


@pytest.mark.parametrize("examples", [[], [replace(EXAMPLES[0], unrelated=())]])
def test_nothing_to_learn_from_is_refused(examples: list) -> None:
    with pytest.raises(ValueError, match="MEND needs edits to learn from, each with unrelated statements"):
        train_mend(tiny("gpt2"), examples, MendConfig())


def test_a_model_in_half_precision_has_a_network_in_single_and_experts_are_refused() -> None:
    model = tiny("llama").to(torch.bfloat16)
    mend = train_mend(model, EXAMPLES, MendConfig(layers=(1,), rank=3, steps=2, batch=2))
    (update,) = mend_updates(mend, model, STATEMENTS[:1])
    assert update.left.dtype == update.right.dtype == torch.float32
    assert update.norm > 0
    with pytest.raises(ValueError, match="model type 'mixtral' cannot be edited"):
        mend_layers(tiny("mixtral"), MendConfig())
