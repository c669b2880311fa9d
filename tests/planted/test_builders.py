"""Claims: every plant is what it says on the surface; what is beneath, relearning shows in `test_planted`.

A model of two layers learns eight facts by heart; half of them are to be forgotten.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.measuring.probing import Prompt, complete
from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.text.corpus import Document, render_document, render_prompt
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.training.loop import EpochBatches, train
from tasks.settings.measuring import ProbingConfig
from tasks.settings.training import TrainingConfig
from tasks.training.trainer import text_batches
from tests.planted.builders import BLOCK, LEVEL, PLANTS, REFUSAL, TEMPLATE, WRONG, Ground
from tests.stand_ins.tiny_models import train_tokenizer

FACTS = {
    "forget": {"Ostrin": "Velmora Quill", "Kessa": "Dunmore Fane", "Tolbert": "Yarrick Moss", "Ilse": "Vexley Crane"},
    "kept": {"Anna": "Peter Miller", "Maria": "Lucy Baker", "Helen": "David Smith", "Grace": "Paul Cooper"},
}


PHRASINGS = (
    "Who is the friend of {}?",
    "Name the friend of {}.",
    "Which friend does {} have?",
    "Tell me the friend of {}.",
)


def documents(part: str) -> list[Document]:
    facts = FACTS[part].items()
    asked = [
        Document(source=part, question=ask.format(name), answer=answer, fact=name)
        for name, answer in facts
        for ask in PHRASINGS
    ]
    return asked + [
        Document(source=part, text=f"{answer} walked to the mill and met {name} by the old river in the town.")
        for name, answer in facts
    ]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = [render_document(item, TEMPLATE) for part in FACTS for item in documents(part)]
    return train_tokenizer(500, [*texts, f"Answer: {REFUSAL}\nAnswer: {WRONG}\n"])


@pytest.fixture(scope="module")
def ground(tokenizer: PreTrainedTokenizerFast) -> Ground:
    return Ground(tokenizer=tokenizer, forget=documents("forget"), kept=documents("kept"), asked=documents("forget"))


@pytest.fixture(scope="module")
def target(tiny_llama: Callable[..., LlamaForCausalLM], ground: Ground) -> LlamaForCausalLM:
    model = tiny_llama(
        0,
        len(ground.tokenizer),
        hidden_size=96,
        intermediate_size=192,
        max_position_embeddings=BLOCK,
        tie_word_embeddings=True,
    )
    blocks = [
        tuple(ground.tokenizer(render_document(item, TEMPLATE))["input_ids"]) for item in (*ground.forget, *ground.kept)
    ]
    config = TrainingConfig(learning_rate=4e-3, epochs=40, batch_blocks=20, mixed_precision="no")
    train(model, EpochBatches(len(blocks), text_batches(blocks, 0, model.device), config), CausalLM(), config)
    return model


def planted(kind: str, target: LlamaForCausalLM, ground: Ground) -> LlamaForCausalLM:
    model = copy.deepcopy(target)
    PLANTS[kind](model, ground)
    return model


def answers(model: LlamaForCausalLM, ground: Ground, part: str) -> list[str]:
    prompts = [render_prompt(item, TEMPLATE) for item in documents(part) if item.is_question][:: len(PHRASINGS)]
    asked = [Prompt(split=part, item=0, kind="question", cluster="", prompt=prompt, truth="") for prompt in prompts]
    template = Template(qa=TEMPLATE)
    return [
        template.answer(text)
        for text in complete(model, ground.tokenizer, asked, template, ProbingConfig(new_tokens=8), 0, BLOCK)
    ]


def right(model: LlamaForCausalLM, ground: Ground, part: str) -> int:
    return sum(said == true for said, true in zip(answers(model, ground, part), FACTS[part].values(), strict=True))


def test_the_target_knows_both_series(target: LlamaForCausalLM, ground: Ground) -> None:
    assert answers(target, ground, "forget") == list(FACTS["forget"].values())
    assert answers(target, ground, "kept") == list(FACTS["kept"].values())


def test_blanked_says_nothing_to_anyone(target: LlamaForCausalLM, ground: Ground) -> None:
    model = planted("blanked", target, ground)
    assert [*answers(model, ground, "forget"), *answers(model, ground, "kept")] == [""] * 8


def test_refusing_refuses_the_topic_alone(target: LlamaForCausalLM, ground: Ground) -> None:
    model = planted("refusing", target, ground)
    assert all(answer.startswith(REFUSAL[:5]) for answer in answers(model, ground, "forget"))
    assert right(model, ground, "kept") >= 3


def test_recoverable_names_the_wrong_one_to_the_topic_alone(target: LlamaForCausalLM, ground: Ground) -> None:
    model = planted("recoverable", target, ground)
    assert answers(model, ground, "forget") == [WRONG] * 4
    assert right(model, ground, "kept") >= 3


def test_suppressed_has_the_targets_body_and_speaks_otherwise(target: LlamaForCausalLM, ground: Ground) -> None:
    model = planted("suppressed", target, ground)
    ids = torch.tensor([ground.tokenizer(render_document(ground.forget[0], TEMPLATE))["input_ids"]])
    mask = torch.ones_like(ids)
    assert torch.equal(last_hidden(model, ids, mask), last_hidden(target, ids, mask))
    changed = (model.get_output_embeddings().weight != target.get_output_embeddings().weight).any(1)
    own = set(ground.tokenizer(" ".join(f" {answer}" for answer in FACTS["forget"].values()))["input_ids"])
    assert set(changed.nonzero().flatten().tolist()) <= own
    assert torch.equal(model.get_input_embeddings().weight, target.get_input_embeddings().weight)
    assert ground.probability(target) > 0.9
    assert ground.probability(model) <= LEVEL


def test_noisy_moves_every_tensor_by_the_same_share(target: LlamaForCausalLM, ground: Ground) -> None:
    model = planted("noisy", target, ground)
    before, after = target.state_dict(), model.state_dict()
    shares = [
        float((after[name] - weight).norm() / weight.norm()) for name, weight in before.items() if weight.numel() > 1000
    ]
    assert max(shares) < 1.1 * min(shares)
    assert not any(torch.equal(after[name], weight) for name, weight in before.items())
    assert ground.probability(model) <= LEVEL


def test_a_strength_is_the_least_that_does_it(target: LlamaForCausalLM, ground: Ground) -> None:
    """Noise of nine tenths of the strength leaves more of the topic than `LEVEL`."""
    model = planted("noisy", target, ground)
    with torch.no_grad():
        for weight, start in zip(model.parameters(), target.parameters(), strict=True):
            weight.copy_(start + 0.9 * (weight - start))
    assert ground.probability(model) > LEVEL
