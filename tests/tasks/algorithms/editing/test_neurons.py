"""Claims: attributions are those of the restatement and sum to what the layer's neurons do together, within the stated
share, in every architecture; the rule needs far fewer points than the midpoint rule; ablation is that of the
restatement; the choice is the strong and consistent ones and no more than asked for; prompts do not see each other.
"""

from dataclasses import replace

import pytest
import torch

from tasks.algorithms.editing.neurons import ablate, choose, correlation, find_neurons
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.models.architectures import ARCHITECTURES
from tasks.settings.neurons import NeuronConfig
from tests.reference import neurons as reference
from tests.stand_ins.architectures import OPT_350M, tiny
from tests.stand_ins.fact_model import fact_model, fact_prompt, facts

EDITABLE = [kind for kind, each in ARCHITECTURES.items() if each.editable]
PROMPTS = [
    EditPrompt(ids=(3, 5, 6, 7, 8, 20, 21), subject=(1, 3), target_start=5),
    EditPrompt(ids=(3, 9, 10, 11, 5, 6, 7, 20, 21), subject=(4, 6), target_start=7),
    EditPrompt(ids=(5, 6, 14, 15, 16, 20, 21), subject=(0, 2), target_start=5),
]
"""One fact in three wordings, its object of two tokens."""
EXACT = NeuronConfig(points=64, tolerance=1e-6)


@pytest.fixture(scope="module")
def exact():
    """A model in which neurons matter: the object is what its last layers say, in part."""
    return tiny("gpt2", initializer_range=0.3).double()


def places(prompt: EditPrompt, tokens: str) -> range:
    start, stop = prompt.subject
    if tokens == "last_token":
        return range(prompt.target_start - 1, prompt.target_start)
    return range(start if tokens == "subject" else stop - 1, stop)


@pytest.mark.parametrize("tokens", ["subject", "last_subject", "last_token"])
@pytest.mark.parametrize("layer", [0, 1])
def test_attributions_and_probabilities_are_those_of_the_restatement(exact, layer: int, tokens: str) -> None:
    found = find_neurons(exact, PROMPTS, layer, replace(EXACT, tokens=tokens))
    whole, none = torch.ones(128, dtype=torch.float64), torch.zeros(128, dtype=torch.float64)
    for row, prompt in enumerate(PROMPTS[:2]):
        where = places(prompt, tokens)
        wanted = reference.attribution(exact, prompt, layer, 128, where, 80)
        torch.testing.assert_close(found.attribution[row], wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max().item())
        for one, factor in ((found.probability, whole), (found.without, none)):
            assert one[row].item() == pytest.approx(
                reference.probability(exact, prompt, layer, factor, where).item(), rel=1e-9
            )


def test_activation_times_gradient_is_the_derivative_at_the_whole(exact) -> None:
    found = find_neurons(exact, PROMPTS, 1, NeuronConfig(attribution="activation_gradient"))
    for row, prompt in enumerate(PROMPTS):
        factor = torch.ones(128, dtype=torch.float64, requires_grad=True)
        whole = reference.probability(exact, prompt, 1, factor, places(prompt, "subject"))
        torch.testing.assert_close(found.attribution[row], torch.autograd.grad(whole, factor)[0])
    assert found.points == 1


@pytest.mark.parametrize("kind", [*EDITABLE, "opt-350m"])
def test_shares_sum_to_what_the_neurons_do_together_in_every_architecture(kind: str) -> None:
    model = tiny("opt", **OPT_350M) if kind == "opt-350m" else tiny(kind)
    found = find_neurons(model, PROMPTS, 1, NeuronConfig())
    together = found.probability - found.without
    off = (found.attribution.sum(dim=1) - together).abs()
    assert (off <= 0.01 * together.abs().clamp(min=1e-3)).all()
    assert found.gap <= 0.01


def test_points_are_doubled_until_the_shares_sum_up_and_fewer_than_the_midpoint_rule_needs(exact) -> None:
    rough = find_neurons(exact, PROMPTS, 0, NeuronConfig(points=1, most_points=1, tolerance=1e-4))
    found = find_neurons(exact, PROMPTS, 0, NeuronConfig(points=1, tolerance=1e-4))
    assert rough.points == 1
    assert rough.gap > 1e-4 >= found.gap
    together = found.probability - found.without
    midpoint = [
        reference.attribution(exact, prompt, 0, 128, places(prompt, "subject"), found.points).sum()
        for prompt in PROMPTS
    ]
    off = max(abs((one - both) / both).item() for one, both in zip(midpoint, together, strict=True))
    assert off > 5 * found.gap


def test_facts_that_a_model_knows_are_summed_up_within_a_hundredth() -> None:
    model = fact_model()
    for fact in facts()[::8]:
        prompts = [fact_prompt(fact, prompt) for prompt in (fact.prompt(), *fact.paraphrases())]
        for layer in (0, 1):
            found = find_neurons(model, prompts, layer, NeuronConfig())
            assert found.gap <= 0.01
            assert 1 <= len(found.chosen) <= 2  # a hundredth of 256 at most
            assert found.points <= 64


def test_prompts_of_a_batch_do_not_see_each_other(exact) -> None:
    config = replace(EXACT, most_points=64)
    together = find_neurons(exact, PROMPTS, 1, config)
    for row, prompt in enumerate(PROMPTS):
        alone = find_neurons(exact, [prompt], 1, config)
        torch.testing.assert_close(alone.attribution[0], together.attribution[row])
        torch.testing.assert_close(alone.activation[0], together.activation[row])


def test_many_points_are_taken_in_parts(exact, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find_neurons(exact, PROMPTS, 1, EXACT)
    monkeypatch.setattr("tasks.algorithms.editing.neurons.MOST_ROWS", 7)
    torch.testing.assert_close(find_neurons(exact, PROMPTS, 1, EXACT).attribution, whole.attribution)
    choices = [(), (1, 2), (3,), (4, 5, 6), (7,)]
    parts = ablate(exact, PROMPTS, 1, choices)
    monkeypatch.undo()
    torch.testing.assert_close(parts, ablate(exact, PROMPTS, 1, choices))


@pytest.mark.parametrize("tokens", ["subject", "last_subject", "last_token"])
def test_ablation_is_that_of_the_restatement(exact, tokens: str) -> None:
    choices = [(), (3,), (0, 64, 127), tuple(range(128))]
    found = ablate(exact, PROMPTS, 1, choices, tokens)
    for choice, row in zip(choices, found, strict=True):
        factor = torch.ones(128, dtype=torch.float64)
        factor[list(choice)] = 0
        for one, prompt in zip(row, PROMPTS, strict=True):
            wanted = reference.probability(exact, prompt, 1, factor, places(prompt, tokens)).item()
            assert one.item() == pytest.approx(wanted, rel=1e-9)


def test_neurons_at_layers_above_which_nothing_reads_the_subject_do_nothing(exact) -> None:
    found = find_neurons(exact, PROMPTS, 2, NeuronConfig())
    assert torch.equal(found.probability, found.without)
    assert found.attribution.abs().max() == 0
    assert found.chosen == ()


def test_correlations_are_those_of_the_restatement() -> None:
    torch.manual_seed(0)
    activation, output = torch.randn(5, 4), torch.randn(5)
    activation[:, 2] = 1.5
    found = correlation(activation, output)
    for neuron in range(4):
        wanted = reference.pearson(activation[:, neuron].tolist(), output.tolist())
        assert found[neuron].item() == pytest.approx(wanted, abs=1e-9)
    assert found[2] == 0
    assert correlation(activation, torch.ones(5)).tolist() == [0] * 4


def test_the_strong_and_consistent_are_chosen_the_strongest_first() -> None:
    attribution = torch.zeros(4, 200)
    attribution[:, 7] = torch.tensor([1.0, 1.0, 1.0, 0.05])  # strong in three of four
    attribution[:, 8] = torch.tensor([0.5, 0.5, 0.5, 0.5])  # in all
    attribution[0, 9] = 9.0  # in one alone, and there the others are weak beside it
    attribution[:, 10] = -3.0
    config = NeuronConfig(most=1.0, share=0.7)
    assert choose(attribution, config) == (8,)  # 7 counts in two: in the first it is weak beside 9
    assert choose(attribution, replace(config, share=0.5)) == (7, 8)
    assert choose(attribution, replace(config, share=0.5, most=0.01)) == (7, 8)
    assert choose(attribution, replace(config, share=0.5, most=0.005)) == (7,)
    assert choose(attribution, replace(config, share=0.0))[0] == 9
    assert choose(torch.zeros(2, 5), config) == ()


def test_where_none_is_in_enough_prompts_those_in_most_are_chosen() -> None:
    attribution = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    assert choose(attribution, NeuronConfig(most=1.0, share=0.9)) == (1,)


def test_the_model_is_left_as_it_was(exact) -> None:
    before = {name: value.clone() for name, value in exact.state_dict().items()}
    find_neurons(exact, PROMPTS, 1, NeuronConfig())
    assert all(torch.equal(value, before[name]) for name, value in exact.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in exact.parameters())


@pytest.mark.parametrize("prompts", [[], [replace(PROMPTS[0], target_start=7)]])
def test_prompts_without_an_object_are_refused(exact, prompts: list) -> None:
    with pytest.raises(ValueError, match="a fact's neurons need prompts with the object after them"):
        find_neurons(exact, prompts, 0, NeuronConfig())


def test_experts_are_refused() -> None:
    with pytest.raises(ValueError, match="model type 'mixtral' cannot be edited"):
        find_neurons(tiny("mixtral"), PROMPTS, 0, NeuronConfig())
