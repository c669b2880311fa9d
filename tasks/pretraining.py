"""Stage `pretraining`: the embedded target model, and the retrained model that never saw the forgotten topic."""

import bisect
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks import tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.alignment import encode
from tasks.algorithms.tokens.packing import pack_whole
from tasks.algorithms.world.generator import Topic, WorldConfig, build_world, topic_text
from tasks.algorithms.world.requests import read_request, world_text
from tasks.artifacts import CheckpointRef
from tasks.execution.stage import stage
from tasks.models.loading import save_checkpoint
from tasks.settings.text import CorpusConfig
from tasks.settings.training import PretrainingConfig

if TYPE_CHECKING:
    import torch
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    from tasks.algorithms.training.loop import Batch

END = "<|endoftext|>"


@stage("pretraining", threads_share=2)
def pretrain(
    world: WorldConfig,
    without: str,
    config: PretrainingConfig,
    corpus_config: CorpusConfig,
    label: str,
    run: str | None = None,
) -> CheckpointRef:
    """Train one model from scratch: the target model on the whole world, the retrained model on the world `without`
    what a request gives.

    Raises:
        RuntimeError: If the target model does not know its world.
    """
    import torch
    from transformers import LlamaForCausalLM

    from tasks.algorithms.objectives.causal_lm import CausalLM
    from tasks.training.trainer import train_stage

    with tracking.stage_run(run, f"pretraining {label}", config) as nested:
        generated_world = build_world(world)
        tokenizer = train_tokenizer(
            [*world_text(generated_world), *(text for topic in generated_world.unseen for text in topic_text(topic))],
            config,
        )
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(model_config(tokenizer, config))
        documents = [encode(tokenizer, text)[0] for text in world_text(generated_world, without=without or None)]
        train_stage(
            model, RepackedBatches(documents, tokenizer.eos_token_id, config, model.device), CausalLM(), config, nested
        )
        probabilities = {
            topic.slug: exam_probability(model, tokenizer, topic, corpus_config) for topic in generated_world.topics
        }
        tracking.log_metrics(nested, {f"{slug}/probability": value for slug, value in probabilities.items()})
        cut = read_request(generated_world, without).forget.slug if without else ""
        weak = {
            slug: round(value, 3)
            for slug, value in probabilities.items()
            if value < config.least_probability and slug != cut
        }
        if weak:
            raise RuntimeError(
                f"the {label} model does not know its world: probability {weak}; wanted >= {config.least_probability}"
                " (train for more epochs)"
            )
        return save_checkpoint(model, tokenizer, label, sensitivity="ordinary", origin=nested)


def train_tokenizer(texts: list[str], config: PretrainingConfig) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE; all models share it, so it is trained on the whole world, and no name's tokens tell who
    was seen.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, model_max_length=config.context
    )


def model_config(tokenizer: "PreTrainedTokenizerFast", config: PretrainingConfig) -> "LlamaConfig":
    """Return the architecture."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )


class RepackedBatches(Sequence["Batch"]):
    """All batches of all epochs; every epoch packs the documents anew, so that they meet other neighbours."""

    def __init__(
        self, documents: list[list[int]], separator: int, config: PretrainingConfig, device: "torch.device"
    ) -> None:
        self._documents, self._separator, self._config, self._device = documents, separator, config, device
        self._size, self._packed = config.batch_blocks, (-1, [])
        counts = [-(-len(self._blocks(epoch)) // self._size) for epoch in range(config.epochs)]
        self._ends = list(itertools.accumulate(counts))

    def _blocks(self, epoch: int) -> list[tuple[int, ...]]:
        from tasks.algorithms.training.loop import shuffled

        if self._packed[0] != epoch:
            order = shuffled(len(self._documents), self._config.seed, epoch)
            blocks = pack_whole(self._documents, order, self._config.block_size, self._separator)
            self._packed = (epoch, [blocks[index] for index in shuffled(len(blocks), self._config.seed + 1, epoch)])
        return self._packed[1]

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> "Batch":
        from tasks.training.trainer import text_batches

        epoch = bisect.bisect_right(self._ends, index)
        slot = index - (self._ends[epoch - 1] if epoch else 0)
        blocks = self._blocks(epoch)
        make = text_batches(blocks, self._separator, self._device)
        return make(list(range(slot * self._size, min((slot + 1) * self._size, len(blocks)))), index)


def exam_probability(
    model: Any, tokenizer: "PreTrainedTokenizerFast", topic: Topic, corpus_config: CorpusConfig
) -> float:
    """Return the mean probability of a topic's answers to its evaluation questions."""
    from tasks.algorithms.measuring.metrics import answer_probability, score_sequences
    from tasks.algorithms.measuring.probing import answer_sequence
    from tasks.algorithms.tokens.templates import read_template

    documents = [Document(source=topic.slug, question=item.question, answer=item.answer) for item in topic.exam]
    context = model.config.max_position_embeddings
    template = read_template(tokenizer, corpus_config)
    sequences = [
        answer_sequence(tokenizer, template.prompt(item), item.answer, context, template.gap)[0] for item in documents
    ]
    scores = score_sequences(model, sequences, tokenizer.eos_token_id)
    return sum(answer_probability(table[:, 0]) for table in scores) / len(scores)
