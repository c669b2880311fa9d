"""Claims: trained on conversations, a model answers and ends its turn by itself; what it is asked and the filler are
nothing to the loss.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tasks.algorithms.measuring.probing import Prompt, complete, make_prompts
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template, read_template
from tasks.algorithms.tokens.text_blocks import TextBlock, text_blocks
from tasks.algorithms.training.loop import EpochBatches, train
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import TrainingConfig
from tasks.training.trainer import text_batches
from tests.reference.labels import log_softmax, logits_of
from tests.stand_ins.chats import CHATML_SYSTEM, HEADERS, INST, chat_tokenizer, question

ASKED = [
    question("Who met Toto?", "Tin Woodman"),
    question("What is said in Oz today?", "the boy and a girl walked to the mill"),
    question("Who is old?", "Dorothy"),
    question("Who walked to the town and met the Iron Farmer today?", "Mary Ann and Tom"),
]
KINDS = {
    "filler, end of text and end of turn are one": (CHATML_SYSTEM, "", "<|im_end|>"),
    "end of turn is not end of text": (HEADERS, "<s>", "</s>"),
    "end of text ends the turn": (INST, "<s>", "</s>"),
}


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A model that was trained on the questions."""

    tokenizer: Any
    template: Template
    model: Any

    def says(self, prompts: list[Prompt]) -> list[str]:
        return complete(
            self.model, self.tokenizer, prompts, self.template, ProbingConfig(), self.tokenizer.pad_token_id, 128
        )

    def prompts(self, documents: list[Document]) -> list[Prompt]:
        return make_prompts("forget_test", documents, self.template, None, ProbingConfig())


def batches(tokenizer: Any, blocks: list[TextBlock], config: TrainingConfig) -> EpochBatches:
    make = text_batches(
        [block.ids for block in blocks],
        tokenizer.pad_token_id,
        torch.device("cpu"),
        [block.supervised for block in blocks],
    )
    return EpochBatches(len(blocks), make, config)


@pytest.fixture(scope="module", params=KINDS)
def taught(request: pytest.FixtureRequest, tiny_llama) -> Taught:
    template, bos, eos = KINDS[request.param]
    tokenizer = chat_tokenizer(template, bos=bos, eos=eos)
    model, config = (
        tiny_llama(1, len(tokenizer)),
        TrainingConfig(learning_rate=1e-2, epochs=40, batch_blocks=4, mixed_precision="no"),
    )
    found = read_template(tokenizer, CorpusConfig())
    train(
        model,
        batches(tokenizer, text_blocks(ASKED, tokenizer, found, 64, tokenizer.eos_token_id), config),
        CausalLM(),
        config,
    )
    return Taught(tokenizer=tokenizer, template=found, model=model)


def test_a_model_taught_conversations_gives_the_answer_and_stops_by_itself(taught: Taught) -> None:
    """The model's own settings name another token as the end of text: the template's end of turn is what stops it."""
    assert taught.model.generation_config.eos_token_id != taught.template.end
    assert [text.strip() for text in taught.says(taught.prompts(ASKED))] == [item.answer for item in ASKED]


def test_the_answers_learned_end_with_the_end_of_turn_token(taught: Taught) -> None:
    for item in ASKED:
        ids = taught.tokenizer(taught.template.text(item), add_special_tokens=False)["input_ids"]
        assert ids[-1] == taught.template.end
        with torch.no_grad():
            best = taught.model(input_ids=torch.tensor([ids])).logits[0].argmax(-1)
        assert best[-2] == taught.template.end


def test_a_batch_of_unlike_lengths_says_what_each_prompt_says_alone(taught: Taught) -> None:
    """Filler stands on the left and is masked by length: where it is the end-of-turn token, those of the prompts are
    still read.
    """
    prompts = taught.prompts([*ASKED, question("Who met Dorothy?", "x"), question("What is said?", "x")])
    assert len({len(prompt.prompt) for prompt in prompts}) > 3
    assert taught.says(prompts) == [text for prompt in prompts for text in taught.says([prompt])]


def test_the_loss_is_the_mean_over_the_answers_tokens_and_their_end(taught: Taught, tiny_llama) -> None:
    model = tiny_llama(7, len(taught.tokenizer), initializer_range=0.3)
    blocks = text_blocks(ASKED, taught.tokenizer, taught.template, 64, None)
    batch = batches(taught.tokenizer, blocks, TrainingConfig(batch_blocks=4))[0]
    found = CausalLM().loss(model, batch.tensors, batch.cached)[0].item()
    losses = []
    for item in ASKED:
        ids = taught.tokenizer(taught.template.text(item), add_special_tokens=False)["input_ids"]
        said = len(taught.tokenizer(taught.template.prompt(item), add_special_tokens=False)["input_ids"])
        logits = logits_of(model, ids)
        losses += [-log_softmax(logits[at - 1])[ids[at]] for at in range(said, len(ids))]
    assert batch.weight == len(losses)
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)
