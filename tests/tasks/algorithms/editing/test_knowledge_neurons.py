"""Claims: each of the found neurons writes what it wrote, less the old object's word, plus the new one's, and nothing
else changes; neurons of all layers are weighed together; on a small model edits take.
"""

import pytest
import torch

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.knowledge_neurons import knowledge_neuron_updates
from tasks.algorithms.editing.neurons import choose, find_neurons
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.settings.edit_baselines import KnowledgeNeuronConfig
from tasks.settings.neurons import NeuronConfig
from tests.reference.edit_baselines import written_rows
from tests.stand_ins.architectures import OPT_350M, tiny
from tests.stand_ins.fact_model import fact_model, fact_prompt, facts, said

PROMPTS = [
    EditPrompt(ids=(3, 5, 6, 7, 8, 20, 21), subject=(1, 3), target_start=5),
    EditPrompt(ids=(3, 9, 10, 11, 5, 6, 7, 20, 21), subject=(4, 6), target_start=7),
]
CONFIG = KnowledgeNeuronConfig(
    neurons=NeuronConfig(tokens="last_token", most=0.03), object_weight=0.5, target_weight=2.0
)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_found_neurons_write_another_word_and_nothing_else_changes(kind: str) -> None:
    model, layers = tiny(kind), [0, 1, 2]
    inner = len(written_rows(model, 0))
    attributions = [find_neurons(model, PROMPTS, layer, CONFIG.neurons).attribution for layer in layers]
    chosen = choose(torch.cat(attributions, dim=1), CONFIG.neurons)
    head = model.get_output_embeddings().weight.detach().double()
    moved = 2.0 * head[30] - 0.5 * (head[20] + head[21]) / 2
    wanted = [written_rows(model, layer).clone().double() for layer in layers]
    for number in chosen:
        wanted[number // inner][number % inner] += moved
    updates = knowledge_neuron_updates(model, PROMPTS, (30,), layers, CONFIG)
    assert 1 <= sum(update.left.shape[1] for update in updates) == len(chosen) <= 0.03 * 3 * inner
    with edited(model, updates):
        for layer in layers:
            torch.testing.assert_close(written_rows(model, layer).double(), wanted[layer], atol=1e-6, rtol=0)


def test_edits_of_a_small_model_take_and_fewer_others_change_with_a_smaller_weight() -> None:
    model, known = fact_model(), facts()
    kept = {}
    for weight in (8.0, 1.0):
        taken, others = [], []
        for fact in known[::8]:
            prompts = [fact_prompt(fact, prompt) for prompt in (fact.prompt(), *fact.paraphrases()[:3])]
            config = KnowledgeNeuronConfig(target_weight=weight)
            with edited(model, knowledge_neuron_updates(model, prompts, (fact.other(),), [0, 1, 2], config)):
                p = said(model, [fact.prompt()])[0]
                taken.append(bool(p[fact.other()] > p[fact.answer]))
                rest = [other for other in known[1::4] if other.subject != fact.subject]
                answers = said(model, [other.prompt() for other in rest]).argmax(dim=-1).tolist()
                others += [answer == other.answer for answer, other in zip(answers, rest, strict=True)]
        assert sum(taken) >= 5
        kept[weight] = sum(others) / len(others)
    assert kept[1.0] > kept[8.0] + 0.1


def test_where_no_neuron_matters_nothing_is_changed() -> None:
    config = KnowledgeNeuronConfig(neurons=NeuronConfig(tokens="last_subject"))
    assert knowledge_neuron_updates(tiny("gpt2"), PROMPTS, (30,), [2], config) == []


def test_a_head_of_another_width_is_refused() -> None:
    model = tiny("opt", **OPT_350M)
    with pytest.raises(ValueError, match="the head of OPTForCausalLM reads 16 numbers and its layers write 32"):
        knowledge_neuron_updates(model, PROMPTS, (30,), [0, 1], CONFIG)
