"""Claims, of every listed objective and of every loss that a stage brings itself: both halves of the protocol hold,
padding and tokens that do not count change nothing, and the rest of the contract. To be listed is to be tested.
"""

import contextlib
import copy
import dataclasses
import json
import math
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from pydantic import TypeAdapter

from tasks.algorithms.objectives import protocol as losses
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.objectives.distillation import Distillation
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
from tasks.algorithms.objectives.masked_mentions import MaskedMentions
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.objectives.scrub import Scrub
from tasks.algorithms.objectives.two_terms import TwoTerms
from tasks.algorithms.training.loop import Batch, train
from tasks.algorithms.training.sharpness import backward_at_worst
from tasks.settings.objectives import protocol
from tasks.settings.objectives.protocol import NEEDS, ObjectiveSettings
from tasks.settings.objectives.table import OBJECTIVES, listed
from tasks.settings.training import TrainingConfig
from tests.stand_ins.objectives import FORGET, PREFERRED, RETAIN, TwoTokens, gradient, make_batch, make_cached, padded

BROUGHT_BY_STAGES = {
    "causal_lm": CausalLM,
    "distillation": Distillation,
    "generic_labels": GenericLabelLoss,
    "masked_mentions": MaskedMentions,
    "scrub": Scrub,
}
"""Losses that are no method by themselves, or whose method has stages of its own."""
SETTINGS = {**{name: resolve_name(found.settings) for name, found in OBJECTIVES.items()}, "scrub": Scrub.config_type}
"""What flows read: name -> class."""
LOSSES: dict[str, type[Objective]] = {
    **{name: resolve_name(found.loss) for name, found in OBJECTIVES.items()},
    **BROUGHT_BY_STAGES,
}
GENERIC = sorted(set(LOSSES) - {"distillation", "generic_labels"})
"""These two have batches of their own: their losses are tested in files of their own."""


def members(kind: type) -> set[str]:
    """What a protocol asks for by name."""
    return {name for name in {*vars(kind), *kind.__annotations__} if not name.startswith("_")}


def variants(name: str) -> list[Objective]:
    """The objective with its defaults and, where it has a retain term, with the other kind of it."""
    kind = LOSSES[name]
    fields = {field.name for field in dataclasses.fields(kind.config_type)}
    changes = [{}, {"retain_loss": "kl", "retain_weight": 2.0}] if "retain_loss" in fields else [{}]
    return [kind(kind.config_type(**change)) for change in changes]


EVERY = [(name, index) for name in GENERIC for index in range(len(variants(name)))]
every = pytest.mark.parametrize("name, variant", EVERY, ids=[f"{name}-{index}" for name, index in EVERY])


@pytest.mark.parametrize(
    ("rest", "beside", "named"),
    [
        (losses, {"protocol", "terms", "two_terms", "expected"}, {kind.__module__ for kind in LOSSES.values()}),
        (
            protocol,
            {"protocol", "retain_term", "table", "choice"},
            {resolve_name(found.settings).__module__ for found in OBJECTIVES.values()},
        ),
    ],
    ids=["losses", "settings"],
)
def test_a_file_of_an_objective_is_listed_or_brought_by_a_stage(rest, beside: set[str], named: set[str]) -> None:
    files = {path.stem for path in Path(rest.__file__).parent.glob("*.py")} - {"__init__"}
    assert files - beside == {module.rpartition(".")[2] for module in named}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_flows_find_all_that_they_read_of_the_settings(name: str) -> None:
    kind, found = SETTINGS[name], SETTINGS[name]()
    assert ObjectiveSettings in kind.__mro__
    read = {member: getattr(found, member) for member in members(ObjectiveSettings)}
    assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", read.pop("paper"))
    assert read.pop("needs") <= set(NEEDS)
    assert read.pop("without_retain") in {"", *OBJECTIVES}
    assert read.pop("chooses_weights") in (True, False)
    assert isinstance(read.pop("layer"), int | None)
    assert not read, "a member of the protocol that nothing here looks at"
    assert kind is LOSSES[name].config_type, "the halves of one objective"


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_stages_find_all_that_they_read_of_the_loss(pair, name: str) -> None:
    kind, found = LOSSES[name], LOSSES[name]()
    assert Objective in kind.__mro__
    assert found.config == kind.config_type()
    assert found.needs <= set(NEEDS)
    assert kind.weighs_rows in (True, False)
    assert (found.layer(pair.student) is not None) == ("retain_layer_hidden" in found.needs)
    trained = found.trainable(pair.student)
    assert trained is None or {*trained} < {weight for weight, _ in pair.student.named_parameters()}
    assert members(Objective) == {
        "config",
        "config_type",
        "needs",
        "weighs_rows",
        "layer",
        "trainable",
        "loss",
    }, "the loss itself: all tests below"
    if name in SETTINGS:
        assert found.config.chooses_weights == (trained is not None)
        assert found.needs == found.config.needs


def test_settings_that_name_a_layer_have_that_one_cached_and_compared(pair) -> None:
    with_layer = [name for name in SETTINGS if "layer" in {field.name for field in dataclasses.fields(SETTINGS[name])}]
    assert with_layer == ["rmu"]
    for layer in (0, 1):
        settings = SETTINGS["rmu"](layer=layer)
        assert settings.layer == LOSSES["rmu"](settings).layer(pair.student) == layer


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_config_round_trips_and_is_frozen(name: str) -> None:
    kind = LOSSES[name].config_type
    assert TypeAdapter(kind).validate_python(json.loads(json.dumps(dataclasses.asdict(kind())))) == kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().anything = 1
    with pytest.raises(TypeError):
        kind(no_such_setting=1)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"there is no objective 'npoo'; wanted one of .*gradient_ascent.*npo, rmu"):
        listed("npoo")


def of_rows(name: str, model, frozen, texts: list) -> float:
    """The loss of some forget rows, by their numbers, and nothing to retain."""
    settings = LOSSES[name].config_type(**({"form": "original"} if name == "scrub" else {}))
    batch = padded([FORGET[number] for number in texts], "") | padded(
        [PREFERRED[number] for number in texts], "preferred_"
    )
    return LOSSES[name](settings).loss(model, batch, make_cached(frozen, batch))[0].item()


@pytest.mark.parametrize("name", GENERIC)
def test_the_loss_is_a_mean_over_what_batches_weigh_by(pair, name: str) -> None:
    counted = [sum(supervised[:-1]) for _, supervised in FORGET]
    assert len(set(counted)) > 1, "else a mean over rows is one over tokens"
    weights = [1] * len(FORGET) if LOSSES[name].weighs_rows else counted
    alone = [of_rows(name, *pair, [number]) for number in range(len(FORGET))]
    expected = sum(weight * loss for weight, loss in zip(weights, alone, strict=True)) / sum(weights)
    assert of_rows(name, *pair, [0, 1, 2]) == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if SETTINGS[name].without_retain])
def test_without_retain_text_it_is_the_method_that_it_says(pair, name: str) -> None:
    assert of_rows(name, *pair, [0, 1, 2]) == of_rows(SETTINGS[name].without_retain, *pair, [0, 1, 2])


@every
def test_the_loss_is_a_finite_scalar_with_plain_metrics_and_its_gradient_finite(pair, name: str, variant: int) -> None:
    batch = make_batch()
    loss, metrics = variants(name)[variant].loss(pair.student, batch, make_cached(pair.frozen, batch))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert math.isfinite(loss.item())
    assert all(
        value.shape == () and not value.requires_grad and math.isfinite(value.item()) for value in metrics.values()
    )
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
    tailed = (
        padded(with_tail(FORGET), "")
        | padded(with_tail(RETAIN), "retain_")
        | padded(with_tail(PREFERRED), "preferred_")
    )
    found = [
        objective.loss(pair.student, batch, make_cached(pair.frozen, batch))[0].item() for batch in (plain, tailed)
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-6)


@every
def test_tokens_that_count_do_change_it(pair, name: str, variant: int) -> None:
    objective, plain = variants(name)[variant], make_batch()
    # every row's last token
    other = make_batch(forget=[((*ids[:-1], ids[-1] + 10), supervised) for ids, supervised in FORGET])
    cached = make_cached(pair.frozen, plain)
    one, two = (
        metrics.get("forget_loss_nats", loss).item()
        for loss, metrics in (objective.loss(pair.student, batch, cached) for batch in (plain, other))
    )
    # they compare hidden states or distributions, and those of a row's last token are not among them
    if name in ("rmu", "scrub"):
        assert one == two
    else:
        assert one != pytest.approx(two, rel=1e-5)


@every
def test_rows_in_another_order_have_the_same_loss(pair, name: str, variant: int) -> None:
    objective, plain = variants(name)[variant], make_batch()
    turned = {entry: tensor.flip(0) for entry, tensor in plain.items()}
    found = [
        objective.loss(pair.student, batch, make_cached(pair.frozen, batch))[0].item() for batch in (plain, turned)
    ]
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


@every
def test_both_terms_can_be_treated_apart_and_are_the_whole_loss(pair, name: str, variant: int) -> None:
    """Also in a sharpness-aware step: within a radius of next to nothing its gradient is that of the loss."""
    objective, batch = variants(name)[variant], make_batch()
    cached, found = make_cached(pair.frozen, batch), []
    assert isinstance(objective, TwoTerms) == (name not in {"causal_lm", "masked_mentions"})
    apart, whole = copy.deepcopy(pair.student), copy.deepcopy(pair.student)
    loss, metrics = objective.loss(whole, batch, cached)
    loss.backward()
    given = Batch(tensors=batch, cached=cached, weight=6.0)
    settings = {"autocast": contextlib.nullcontext, "backward": lambda part: part.backward()}
    worst, noted = backward_at_worst(apart, list(apart.parameters()), given, objective, 1e-7, **settings)
    assert worst.item() == pytest.approx(loss.item(), rel=1e-5, abs=1e-5)
    assert set(noted) == {*metrics, "sharpness"}
    for one, other in zip(apart.parameters(), whole.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            found.append((one.grad - other.grad).norm() / other.grad.norm().clamp(min=1e-3))
    assert max(found) < 1e-3


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def expected_gradient(name: str) -> float:
    """d loss / d logit of token 1 by hand (token 0's is its negative): the student has p(1) = 0.8, the target p(1) =
    0.6.

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


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in GENERIC
        if name in "causal_lm gradient_ascent gradient_difference npo simnpo dpo idk undial".split()
    ],
)
def test_the_gradient_of_a_two_token_model_is_what_it_is_by_hand(name: str) -> None:
    student, frozen = TwoTokens([math.log(0.2), math.log(0.8)]), TwoTokens([math.log(0.4), math.log(0.6)])
    batch = padded([((0, 1), (1, 0))], "") | padded([((0, 0), (1, 0))], "preferred_")
    objective = LOSSES[name]()
    found = gradient(objective, student, batch, make_cached(frozen, batch)).tolist()
    assert found == pytest.approx([-expected_gradient(name), expected_gradient(name)], rel=1e-4)
    if name != "causal_lm":
        assert found[1] > 0  # descent makes the forgotten token less likely
