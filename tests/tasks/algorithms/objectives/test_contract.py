"""Claims, of every entry of OBJECTIVES: padding and tokens that do not count change nothing, and the rest of the contract. To be listed is to be tested."""

import copy
import dataclasses
import json
import math

import pytest
import torch
from pydantic import TypeAdapter

from tasks.algorithms.objectives import OBJECTIVES, objective_class
from tasks.algorithms.training.loop import Batch, train
from tasks.settings.training import TrainingConfig
from tests.stand_ins.objectives import FORGET, PREFERRED, RETAIN, TwoTokens, gradient, make_batch, make_cached, padded

NEEDS = {"reference_logprobs", "reference_hidden", "forget_hidden", "retain_layer_hidden", "preferred", "retain", "labels"}
OWN_BATCHES = {name for name in OBJECTIVES if "labels" in objective_class(name)(objective_class(name).config_type()).needs}
"""Those with a flow and batches of their own: tested in their own files."""
GENERIC = sorted(set(OBJECTIVES) - OWN_BATCHES)


def variants(name: str) -> list:
    """The objective with its defaults and, where it has a retain term, with the other kind of it."""
    kind = objective_class(name)
    fields = {field.name for field in dataclasses.fields(kind.config_type)}
    changes = [{}, {"retain_loss": "kl", "retain_weight": 2.0}] if "retain_loss" in fields else [{}]
    return [kind(kind.config_type(**change)) for change in changes]


EVERY = [(name, index) for name in GENERIC for index in range(len(variants(name)))]
every = pytest.mark.parametrize("name, variant", EVERY, ids=[f"{name}-{index}" for name, index in EVERY])


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_config_round_trips_and_is_frozen(name: str) -> None:
    kind = objective_class(name)
    config = kind.config_type()
    assert TypeAdapter(kind.config_type).validate_python(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.anything = 1
    with pytest.raises(TypeError):
        kind.config_type(no_such_setting=1)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_needs_are_named_by_the_contract(name: str) -> None:
    assert objective_class(name)(objective_class(name).config_type()).needs <= NEEDS


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"there is no objective 'npoo'; wanted one of .*gradient_ascent.*npo, rmu"):
        objective_class("npoo")


@every
def test_the_loss_is_a_finite_scalar_with_plain_metrics_and_its_gradient_finite(pair, name: str, variant: int) -> None:
    batch = make_batch()
    loss, metrics = variants(name)[variant].loss(pair.student, batch, make_cached(pair.frozen, batch))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert math.isfinite(loss.item())
    assert all(value.shape == () and not value.requires_grad and math.isfinite(value.item()) for value in metrics.values())
    loss.backward()
    grads = [weight.grad for weight in pair.student.parameters() if weight.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert max(grad.abs().max() for grad in grads) > 0
    assert all(weight.grad is None for weight in pair.frozen.parameters())


@every
def test_it_takes_what_it_says_it_needs_and_no_more(pair, name: str, variant: int) -> None:
    objective, batch = variants(name)[variant], make_batch()
    whole = make_cached(pair.frozen, batch)
    expected = objective.loss(pair.student, batch, whole)[0].item()
    names = {
        "reference_logprobs": {"reference_logprob", "preferred_reference_logprob"},
        "reference_hidden": {"reference_head", "retain_hidden"},
        "forget_hidden": {"reference_head", "forget_hidden"},
        "retain_layer_hidden": {"retain_layer_hidden"},
    }
    wanted = {entry for need in objective.needs for entry in names.get(need, ())}
    cached = {entry: value for entry, value in whole.items() if entry in wanted}
    prefixes = [f"{need}_" for need in ("retain", "preferred") if need not in objective.needs]
    given = {entry: tensor for entry, tensor in batch.items() if not entry.startswith(tuple(prefixes))}
    assert objective.loss(pair.student, given, cached)[0].item() == expected


@every
@pytest.mark.parametrize("pad_id", [0, 7])
def test_padding_changes_neither_loss_nor_gradient(pair, name: str, variant: int, pad_id: int) -> None:
    """The filler may be a token of the text, and may be called supervised."""
    objective = variants(name)[variant]
    plain, wide = make_batch(), make_batch(pad_id=pad_id, width=5)
    found = [objective.loss(pair.student, batch, make_cached(pair.frozen, batch))[0].item() for batch in (plain, wide)]
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-6)
    one, other = (gradient(objective, pair.student, batch, make_cached(pair.frozen, batch)) for batch in (plain, wide))
    assert (one - other).norm() <= 1e-5 * one.norm() + 1e-6


def with_tail(texts: list) -> list:
    """The texts, going on with two tokens of which neither counts."""
    return [((*ids, 33, 34), (*supervised[:-1], 0, 0, 0)) for ids, supervised in texts]


@every
def test_tokens_that_do_not_count_change_nothing(pair, name: str, variant: int) -> None:
    objective = variants(name)[variant]
    plain = make_batch()
    tailed = padded(with_tail(FORGET), "") | padded(with_tail(RETAIN), "retain_") | padded(with_tail(PREFERRED), "preferred_")
    found = [objective.loss(pair.student, batch, make_cached(pair.frozen, batch))[0].item() for batch in (plain, tailed)]
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-6)


@every
def test_tokens_that_count_do_change_it(pair, name: str, variant: int) -> None:
    objective, plain = variants(name)[variant], make_batch()
    other = make_batch(forget=[((*ids[:-1], ids[-1] + 10), supervised) for ids, supervised in FORGET])  # every row's last token
    cached = make_cached(pair.frozen, plain)
    one, two = (metrics.get("forget_loss_nats", loss).item() for loss, metrics in (objective.loss(pair.student, batch, cached) for batch in (plain, other)))
    if name in ("rmu", "scrub"):  # they compare hidden states or distributions, and those of a row's last token are not among them
        assert one == two
    else:
        assert one != pytest.approx(two, rel=1e-5)


@every
def test_rows_in_another_order_have_the_same_loss(pair, name: str, variant: int) -> None:
    objective, plain = variants(name)[variant], make_batch()
    turned = {entry: tensor.flip(0) for entry, tensor in plain.items()}
    found = [objective.loss(pair.student, batch, make_cached(pair.frozen, batch))[0].item() for batch in (plain, turned)]
    assert found[1] == pytest.approx(found[0], rel=1e-5, abs=1e-5)


@every
def test_the_student_is_not_changed_by_computing_the_loss(pair, name: str, variant: int) -> None:
    before, batch = copy.deepcopy(pair.student.state_dict()), make_batch()
    variants(name)[variant].loss(pair.student, batch, make_cached(pair.frozen, batch))[0].backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pair.student.state_dict().items())


@every
def test_a_few_steps_of_the_training_loop_lower_the_loss(pair, name: str, variant: int) -> None:
    objective, batch = variants(name)[variant], make_batch()
    student, steps = copy.deepcopy(pair.student), []
    item = Batch(tensors=batch, cached=make_cached(pair.frozen, batch), weight=6.0)
    config = TrainingConfig(learning_rate=3e-3, schedule="constant", mixed_precision="no")
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    train(student, [item] * 6, objective, config, on_step=lambda step, metrics: steps.append(metrics["loss_nats"]))
    assert steps[-1] < steps[0] - 1e-3 * abs(steps[0])


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def expected_gradient(name: str) -> float:
    """d loss / d logit of token 1 by hand (token 0's is its negative): the student has p(1) = 0.8, the target p(1) = 0.6.

    Token 1 is to be forgotten, token 0 is preferred. d log p(1) = 1 - p(1) = 0.2, d log p(0) = -p(1) = -0.8.
    """
    r, r_preferred, nll = math.log(0.8 / 0.6), math.log(0.2 / 0.4), -math.log(0.8)
    preference = 0.1 * sigmoid(-0.1 * (r_preferred - r)) * (0.2 + 0.8)
    return {
        "causal_lm": -0.2,
        "gradient_ascent": 0.2,
        "gradient_difference": 0.2,
        "npo": 2 * sigmoid(0.1 * r) * 0.2,
        "simnpo": 2 * sigmoid(-4.5 * nll) * 0.2,
        "dpo": preference,
        "idk": preference,
        "undial": 0.8 - sigmoid(math.log(0.6 / 0.4) - 10),  # p_student - softmax(z_target - b onehot)
    }[name]


@pytest.mark.parametrize("name", [name for name in GENERIC if name in "causal_lm gradient_ascent gradient_difference npo simnpo dpo idk undial".split()])
def test_the_gradient_of_a_two_token_model_is_what_it_is_by_hand(name: str) -> None:
    student, frozen = TwoTokens([math.log(0.2), math.log(0.8)]), TwoTokens([math.log(0.4), math.log(0.6)])
    batch = padded([((0, 1), (1, 0))], "") | padded([((0, 0), (1, 0))], "preferred_")
    objective = objective_class(name)(objective_class(name).config_type())
    found = gradient(objective, student, batch, make_cached(frozen, batch)).tolist()
    assert found == pytest.approx([-expected_gradient(name), expected_gradient(name)], rel=1e-4)
    if name != "causal_lm":
        assert found[1] > 0  # descent makes the forgotten token less likely
