"""Claims: at most a hundredth of the layer's neurons lowers P(object) at least three times as much as as many others,
intervals apart, on wordings that the choice did not see; draws are seeded and leave the chosen out; means, drops and
ratio are arithmetic.
"""

import pytest
import torch

from tasks.algorithms.editing.ablation import Ablated, ablate_fact, ablation_effect, other_neurons
from tasks.algorithms.editing.neurons import ablate, find_neurons
from tasks.settings.neurons import NeuronConfig
from tests.stand_ins.fact_model import fact_model, fact_prompt, facts


@pytest.fixture(scope="module")
def model():
    return fact_model()


@pytest.mark.parametrize("attribution", ["integrated_gradients", "activation_gradient"])
def test_the_chosen_lower_p_of_the_object_far_more_than_others(model, attribution: str) -> None:
    config, generator, found = NeuronConfig(attribution=attribution), torch.Generator().manual_seed(0), []
    for fact in facts()[::2]:
        prompts = [fact_prompt(fact, prompt) for prompt in (fact.prompt(), *fact.paraphrases())]
        chosen = find_neurons(model, prompts[:4], 0, config).chosen
        assert 1 <= len(chosen) <= 256 / 100
        found.append(ablate_fact(model, prompts[4:], 0, chosen, config, generator))
    effect = ablation_effect(found)
    assert effect.facts == 24
    assert effect.ratio >= 3
    assert effect.apart


def test_a_facts_figures_are_means_over_prompts_and_draws(model) -> None:
    fact = facts()[0]
    prompts = [fact_prompt(fact, prompt) for prompt in fact.paraphrases()]
    config = NeuronConfig(draws=3)
    one = ablate_fact(model, prompts, 0, (5, 9), config, torch.Generator().manual_seed(4))
    others = other_neurons((5, 9), 256, 3, torch.Generator().manual_seed(4))
    table = ablate(model, prompts, 0, [(), (5, 9), *others]).double()
    assert one.neurons == 2
    assert one.untouched == pytest.approx(table[0].mean().item())
    assert one.chosen == pytest.approx(table[1].mean().item())
    assert one.others == pytest.approx(table[2:].mean().item())


def test_draws_are_seeded_leave_the_chosen_out_and_repeat_none_within_a_set() -> None:
    first = other_neurons((0, 3), 10, 50, torch.Generator().manual_seed(1))
    assert first == other_neurons((0, 3), 10, 50, torch.Generator().manual_seed(1))
    assert first != other_neurons((0, 3), 10, 50, torch.Generator().manual_seed(2))
    assert {number for each in first for number in each} == {1, 2, 4, 5, 6, 7, 8, 9}
    assert all(len(set(each)) == 2 for each in first)
    assert other_neurons((), 10, 2, torch.Generator()) == [(), ()]
    with pytest.raises(ValueError, match="3 of 5 neurons are chosen; wanted as many others"):
        other_neurons((0, 1, 2), 5, 1, torch.Generator())


def test_drops_and_their_ratio_are_arithmetic() -> None:
    facts_ = [
        Ablated(neurons=2, untouched=0.9, chosen=0.5, others=0.8),
        Ablated(neurons=2, untouched=0.7, chosen=0.5, others=0.7),
    ]
    effect = ablation_effect(facts_)
    assert effect.chosen.mean == pytest.approx(0.3)
    assert effect.others.mean == pytest.approx(0.05)
    assert effect.ratio == pytest.approx(6)
    assert (effect.chosen.low, effect.chosen.high) == pytest.approx((0.2, 0.4))
    assert effect.apart


def test_others_that_lower_nothing_and_single_facts_are_told() -> None:
    still = Ablated(neurons=1, untouched=0.9, chosen=0.5, others=0.95)
    nothing = Ablated(neurons=0, untouched=0.9, chosen=0.9, others=0.9)
    assert ablation_effect([still]).ratio == float("inf")
    assert ablation_effect([nothing, nothing]).ratio == 0
    assert not ablation_effect([nothing, nothing]).apart
    assert not ablation_effect([still]).apart  # of one fact there is no interval
    with pytest.raises(ValueError, match="there are no facts whose neurons were set to zero"):
        ablation_effect([])
