"""Claims: the loop is AdamW with warm-up, decay and clipping; validation picks the checkpoint; every block is used each
epoch.

Most run on a model of six weights, whose gradient is known in closed form.
"""

import math
import pickle
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch, EpochBatches, Validation, course, held_back, shuffled, train
from tasks.artifacts import BelowFloorError
from tasks.settings.training import TrainingConfig, peak_learning_rate
from tests.reference.adamw import adamw_run

START = np.array([0.5, -0.3, 0.8, 0.1, -0.7, 0.2])
POINTS = np.random.default_rng(0).normal(size=(12, 6))


class Weights(nn.Module):
    """A model that is nothing but six numbers in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(START))


class Spread(Objective):
    """loss = mean over the batch's points x of sum (w - x)^4 / 4, gradient mean (w - x)^3."""

    config_type = object

    def loss(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> tuple[Tensor, dict[str, Tensor]]:
        spread = (student.w - batch["x"]) ** 4 / 4
        return spread.sum(-1).mean(), {"points": torch.tensor(float(len(batch["x"])))}


def batches(config: TrainingConfig, points: int = 12) -> EpochBatches:
    return EpochBatches(
        points,
        lambda chosen, step: Batch(tensors={"x": torch.tensor(POINTS[chosen])}, cached={}, weight=len(chosen)),
        config,
    )


def config(**changes: object) -> TrainingConfig:
    return TrainingConfig(
        **{"learning_rate": 0.05, "epochs": 3, "batch_blocks": 4, "mixed_precision": "no", "seed": 1} | changes
    )


def trained(settings: TrainingConfig, **options: object) -> tuple[np.ndarray, dict[str, float]]:
    model = Weights()
    numbers = train(model, batches(settings), Spread(), settings, **options)
    return model.w.detach().numpy().copy(), numbers


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "constant", "warmup_share": 0.0, "clip_norm": 0.0},
        {"schedule": "cosine", "warmup_share": 0.5, "weight_decay": 0.1, "beta2": 0.95},
        {"clip_norm": 0.2, "warmup_share": 0.3},
        {"schedule": "exponential", "final_rate_share": 0.05, "warmup_share": 0.0},
        {"accumulation": 2, "epochs": 4, "weight_decay": 0.05},
        {"accumulation": 5, "batch_blocks": 5, "clip_norm": 3.0},
    ],
    ids=lambda changes: ", ".join(map(str, changes)) or "default",
)
def test_training_equals_adamw_restated(changes: dict) -> None:
    settings = config(**changes)
    orders = [shuffled(12, settings.seed, epoch) for epoch in range(settings.epochs)]
    parts = [
        order[start : start + settings.batch_blocks]
        for order in orders
        for start in range(0, 12, settings.batch_blocks)
    ]
    groups = [
        list(chain(*parts[at : at + settings.accumulation])) for at in range(0, len(parts), settings.accumulation)
    ]

    def gradient_of(weights: np.ndarray, step: int) -> np.ndarray:
        return np.mean([(weights - POINTS[point]) ** 3 for point in groups[step]], axis=0)

    names = ("learning_rate", "beta2", "weight_decay", "clip_norm", "warmup_share", "schedule", "final_rate_share")
    expected = adamw_run(START, gradient_of, steps=len(groups), **{name: getattr(settings, name) for name in names})
    np.testing.assert_allclose(trained(settings)[0], expected, atol=1e-9, rtol=0)


def test_gradients_are_clipped_to_the_norm_and_reported_before_it() -> None:
    """At the first step AdamW's update has the same size whatever the norm, so the second one is what differs."""
    norms: list[float] = []
    clipped, _ = trained(config(clip_norm=0.1), on_step=lambda step, metrics: norms.append(metrics["gradient_norm"]))
    assert norms[0] > 0.1
    assert np.abs(clipped - trained(config(clip_norm=0))[0]).max() > 1e-4


def test_accumulation_equals_one_batch_of_double_size_where_token_counts_differ(tiny_llama) -> None:
    blocks = [(5, 6, 7, 8, 9, 10, 11, 12), (13, 14), (15, 16, 17), (18, 19, 20, 21, 22, 23)]

    def make(chosen: list[int], step: int) -> Batch:
        ids, mask = pad_batch([blocks[index] for index in chosen], 0)
        return Batch(tensors={"ids": ids, "mask": mask}, cached={}, weight=float(mask[:, 1:].sum()))

    weights, losses = [], []
    for size, accumulation in ((1, 4), (2, 2), (4, 1)):
        model, settings = (
            tiny_llama(1, initializer_range=0.3),
            config(batch_blocks=size, accumulation=accumulation, epochs=2, learning_rate=1e-3),
        )
        train(
            model,
            EpochBatches(4, make, settings),
            CausalLM(),
            settings,
            on_step=lambda step, metrics: losses.append(metrics["loss_nats"]),
        )
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    assert losses[0] == pytest.approx(losses[2], rel=1e-5)
    assert losses[1] == pytest.approx(losses[5], rel=1e-4)
    torch.testing.assert_close(weights[0], weights[2], atol=2e-5, rtol=0)
    torch.testing.assert_close(weights[1], weights[2], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("items", "size"), [(7, 3), (8, 4), (1, 5), (5, 1)])
def test_every_block_is_used_once_each_epoch(items: int, size: int) -> None:
    settings = config(batch_blocks=size, epochs=3)
    source = EpochBatches(
        items, lambda chosen, step: Batch(tensors={"chosen": torch.tensor(chosen)}, cached={}, weight=1.0), settings
    )
    seen = [source[index].tensors["chosen"].tolist() for index in range(len(source))]
    per_epoch = math.ceil(items / size)
    orders = [list(chain(*seen[epoch * per_epoch : (epoch + 1) * per_epoch])) for epoch in range(3)]
    assert all(sorted(order) == list(range(items)) for order in orders)
    assert items < 3 or len(set(map(tuple, orders))) > 1


def test_batches_end_after_the_last_epoch() -> None:
    source = batches(config())
    assert len(source) == 9
    with pytest.raises(IndexError):
        source[9]
    assert sum(1 for _ in source) == 9


def test_few_data_are_passed_over_until_the_least_steps_are_done() -> None:
    """3 batches an epoch: 10 steps of one batch are 4 epochs, of two batches 7."""
    assert len(batches(config(least_steps=10))) == 12
    assert len(batches(config(least_steps=10, accumulation=2))) == 21
    assert len(batches(config(least_steps=2))) == 9


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        batches(config(), points=0)


def test_a_step_is_reported_with_its_number_loss_and_rate() -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    settings = config(schedule="linear", warmup_share=0.0)
    trained(settings, on_step=lambda step, metrics: reports.append((step, metrics)))
    assert [step for step, _ in reports] == list(range(1, 10))
    assert [metrics["learning_rate"] for _, metrics in reports] == pytest.approx(
        [0.05, *(0.05 * (1 - done / 8) for done in range(8))], abs=1e-12
    )
    first = np.mean([((START - POINTS[point]) ** 4 / 4).sum() for point in shuffled(12, 1, 0)[:4]])
    assert reports[0][1]["loss_nats"] == pytest.approx(first, rel=1e-6)
    assert reports[0][1]["points"] == 4


class BreaksAt(Spread):
    """Spread, until its loss or its gradient is no number."""

    def __init__(self, call: int, factor: float) -> None:
        self.calls, self.call, self.factor = 0, call, factor

    def loss(self, student: nn.Module, batch: dict[str, Tensor], cached: dict) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        loss, metrics = super().loss(student, batch, cached)
        return (loss * self.factor if self.calls == self.call else loss), metrics


@pytest.mark.parametrize("factor", [math.nan, math.inf])
@pytest.mark.parametrize(("accumulation", "step"), [(1, 5), (2, 3)])
def test_a_number_that_is_none_stops_with_its_step_and_leaves_the_weights(
    factor: float, accumulation: int, step: int
) -> None:
    model, settings, before = Weights(), config(accumulation=accumulation), [START]
    with pytest.raises(FloatingPointError, match=f"at step {step}; wanted finite numbers"):
        train(
            model,
            batches(settings),
            BreaksAt(5, factor),
            settings,
            on_step=lambda *_: before.append(model.w.detach().numpy().copy()),
        )
    assert len(before) == step
    np.testing.assert_array_equal(model.w.detach().numpy(), before[-1])


def judged(*verdicts: tuple[float | None, bool]) -> Callable[[nn.Module], Validation]:
    """Validations that find (score, acceptable) in this order."""
    coming = iter(verdicts)

    def validate(model: nn.Module) -> Validation:
        assert not model.training
        score, acceptable = next(coming)
        return Validation(score=score, acceptable=acceptable, metrics={"kl": score or 0.0})

    return validate


def weights_by_step(settings: TrainingConfig) -> list[np.ndarray]:
    path, model = [START], Weights()
    train(model, batches(settings), Spread(), settings, on_step=lambda *_: path.append(model.w.detach().numpy().copy()))
    return path


@pytest.mark.parametrize(
    ("verdicts", "best_step"),
    [
        ([(3.0, True), (1.0, True), (2.0, True)], 6),
        ([(3.0, True), (1.0, False), (2.0, True)], 9),  # the lowest score is below the utility floor
        ([(3.0, False), (1.0, False), (2.0, False)], 6),  # all are: the lowest score after all
        ([(1.0, False), (9.0, True), (2.0, False)], 6),  # one above the floor beats any below it
        ([(2.0, True), (2.0, True), (2.0, True)], 3),  # the first of equals
        ([(math.nan, True), (5.0, True), (math.nan, True)], 6),  # no number is no improvement
        ([(None, True), (None, True), (None, True)], 9),  # without a score the later is the better
        ([(None, True), (None, True), (None, False)], 6),
        ([(None, False), (None, False), (None, False)], 9),
    ],
)
def test_the_best_checkpoint_is_the_lowest_score_above_the_floor(verdicts: list, best_step: int) -> None:
    settings = config(patience=9)
    weights, numbers = trained(settings, validate=judged(*verdicts))
    assert numbers["best_step"] == best_step
    np.testing.assert_array_equal(weights, weights_by_step(settings)[best_step])


def test_without_validation_the_last_weights_stay() -> None:
    weights, numbers = trained(config())
    np.testing.assert_array_equal(weights, weights_by_step(config())[-1])
    assert (numbers["step"], numbers["steps"], numbers["best_step"]) == (9, 9, 0)


@pytest.mark.parametrize(("patience", "steps"), [(1, 3), (2, 4), (3, 8)])
def test_patience_ends_the_run(patience: int, steps: int) -> None:
    """Validated at every step: better, better, worse, worse, better, worse, worse, worse."""
    scores = [5.0, 4.0, 6.0, 6.0, 3.0, 6.0, 6.0, 6.0, 1.0]
    reports: list[dict[str, float]] = []
    settings = config(validate_every=1, patience=patience)
    numbers = trained(
        settings,
        validate=judged(*((score, True) for score in scores)),
        on_step=lambda _, metrics: reports.append(metrics),
    )[1]
    assert (numbers["step"], numbers["stopped"]) == (steps, 1.0)
    assert [report["validation_score"] for report in reports] == scores[:steps]
    assert reports[0]["kl"] == 5.0


@pytest.mark.parametrize(("steps", "courses"), [(9, 1), (9, 3), (10, 3), (4, 4), (27, 2)])
def test_courses_are_equal_parts_of_the_steps(steps: int, courses: int) -> None:
    parts = [course(step, steps, courses) for step in range(steps)]
    distinct = sorted(set(parts))
    assert [start for start, _ in distinct] == [0, *(end for _, end in distinct[:-1])]
    assert distinct[-1][1] == steps
    lengths = [end - start for start, end in distinct]
    assert len(lengths) == courses
    assert max(lengths) - min(lengths) <= 1
    assert all(start <= step < end for step, (start, end) in enumerate(parts))
    assert course(steps, steps, courses) == distinct[-1]


def looks(*found: tuple[float, bool, bool]) -> Callable[[nn.Module], Validation]:
    """A validation that finds (score, acceptable, enough), one after the other."""
    coming = iter(found)
    return lambda model: Validation(**dict(zip(("score", "acceptable", "enough"), next(coming), strict=True)))


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        ([(3.0, True, True)], 9),  # enough
        ([(3.0, True, False), (2.0, True, True)], 18),
        ([(3.0, True, False), (2.0, True, False), (1.0, True, False)], 27),  # never enough
        ([(3.0, True, False), (2.0, False, False)], 18),  # more lost than is allowed
        ([(3.0, True, False), (3.5, True, False)], 18),  # no help
    ],
)
def test_another_course_begins_while_it_is_wanted_allowed_and_of_help(found: list, steps: int) -> None:
    settings = config(courses=3, validate_every=9, warmup_share=0.2)
    rates: list[float] = []
    _, numbers = trained(
        settings, validate=looks(*found), on_step=lambda step, metrics: rates.append(metrics["learning_rate"])
    )
    assert (numbers["step"], numbers["steps"]) == (steps, 27)
    alone: list[float] = []
    trained(config(warmup_share=0.2), on_step=lambda step, metrics: alone.append(metrics["learning_rate"]))
    assert rates == alone * (steps // 9)  # every course is the one that a single one takes


def test_a_course_ends_with_a_validation_and_begins_with_new_patience() -> None:
    seen: list[int] = []
    settings = config(courses=2, validate_every=4, patience=3)
    found = [(3.0, True, False), (4.0, True, False), (3.5, True, False), *[(5.0, True, False)] * 3]
    _, numbers = trained(
        settings,
        validate=looks(*found),
        on_step=lambda step, metrics: seen.append(step) if "validation_score" in metrics else None,
    )
    assert seen == [4, 8, 9, 12, 16, 18]
    assert numbers["best_step"] == 4


def test_without_a_validation_there_is_one_course() -> None:
    weights, numbers = trained(config(courses=3))
    assert numbers["step"] == 9
    assert (weights == trained(config())[0]).all()


def keeping(*ratios: float | None) -> Callable[[nn.Module], Validation]:
    """Validations that find these shares kept, in this order."""
    coming = iter(ratios)
    return lambda model: Validation(score=1.0, acceptable=True, retain_ratio=next(coming))


def test_training_is_given_up_at_the_first_look_below_the_floor_and_says_what_it_saved() -> None:
    settings, saved, model = config(validate_every=2, stop_below=0.85), [], Weights()
    with pytest.raises(
        BelowFloorError,
        match=(
            r"given up after step 4 of 9: the retain probability is 0\.849x the target model's, below stop_below, 0\.85"
        ),
    ) as given:
        train(
            model,
            batches(settings),
            Spread(),
            settings,
            validate=keeping(0.85, 0.849),
            on_checkpoint=lambda step, capture: saved.append(step),
        )
    assert (given.value.retain_ratio, given.value.step, given.value.steps) == (0.849, 4, 9)
    assert saved == [1, 2, 3], "a run without a floor could go on from none of these any differently"
    np.testing.assert_array_equal(model.w.detach().numpy(), weights_by_step(settings)[4])
    again = pickle.loads(pickle.dumps(given.value))  # noqa: S301 - as it comes out of a stage's process
    assert (str(again), vars(again)) == (str(given.value), vars(given.value))


@pytest.mark.parametrize(
    ("floor", "ratios"),
    [
        (0.85, (0.9, 0.85, 1.2, 0.99, 0.9)),
        (None, (0.1, 0.1, 0.1, 0.1, 0.1)),
        (0.0, (0.0, 0.1, 0.0, 0.1, 0.0)),
        (0.85, (None, None, None, None, None)),
    ],
    ids=["above it", "no floor", "a floor of nothing", "not measured"],
)
def test_a_floor_that_nothing_falls_below_changes_no_weight(
    floor: float | None, ratios: tuple[float | None, ...]
) -> None:
    settings = config(validate_every=2, patience=9)
    weights, numbers = trained(config(validate_every=2, patience=9, stop_below=floor), validate=keeping(*ratios))
    expected, wanted = trained(settings, validate=keeping(*5 * (None,)))
    np.testing.assert_array_equal(weights, expected)
    assert numbers == wanted


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [3, 6, 9]),
        ({"validate_every": 4}, [4, 8, 9]),
        ({"batch_blocks": 12}, [1, 2, 3]),
        ({"accumulation": 2}, [2, 3, 5]),
        ({"accumulation": 9}, [1]),
    ],
)
def test_validation_comes_at_the_end_of_each_epoch_or_as_often_as_asked(settings: dict, steps: list[int]) -> None:
    """With 3 batches an epoch and 2 in a step, the epochs end within the steps 2, 3 and 5."""
    found: list[int] = []
    score = judged(*((1.0, True) for _ in range(9)))
    trained(
        config(patience=9, **settings),
        validate=score,
        on_step=lambda step, metrics: found.append(step) if "kl" in metrics else None,
    )
    assert found == steps


@pytest.mark.parametrize(
    ("items", "share", "held"),
    [
        (0, 0.05, 0),
        (1, 0.05, 0),
        (2, 0.05, 1),
        (19, 0.05, 1),
        (20, 0.05, 1),
        (100, 0.05, 5),
        (100, 0.0, 0),
        (5120, 0.05, 256),
        (100_000, 0.5, 256),
    ],
)
def test_a_small_set_keeps_one_item_for_validation_and_a_large_one_no_more_than_tell_enough(
    items: int, share: float, held: int
) -> None:
    assert held_back(items, share) == held


def test_the_model_is_left_in_evaluation_mode() -> None:
    model, settings = Weights(), config(epochs=1)
    train(
        model,
        batches(settings),
        Spread(),
        settings,
        on_step=lambda *_: model.training or pytest.fail("not in training mode"),
    )
    assert not model.training


def test_a_missing_learning_rate_follows_the_rule() -> None:
    rule = TrainingConfig(rate_at_7b=3e-6, rate_exponent=0.6)
    assert peak_learning_rate(rule, 7_000_000_000) == pytest.approx(3e-6, rel=1e-12)
    assert peak_learning_rate(rule, 7_000_000) == pytest.approx(3e-6 * 1000**0.6, rel=1e-12)  # 1.9e-4
    assert peak_learning_rate(TrainingConfig(learning_rate=0.5), 7) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"schedule": "x"}, "schedule is 'x'"),
        ({"mixed_precision": "int8"}, "mixed_precision is 'int8'"),
        ({"warmup_share": 2.0}, "warmup_share is 2"),
        ({"final_rate_share": 0.0}, "final_rate_share is 0"),
        ({"stop_below": 1.5}, "stop_below is 1.5"),
        ({"stop_below": math.nan}, "stop_below is nan"),
    ],
)
def test_senseless_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**changes)
