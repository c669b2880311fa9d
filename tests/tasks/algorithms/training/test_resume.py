"""Claims: one seed, one result; a run that goes on from a captured state ends with the same weights, to the bit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.training.loop import Batch, EpochBatches, TrainingState, Validation, train
from tasks.settings.training import TrainingConfig

BLOCKS = [
    tuple(torch.randint(300, (3 + 5 * number % 17,), generator=torch.Generator().manual_seed(number)).tolist())
    for number in range(10)
]
FAMILIES = pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
PRECISIONS = pytest.mark.parametrize("precision", ["no", "bf16"])


def config(**changes: object) -> TrainingConfig:
    return TrainingConfig(
        **{"learning_rate": 5e-3, "epochs": 2, "batch_blocks": 2, "accumulation": 2, "mixed_precision": "no"} | changes
    )


def make(chosen: list[int], step: int) -> Batch:
    ids, mask = pad_batch([BLOCKS[index] for index in chosen], 0)
    return Batch(tensors={"ids": ids, "mask": mask}, cached={}, weight=float(mask[:, 1:].sum()))


def validate(model: nn.Module) -> Validation:
    """A score that is best in the middle of the run, and a floor that holds at first only."""
    with torch.no_grad():
        size = sum(float(weight.double().square().sum()) for weight in model.parameters())
    return Validation(score=abs(size % 1.0 - 0.5), acceptable=size % 0.1 < 0.05)


def run(model: nn.Module, settings: TrainingConfig, **options: object) -> tuple[dict[str, Tensor], dict[str, float]]:
    numbers = train(model, EpochBatches(len(BLOCKS), make, settings), CausalLM(), settings, **options)
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}, numbers


def states_of(
    model: nn.Module, settings: TrainingConfig, **options: object
) -> tuple[dict[str, Tensor], dict[str, float], dict[int, TrainingState]]:
    states: dict[int, TrainingState] = {}

    def keep(step: int, capture: Callable[[], TrainingState]) -> None:
        states[step] = capture()

    return *run(model, settings, on_checkpoint=keep, **options), states


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@FAMILIES
@PRECISIONS
def test_one_seed_one_result(family: str, precision: str, request: pytest.FixtureRequest) -> None:
    """With dropout too (GPT-2 has 0.1): random numbers come from the seed alone."""
    factory = request.getfixturevalue(family)
    first, _ = run(factory(1), config(mixed_precision=precision))
    torch.rand(3)
    second, _ = run(factory(1), config(mixed_precision=precision))
    assert_equal(second, first)


@FAMILIES
def test_another_seed_another_result_and_the_callers_random_numbers_stay(
    family: str, request: pytest.FixtureRequest
) -> None:
    factory = request.getfixturevalue(family)
    torch.manual_seed(7)
    first, _ = run(factory(1), config(seed=1))
    drawn = torch.rand(3)
    second, _ = run(factory(1), config(seed=2))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), drawn)


@FAMILIES
@PRECISIONS
@pytest.mark.parametrize("validated", [False, True])
def test_a_resumed_run_ends_with_the_same_weights(
    family: str, precision: str, validated: bool, request: pytest.FixtureRequest
) -> None:
    factory, settings = request.getfixturevalue(family), config(mixed_precision=precision, validate_every=2, patience=9)
    options = {"validate": validate} if validated else {}
    weights, numbers, states = states_of(factory(1), settings, **options)
    assert sorted(states) == [1, 2, 3, 4, 5]
    for step in (1, 3, 4, 5):
        resumed, resumed_numbers = run(factory(99), settings, state=states[step], **options)
        assert_equal(resumed, weights)
        assert resumed_numbers == numbers


def test_the_best_checkpoint_survives_a_resume(tiny_llama) -> None:
    """The best score comes first: only the captured state still holds those weights."""
    settings, scores = config(validate_every=1, patience=9), iter([1.0, 2.0, 3.0, 4.0, 5.0])
    path: list[Tensor] = []
    model = tiny_llama(1)
    weights, numbers, states = states_of(
        model,
        settings,
        validate=lambda _: Validation(score=next(scores), acceptable=True),
        on_step=lambda *_: path.append(model.lm_head.weight.detach().clone()),
    )
    assert numbers["best_step"] == 1
    assert torch.equal(weights["lm_head.weight"], path[0])
    later = iter([4.0, 5.0])
    assert_equal(
        run(
            tiny_llama(99), settings, state=states[3], validate=lambda _: Validation(score=next(later), acceptable=True)
        )[0],
        weights,
    )


def test_patience_is_counted_across_a_resume(tiny_llama) -> None:
    """Better, worse, and after the resume worse again: that is twice."""
    settings, scores = config(validate_every=1, patience=2), iter([1.0, 2.0, 3.0])
    weights, numbers, states = states_of(
        tiny_llama(1), settings, validate=lambda _: Validation(score=next(scores), acceptable=True)
    )
    later = iter([3.0])
    resumed, found = run(
        tiny_llama(99), settings, state=states[2], validate=lambda _: Validation(score=next(later), acceptable=True)
    )
    assert (found["step"], found["stopped"]) == (numbers["step"], numbers["stopped"]) == (3, 1.0)
    assert_equal(resumed, weights)


def test_whether_a_course_helped_is_known_across_a_resume(tiny_llama) -> None:
    """The second course finds nothing better than the first, which ended before the resume."""
    settings = config(courses=3, validate_every=5, patience=9)
    found = [Validation(score=score, acceptable=True, enough=False) for score in (1.0, 2.0)]
    looks = iter(found)
    weights, numbers, states = states_of(tiny_llama(1), settings, validate=lambda _: next(looks))
    assert (numbers["step"], numbers["steps"], numbers["best_step"]) == (10, 15, 5)
    for step in (3, 5, 7, 10):
        later = iter(found[int(step >= 5) :])
        resumed, again = run(tiny_llama(99), settings, state=states[step], validate=lambda _, left=later: next(left))
        assert_equal(resumed, weights)
        assert again == numbers


def test_a_finished_or_stopped_run_takes_no_further_step(tiny_llama) -> None:
    settings = config(validate_every=1, patience=1)
    scores = iter([1.0, 2.0])
    weights, numbers, states = states_of(
        tiny_llama(1), settings, validate=lambda _: Validation(score=next(scores), acceptable=True)
    )
    assert numbers["step"] == 2
    steps: list[int] = []
    again, _ = run(
        tiny_llama(99), settings, state=states[2], validate=validate, on_step=lambda step, _: steps.append(step)
    )
    assert steps == []
    assert_equal(again, weights)


def test_a_captured_state_is_a_copy_that_no_later_step_changes(tiny_llama) -> None:
    """Neither by the run that captured it nor by one that goes on from it."""
    settings = config()
    weights, _, states = states_of(tiny_llama(1), settings)
    before = {name: value.clone() for name, value in states[2].tensors.items()}
    assert_equal(run(tiny_llama(99), settings, state=states[2])[0], weights)
    assert_equal(states[2].tensors, before)
    assert_equal(run(tiny_llama(98), settings, state=states[2])[0], weights)


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_tied_weights_stay_tied_and_are_captured_once(family: str, request: pytest.FixtureRequest) -> None:
    factory, settings = request.getfixturevalue(family), config(validate_every=2, patience=9)
    model = factory(1, tie_word_embeddings=True)
    weights, _, states = states_of(model, settings, validate=validate)
    names = [
        name
        for name in states[3].tensors
        if name.startswith("model/") and ("lm_head" in name or "embed_tokens" in name or "wte" in name)
    ]
    assert len(names) == 1
    resumed = factory(99, tie_word_embeddings=True)
    assert_equal(run(resumed, settings, state=states[3], validate=validate)[0], weights)
    for trained in (model, resumed):
        assert trained.get_output_embeddings().weight is trained.get_input_embeddings().weight
        assert torch.equal(trained.get_output_embeddings().weight, trained.state_dict()["lm_head.weight"])


@PRECISIONS
def test_a_trained_model_computes_as_its_reloaded_copy(precision: str, tiny_llama) -> None:
    """No mixed precision of the training is left in it."""
    model, ids, mask = tiny_llama(1), *pad_batch(BLOCKS[:3], 0)
    run(model, config(mixed_precision=precision))
    copy = tiny_llama(99)
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        assert torch.equal(logits, copy(input_ids=ids, attention_mask=mask).logits)
        torch.testing.assert_close(
            logits, apply_head(output_head(model), last_hidden(model, ids, mask)), atol=1e-6, rtol=0
        )


def test_precisions_differ_from_run_to_run_in_one_process(tiny_llama) -> None:
    plain, _ = run(tiny_llama(1), config(mixed_precision="no"))
    mixed, _ = run(tiny_llama(1), config(mixed_precision="bf16"))
    again, _ = run(tiny_llama(1), config(mixed_precision="no"))
    assert_equal(again, plain)
    assert not torch.equal(mixed["lm_head.weight"], plain["lm_head.weight"])
    torch.testing.assert_close(mixed["lm_head.weight"], plain["lm_head.weight"], atol=0.05, rtol=0)
