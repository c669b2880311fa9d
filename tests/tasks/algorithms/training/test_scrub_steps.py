"""Claims: steps come in the published order and can be reached by index, training resumes to the bit, the rewind takes
the nearest.
"""

import copy
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tasks.algorithms.objectives.scrub import Scrub
from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.algorithms.training.loop import Batch, train
from tasks.algorithms.training.reference_model import reference_entries, row_tensors
from tasks.algorithms.training.scrub_steps import ScrubBatches, Step, StepOrder, rewind
from tasks.settings.scrub import ScrubConfig, ScrubTrainingConfig
from tests.reference.scrub import pretended_steps

ORIGINAL = ScrubConfig(form="original", alpha=1.0, beta=1.0, gamma=0.5, max_epochs=2)
TRAINING = ScrubTrainingConfig(batch_blocks=3, epochs=4, learning_rate=3e-3, mixed_precision="no", seed=5)


def order(config: ScrubConfig, forget: int = 7, retain: int = 5, **changes: object) -> StepOrder:
    return StepOrder(forget=forget, retain=retain, config=config, training=replace(TRAINING, **changes))


@pytest.mark.parametrize(
    ("forget", "retain", "epochs", "max_epochs"), [(7, 5, 4, 2), (3, 3, 3, 3), (1, 9, 2, 5), (9, 1, 5, 1)]
)
def test_the_original_order_is_that_of_the_walked_schedule(
    forget: int, retain: int, epochs: int, max_epochs: int
) -> None:
    steps = order(replace(ORIGINAL, max_epochs=max_epochs), forget, retain, epochs=epochs)
    found = [steps.step(index) for index in range(steps.end(epochs))]
    kinds = [(step.epoch, "max" if step.forget else "min", len(step.forget or step.retain)) for step in found]
    assert kinds == pretended_steps(forget, retain, 3, epochs, max_epochs)
    assert not any(step.forget and step.retain for step in found)
    for epoch in range(epochs):  # every sequence once a pass
        seen = {
            side: Counter(at for step in found if step.epoch == epoch for at in getattr(step, side))
            for side in ("forget", "retain")
        }
        assert seen["retain"] == Counter(range(retain))
        assert seen["forget"] == (Counter(range(forget)) if epoch < max_epochs else Counter())


def test_the_joint_order_shows_pairs_together_or_goes_round_the_retain_set() -> None:
    config = ScrubConfig()
    together = StepOrder(forget=7, retain=7, config=config, training=TRAINING, aligned=True)
    assert all(together.step(index).forget == together.step(index).retain for index in range(together.end(4)))
    apart = order(config, 7, 5)
    steps = [apart.step(index) for index in range(apart.end(4))]
    assert [len(step.forget) for step in steps] == [len(step.retain) for step in steps] == [3, 3, 1] * 4
    counts = Counter(at for step in steps for at in step.retain)
    assert set(counts) == set(range(5)) and max(counts.values()) - min(counts.values()) <= 1


def test_epochs_shuffle_anew_and_the_seed_decides() -> None:
    steps = order(ORIGINAL)
    assert steps.step(0).forget + steps.step(1).forget + steps.step(2).forget != tuple(
        steps.step(5 + at).forget for at in range(3)
    )
    assert steps.step(0) == order(ORIGINAL).step(0)
    assert [order(ORIGINAL, seed=seed).step(0).forget for seed in range(4)] != [steps.step(0).forget] * 4


def test_least_steps_add_epochs() -> None:
    assert order(ORIGINAL).epochs == 4
    assert order(ORIGINAL, least_steps=30).epochs == 12  # 2 epochs of 5 batches, then 2 an epoch
    assert order(ScrubConfig(), least_steps=13).epochs == 5


def test_impossible_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="0 retain sequences"):
        order(ORIGINAL, retain=0)
    with pytest.raises(ValueError, match="7 forget and 5 retain sequences cannot be pairs"):
        StepOrder(forget=7, retain=5, config=ScrubConfig(), training=TRAINING, aligned=True)


FORGET = [(5, 6, 7, 8), (9, 10, 11), (12, 13, 14, 15, 16), (17, 18)]
RETAIN = [(25, 26, 27), (28, 29, 30, 31), (32, 33)]


def batches(teacher, config: ScrubConfig, **changes: object) -> ScrubBatches:
    """Every prediction counts; the teacher is asked for its states when a batch is built."""
    rows = {
        part: [TextBlock(ids=ids, supervised=(True,) * len(ids)) for ids in found]
        for part, found in {"forget": FORGET, "retain": RETAIN}.items()
    }

    def make(step: Step) -> Batch:
        tensors, cached = {}, {"reference_head": teacher.get_output_embeddings()}
        for part, chosen in {"forget": step.forget, "retain": step.retain}.items():
            if chosen:
                found = row_tensors(part, [rows[part][at] for at in chosen], 0, torch.device("cpu"))
                tensors, cached = tensors | found, cached | reference_entries(teacher, found, part, (f"{part}_hidden",))
        return Batch(tensors=tensors, cached=cached, weight=float(max(len(step.forget), len(step.retain))))

    return ScrubBatches(
        StepOrder(forget=4, retain=3, config=config, training=replace(TRAINING, batch_blocks=2, **changes)), make
    )


def test_batches_are_reached_by_index(tiny_llama) -> None:
    found = batches(tiny_llama(2), ORIGINAL)
    assert (len(found), found.ends) == (2 * 4 + 2 * 2, (4, 8, 10, 12))
    assert set(found[0].tensors) == {"ids", "mask", "supervised"} and set(found[2].tensors) == {
        "retain_ids",
        "retain_mask",
        "retain_supervised",
    }
    with pytest.raises(IndexError, match="there is no batch 12; wanted 0 to 11"):
        found[12]


@pytest.mark.parametrize("config", [ORIGINAL, ScrubConfig(alpha=0.25, beta=0.75)], ids=["original", "joint"])
def test_training_that_was_interrupted_ends_with_the_same_weights(tiny_llama, config: ScrubConfig) -> None:
    teacher, states = tiny_llama(2, initializer_range=0.3), {}
    steps = batches(teacher, config)
    whole, rest = copy.deepcopy(teacher), copy.deepcopy(teacher)
    train(
        whole,
        steps,
        Scrub(config),
        TRAINING,
        on_checkpoint=lambda step, capture: states.update({step: capture()}) if step == 5 else None,
    )
    train(rest, steps, Scrub(config), TRAINING, state=states[5])
    assert all(torch.equal(left, right) for left, right in zip(whole.parameters(), rest.parameters(), strict=True))
    assert not torch.equal(whole.lm_head.weight, teacher.lm_head.weight)


def test_training_leaves_the_teacher_on_forget_text_and_comes_back_on_retain_text(tiny_llama) -> None:
    """Max-steps and min-steps in turn: the divergence on forget text grows, that on retain text ends below where
    max-steps had left it.
    """
    teacher = tiny_llama(2, initializer_range=0.3)
    config, curve = replace(ORIGINAL, gamma=0.1), []
    student = copy.deepcopy(teacher)
    steps = batches(teacher, config, epochs=12)
    train(
        student, steps, Scrub(config), replace(TRAINING, epochs=12), on_step=lambda step, metrics: curve.append(metrics)
    )
    forget = [found["forget_kl_nats"] for found in curve if "forget_kl_nats" in found]
    retain = [found["retain_kl_nats"] for found in curve if "retain_kl_nats" in found]
    assert forget[-1] > 10 * max(forget[0], 1e-3)
    assert retain[-1] < 0.7 * max(retain)


def test_the_rewind_takes_the_nearest_checkpoint_and_of_equals_the_latest() -> None:
    assert rewind([0.5, 1.4, 2.6, 9.0], 2.5) == 2
    assert rewind([0.5, 3.0, 4.0, 3.0], 3.0) == 3
    assert rewind([2.0, 4.0], 3.0) == 1  # 1 nat from both
    assert rewind([7.0], 1.0) == 0


@pytest.mark.parametrize(("errors", "holdout"), [([], 1.0), ([1.0, math.nan], 1.0), ([1.0], math.inf)])
def test_a_rewind_without_numbers_is_refused(errors: list[float], holdout: float) -> None:
    with pytest.raises(ValueError, match="wanted finite numbers"):
        rewind(errors, holdout)
