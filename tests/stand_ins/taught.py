"""A small model that has learned a few sentences by heart."""

from collections.abc import Callable

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.training.loop import EpochBatches, train
from tasks.settings.training import TrainingConfig
from tasks.training.trainer import text_batches


def taught_model(
    texts: list[str],
    model: Callable[..., LlamaForCausalLM],
    tokenizer: Callable[[int, list[str]], PreTrainedTokenizerFast],
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return a model trained on the texts until it goes on with each, and its tokenizer."""
    words = tokenizer(400, texts)
    learner = model(0, len(words), hidden_size=96, intermediate_size=192)
    blocks = [(*words(text)["input_ids"], words.eos_token_id) for text in texts]
    config = TrainingConfig(learning_rate=4e-3, epochs=80, batch_blocks=6, mixed_precision="no")
    train(learner, EpochBatches(len(blocks), text_batches(blocks, 0, learner.device), config), CausalLM(), config)
    return learner, words
