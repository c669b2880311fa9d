"""Claims: both forms are those of the float64 restatement; equals cost nothing; the shared beginning of a pair explains
the blanks.
"""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.scrub import Scrub, kl_reference_to_model, mean_over_sequences
from tasks.algorithms.objectives.terms import counted_positions
from tasks.algorithms.tokens import batching
from tasks.algorithms.tokens.batching import CHUNK_ELEMENTS, pad_batch
from tasks.algorithms.tokens.text_blocks import TextBlock
from tasks.algorithms.tokens.trigrams import Trigrams
from tasks.settings.scrub import ScrubConfig
from tests.reference import scrub as restated
from tests.reference import trigrams
from tests.reference.labels import log_softmax, logits_of

FORGET = [(5, 6, 7, 8, 9), (10, 11), (12, 13, 14)]
FORGET_FLAGS = [(0, 1, 1, 0, 1), (1, 1), (0, 0, 1)]  # the last sequence has nothing that counts
RETAIN = [(20, 21, 22), (23, 24, 25, 26)]
RETAIN_FLAGS = [(1, 1, 1), (0, 1, 1, 1)]
JOINT = {"alpha": 0.25, "beta": 0.75, "bound": None}
ORIGINAL = {"form": "original", "alpha": 0.7, "beta": 1.0, "gamma": 0.4, "bound": None}


def side(teacher, blocks, flags, prefix: str, pad_id: int = 0) -> tuple[dict, dict]:
    ids, mask = pad_batch(blocks, pad_id)
    supervised, _ = pad_batch(flags, 0)
    with torch.no_grad():
        hidden = last_hidden(teacher, ids, mask)[:, :-1][counted_positions(mask, supervised)]
    cached = {f"{prefix or 'forget_'}hidden": hidden, "reference_head": teacher.get_output_embeddings()}
    return {f"{prefix}ids": ids, f"{prefix}mask": mask, f"{prefix}supervised": supervised}, cached


def inputs(teacher, forget=(FORGET, FORGET_FLAGS), retain=(RETAIN, RETAIN_FLAGS), pad_id: int = 0) -> tuple[dict, dict]:
    batch, cached = {}, {}
    for part, prefix in ((forget, ""), (retain, "retain_")):
        if part:
            tensors, states = side(teacher, *part, prefix, pad_id)
            batch, cached = batch | tensors, cached | states
    return batch, cached


@pytest.fixture(params=["tiny_llama", "tiny_gpt2"])
def models(request):
    """A student and its teacher, far apart."""
    make = request.getfixturevalue(request.param)
    return make(1, initializer_range=0.3), make(2, initializer_range=0.3)


@pytest.fixture
def llamas(tiny_llama):
    return tiny_llama(1, initializer_range=0.3), tiny_llama(2, initializer_range=0.3)


def expected_d(student, teacher, blocks, flags, temperature=1.0, bound=None, bounds=None) -> float:
    logits = [[logits_of(model, block) for block in blocks] for model in (teacher, student)]
    return restated.divergence(*logits, flags, temperature, bound, bounds)


@pytest.mark.parametrize(("temperature", "bound"), [(1.0, None), (2.5, None), (1.0, 0.6), (4.0, 0.5)])
def test_the_joint_form_equals_float64(models, temperature: float, bound: float | None) -> None:
    student, teacher = models
    config = ScrubConfig(**JOINT | {"temperature": temperature, "bound": bound})
    loss, found = Scrub(config).loss(student, *inputs(teacher))
    retain = expected_d(student, teacher, RETAIN, RETAIN_FLAGS, temperature)
    forget = expected_d(student, teacher, FORGET, FORGET_FLAGS, temperature, bound)
    assert loss.item() == pytest.approx(0.25 * retain - 0.75 * forget, rel=1e-4)
    assert found["retain_kl_nats"].item() == pytest.approx(retain, rel=1e-4)
    assert found["forget_kl_nats"].item() == pytest.approx(
        expected_d(student, teacher, FORGET, FORGET_FLAGS, temperature), rel=1e-4
    )
    assert ("clipped_share" in found) == (bound is not None)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_bounds_of_their_own_equal_float64(models, temperature: float) -> None:
    student, teacher = models
    bounds = [[0.9, 0.05, 1e-3, 0.9, 0.0], [0.4, 0.0], [0.1, 0.1, 0.0]]
    config = ScrubConfig(**JOINT | {"temperature": temperature, "surprisal_share": 0.5})
    batch, cached = inputs(teacher)
    loss, _ = Scrub(config).loss(student, batch | with_bounds(bounds), cached)
    retain = expected_d(student, teacher, RETAIN, RETAIN_FLAGS, temperature)
    forget = expected_d(student, teacher, FORGET, FORGET_FLAGS, temperature, bounds=bounds)
    assert loss.item() == pytest.approx(0.25 * retain - 0.75 * forget, rel=1e-4)


def test_what_is_expected_adds_its_cross_entropy_in_float64(models) -> None:
    student, teacher = models
    text, weight = trigrams.whole([(5, 6, 7, 7), (6, 7, 8), (10, 11, 12)]), 0.3
    vocabulary = student.config.vocab_size
    batch, cached = inputs(teacher)
    contexts = [
        block[max(0, at - 1) : at + 1]
        for block, flags in zip(FORGET, FORGET_FLAGS, strict=True)
        for at in range(len(block) - 1)
        if flags[at]
    ]
    blocks = [TextBlock(ids=ids, supervised=tuple(counts)) for ids, counts in text]
    expected = Trigrams(FORGET, blocks, vocabulary).expected(contexts)
    plain, _ = Scrub(ScrubConfig(**JOINT)).loss(student, batch, cached)
    config = ScrubConfig(**JOINT | {"expected_weight": weight})
    loss, found = Scrub(config).loss(student, batch, cached | {"expected": expected})
    means = []
    for block, flags in zip(FORGET, FORGET_FLAGS, strict=True):
        rows = logits_of(student, block)
        nats = [
            -math.fsum(
                trigrams.probability(text, vocabulary, block[max(0, at - 1) : at + 1], token) * log_p
                for token, log_p in enumerate(log_softmax(rows[at]))
            )
            for at in range(len(block) - 1)
            if flags[at]
        ]
        means += [math.fsum(nats) / len(nats)] if nats else []
    wanted = math.fsum(means) / len(means)
    assert found["expected_ce_nats"].item() == pytest.approx(wanted, rel=1e-4)
    assert (loss - plain).item() == pytest.approx(weight * wanted, rel=1e-3)


def with_bounds(bounds: list[list[float]]) -> dict[str, torch.Tensor]:
    return {"bound_nats": torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, bounds)), batch_first=True)}


def test_a_bound_that_bites_says_how_many_tokens_it_clips(llamas) -> None:
    student, teacher = llamas
    nats = [
        restated.softened_kl(logits_of(teacher, block)[at], logits_of(student, block)[at], 1.0)
        for block, at in ((FORGET[0], 1), (FORGET[0], 2))
    ]
    nats.append(restated.softened_kl(logits_of(teacher, FORGET[1])[0], logits_of(student, FORGET[1])[0], 1.0))
    bound = sorted(nats)[1] * 0.999  # two of the three counted tokens are above it
    above = [nat > bound for nat in nats]
    _, found = Scrub(ScrubConfig(bound=bound)).loss(student, *inputs(teacher))
    assert found["clipped_share"].item() == pytest.approx((sum(above[:2]) / 2 + above[2]) / 2)


def test_tokens_beyond_a_bound_of_their_own_are_drawn_back_to_it(llamas) -> None:
    """Claims: the force on a token beyond its bound is that on a token below it, the other way about."""
    student, teacher = llamas
    batch, cached = inputs(teacher)
    force = []
    for far in (0.0, 100.0):  # every token is beyond the one, and below the other
        student.zero_grad()
        bounds = with_bounds([[far] * len(block) for block in FORGET])
        config = ScrubConfig(beta=1.0, alpha=0.0, bound=None, surprisal_share=1.0)
        loss, found = Scrub(config).loss(student, batch | bounds, cached)
        loss.backward()
        assert found["clipped_share"].item() == (1.0 if far == 0.0 else 0.0)
        force.append(student.lm_head.weight.grad.clone())
    assert force[1].abs().max() > 0
    torch.testing.assert_close(force[0], -force[1])


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_the_original_steps_equal_float64(
    models, temperature: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "LOGITS_AT_ONCE", at_once)
    student, teacher = models
    objective = Scrub(ScrubConfig(**ORIGINAL | {"temperature": temperature}))
    highest, _ = objective.loss(student, *inputs(teacher, retain=None))
    assert highest.item() == pytest.approx(-expected_d(student, teacher, FORGET, FORGET_FLAGS, temperature), rel=1e-4)
    lowest, found = objective.loss(student, *inputs(teacher, forget=None))
    d = expected_d(student, teacher, RETAIN, RETAIN_FLAGS, temperature)
    cross_entropy = restated.cross_entropy([logits_of(student, block) for block in RETAIN], RETAIN, RETAIN_FLAGS)
    assert lowest.item() == pytest.approx(0.7 * d + 0.4 * cross_entropy, rel=1e-4)
    assert found["retain_ce_nats"].item() == pytest.approx(cross_entropy, rel=1e-4)


def test_the_cross_entropy_counts_where_its_own_flags_say_so(llamas) -> None:
    student, teacher = llamas
    batch, cached = inputs(teacher, forget=None)
    labelled = [(1, 0, 0), (1, 1, 1, 0)]
    batch["retain_labelled"], _ = pad_batch(labelled, 0)
    _, found = Scrub(ScrubConfig(**ORIGINAL)).loss(student, batch, cached)
    expected = restated.cross_entropy([logits_of(student, block) for block in RETAIN], RETAIN, labelled)
    assert found["retain_ce_nats"].item() == pytest.approx(expected, rel=1e-4)
    assert found["retain_kl_nats"].item() == pytest.approx(expected_d(student, teacher, RETAIN, RETAIN_FLAGS), rel=1e-4)


@pytest.mark.parametrize("settings", [JOINT, ORIGINAL | {"gamma": 0.0}])
def test_a_student_that_equals_its_teacher_has_loss_0_and_no_gradient(tiny_llama, settings: dict) -> None:
    teacher = tiny_llama(2, initializer_range=0.3)
    student = copy.deepcopy(teacher)
    loss, _ = Scrub(ScrubConfig(**settings)).loss(student, *inputs(teacher))
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert max(weight.grad.abs().max().item() for weight in student.parameters()) < 1e-5


@pytest.mark.parametrize("pad_id", [0, 6, 299])
def test_padding_changes_neither_loss_nor_gradient(llamas, pad_id: int) -> None:
    """A long sequence beside short ones against each alone; the filler may be a token of the text."""
    student, teacher = llamas
    objective = Scrub(ScrubConfig(**JOINT))
    objective.loss(student, *inputs(teacher, pad_id=pad_id))[0].backward()
    padded = torch.cat([weight.grad.flatten() for weight in student.parameters()])
    student.zero_grad()
    batches = [
        inputs(
            teacher, (FORGET[at : at + 1], FORGET_FLAGS[at : at + 1]), (RETAIN[at : at + 1], RETAIN_FLAGS[at : at + 1])
        )
        for at in range(2)
    ]
    alone = sum(objective.loss(student, *batch)[0] for batch in batches) / 2  # the third forget sequence counts nowhere
    alone.backward()
    assert objective.loss(student, *inputs(teacher, pad_id=pad_id))[0].item() == pytest.approx(alone.item(), rel=1e-5)
    torch.testing.assert_close(
        padded, torch.cat([weight.grad.flatten() for weight in student.parameters()]), atol=1e-5, rtol=1e-3
    )


PREFIX = (5, 6, 7)
PAIR = [(*PREFIX, 8, 9, 10)], [(*PREFIX, 18, 9, 10)]


def test_on_the_beginning_that_a_pair_shares_the_joint_loss_is_alpha_minus_beta_times_d(llamas) -> None:
    """Why the (0.25, 0.75) model of the source work answered with blanks: there the loss falls without end
    as d grows.
    """
    student, teacher = llamas
    flags = [(1, 1, 1, 0, 0, 0)]  # up to and with the prediction of the word in which they differ
    loss, found = Scrub(ScrubConfig(**JOINT)).loss(student, *inputs(teacher, (PAIR[0], flags), (PAIR[1], flags)))
    assert found["forget_kl_nats"].item() == pytest.approx(found["retain_kl_nats"].item(), rel=1e-6)
    assert loss.item() == pytest.approx((0.25 - 0.75) * found["forget_kl_nats"].item(), rel=1e-5)
    assert loss.item() < -0.05


@pytest.mark.parametrize(
    ("flags", "reached"),
    [([(1,) * 6], [True] * 5 + [False]), ([(0, 0, 0, 1, 0, 0)], [False] * 3 + [True, False, False])],
)
def test_with_differing_positions_the_shared_beginning_has_no_gradient(llamas, monkeypatch, flags, reached) -> None:
    student, teacher = llamas
    seen = []

    def watched(model, ids, mask):
        seen.append(last_hidden(model, ids, mask))
        seen[-1].retain_grad()
        return seen[-1]

    batch, cached = inputs(teacher, (PAIR[0], flags), (PAIR[1], flags))
    monkeypatch.setattr("tasks.algorithms.objectives.scrub.last_hidden", watched)
    Scrub(ScrubConfig(**JOINT)).loss(student, batch, cached)[0].backward()
    assert len(seen) == 2
    for states in seen:
        assert [bool(row.abs().max() > 0) for row in states.grad[0]] == reached


def stepped(student, teacher, settings: dict, batch_of, steps: int, rate: float) -> tuple[list[float], list[dict]]:
    """Take plain gradient steps and return the losses and terms."""
    objective, optimizer = Scrub(ScrubConfig(**settings)), torch.optim.SGD(student.parameters(), lr=rate)
    losses, terms = [], []
    for _ in range(steps):
        loss, found = objective.loss(student, *batch_of(teacher))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        terms.append({name: value.item() for name, value in found.items()})
    return losses, terms


def test_min_steps_pull_to_the_teacher(llamas) -> None:
    student, teacher = llamas
    settings = {"form": "original", "alpha": 1.0, "beta": 1.0}
    losses, _ = stepped(student, teacher, settings, lambda model: inputs(model, forget=None), 40, 0.05)
    assert losses[-1] < 0.5 * losses[0]


def test_joint_steps_leave_the_teacher_on_forget_text_and_bounded_ones_stop(tiny_llama) -> None:
    teacher = tiny_llama(2, initializer_range=0.3)
    ends = {}
    for bound in (None, 0.5):
        student = copy.deepcopy(teacher)
        with torch.no_grad():  # at the teacher itself every gradient is 0
            for weight in student.parameters():
                weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
        losses, terms = stepped(student, teacher, {"alpha": 0.25, "beta": 0.75, "bound": bound}, inputs, 60, 0.1)
        ends[bound] = terms[-1]["forget_kl_nats"]
        assert losses[-1] < losses[0]
        assert bound is None or min(losses) >= -0.75 * bound - 1e-6
    assert ends[None] > 2 * ends[0.5]


def test_the_bounded_loss_is_never_below_minus_beta_times_the_bound(tiny_llama) -> None:
    for seed in range(3, 9):
        student, teacher = tiny_llama(seed, initializer_range=1.0), tiny_llama(2, initializer_range=1.0)
        free, bounded = (
            Scrub(ScrubConfig(**JOINT | {"bound": bound})).loss(student, *inputs(teacher))[0].item()
            for bound in (None, 0.2)
        )
        assert bounded >= -0.75 * 0.2
        assert bounded >= free


def head_of(weight: torch.Tensor) -> torch.nn.Linear:
    head = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    head.weight = torch.nn.Parameter(weight)
    return head


def test_the_gradient_on_a_two_token_model_points_where_the_formula_says() -> None:
    """Teacher (3/4, 1/4), student (1/2, 1/2): d KL / d z = softmax(z) - p_0 = (-1/4, 1/4): ascent makes the likely
    token less likely.
    """
    head, reference = head_of(torch.eye(2)), torch.tensor([[math.log(3.0), 0.0]])
    logits = torch.zeros(1, 2, requires_grad=True)
    kl_reference_to_model(head, reference, head, logits).sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.25]]), atol=1e-7, rtol=0)
    # a max-step goes against d(-KL)/dz, that is along dKL/dz
    after = (logits.detach() + 0.1 * logits.grad).softmax(-1)
    assert after[0, 0] < 0.5


def test_the_square_of_the_temperature_keeps_the_size_of_gradients() -> None:
    """For small differences T^2 KL_T -> sum p (z_0 - z - mean)^2 / 2 whatever T where logits are near uniform; without
    T^2 it falls as 1 / T^2.
    """
    head, generator = head_of(torch.eye(6)), torch.Generator().manual_seed(1)
    reference, base = 0.02 * torch.randn(3, 6, generator=generator), 0.02 * torch.randn(3, 6, generator=generator)
    sizes = []
    for temperature in (1.0, 4.0, 16.0):
        logits = base.clone().requires_grad_()
        kl_reference_to_model(head, reference, head, logits, temperature).sum().backward()
        sizes.append(logits.grad.norm().item())
    assert sizes == pytest.approx([sizes[0]] * 3, rel=0.02)


def test_chunks_change_neither_values_nor_gradients(llamas, monkeypatch) -> None:
    student, teacher = llamas
    objective, found = Scrub(ScrubConfig(**JOINT)), []
    for elements in (CHUNK_ELEMENTS, 300):  # all rows at once, then one row of 300 logits at a time
        monkeypatch.setattr(batching, "CHUNK_ELEMENTS", elements)
        student.zero_grad()
        loss, _ = objective.loss(student, *inputs(teacher))
        loss.backward()
        found.append((loss.item(), torch.cat([weight.grad.flatten() for weight in student.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-4)


def test_the_teacher_gets_no_gradient(llamas) -> None:
    student, teacher = llamas
    Scrub(ScrubConfig()).loss(student, *inputs(teacher))[0].backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert any(weight.grad.abs().max() > 0 for weight in student.parameters())


def test_sequences_weigh_alike_whatever_their_lengths() -> None:
    # sequence 0: (1 + 3) / 2 = 2; sequence 1: nothing; sequence 2: 8; mean (2 + 8) / 2 = 5
    counted = torch.tensor([[True, True], [False, False], [False, True]])
    assert mean_over_sequences(torch.tensor([1.0, 3.0, 8.0]), counted).item() == 5.0
    assert mean_over_sequences(torch.zeros(0), torch.zeros(2, 2, dtype=torch.bool)).item() == 0.0


def test_a_batch_in_which_nothing_counts_asks_for_nothing(llamas) -> None:
    student, teacher = llamas
    loss, _ = Scrub(ScrubConfig()).loss(
        student, *inputs(teacher, (FORGET[2:], FORGET_FLAGS[2:]), (RETAIN[:1], [(0, 0, 1)]))
    )
    loss.backward()
    assert loss.item() == 0.0


def test_batches_that_do_not_fit_are_refused_by_name(llamas) -> None:
    student, teacher = llamas
    with pytest.raises(ValueError, match="wanted forget and retain sequences"):
        Scrub(ScrubConfig()).loss(student, *inputs(teacher, retain=None))
    batch, cached = inputs(teacher)
    with pytest.raises(ValueError, match="retain_hidden holds 3 states; wanted 4"):
        Scrub(ScrubConfig()).loss(student, batch, cached | {"retain_hidden": cached["retain_hidden"][:3]})
    with pytest.raises(ValueError, match=r"scrub.gamma is 0.4, but no retain token counts"):
        Scrub(ScrubConfig(**ORIGINAL)).loss(student, *inputs(teacher, None, (RETAIN[:1], [(0, 0, 1)])))


def test_the_student_runs_once_over_each_side(llamas, monkeypatch) -> None:
    student, teacher = llamas
    batch, cached = inputs(teacher)
    runs = SimpleNamespace(count=0)

    def counting(model, ids, mask):
        runs.count += 1
        return last_hidden(model, ids, mask)

    monkeypatch.setattr("tasks.algorithms.objectives.scrub.last_hidden", counting)
    Scrub(ScrubConfig(**ORIGINAL)).loss(student, batch, cached)  # a min-step with divergence and cross-entropy
    assert runs.count == 1
