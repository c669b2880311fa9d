"""Stage `fact model`: a small language model of the fact world whose facts stand where rank-one editing looks for
them.
"""

import random
from typing import TYPE_CHECKING, Any

from tasks import tracking
from tasks.algorithms.world.fact_text import FactText, vocabulary_texts
from tasks.algorithms.world.fact_words import HELD_WORDINGS, LEADS
from tasks.algorithms.world.fact_world import FactWorld, build_fact_world, without_facts
from tasks.artifacts import CheckpointRef
from tasks.execution.stage import stage
from tasks.models.loading import save_checkpoint
from tasks.models.word_tokenizers import word_tokenizer
from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

LONGEST_WAVE = 100.0
"""Positions after which the slowest sinusoid has turned by one radian; a row has some 50."""


@stage("fact model", threads_share=2)
def train_fact_model(
    world: FactWorldConfig,
    config: FactModelConfig,
    without: tuple[str, ...],
    label: str,
    run: str | None = None,
) -> CheckpointRef:
    """Train a model from scratch on the world `without` some facts, named by their keys: a twin that was never told
    them.

    Raises:
        RuntimeError: If the model does not know what it was told.
        ValueError: If there is no such fact.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from tasks.algorithms.objectives.masked_mentions import MaskedMentions
    from tasks.training.fact_rows import FactRows
    from tasks.training.trainer import train_stage

    with tracking.stage_run(run, f"fact model {label}", config) as nested:
        whole = build_fact_world(world)
        told = without_facts(whole, without)
        tokenizer = word_tokenizer(vocabulary_texts(whole), config.context)
        torch.manual_seed(config.seed)
        model = AutoModelForCausalLM.from_config(model_config(tokenizer, config))
        if config.form == "gpt2":
            begin_as_waves(model.transformer.wpe.weight, config.initializer_range)
        rows = FactRows(FactText(told), tokenizer, config, model.device)
        train_stage(model, rows, MaskedMentions(), config, nested)
        known = {name: known_share(model, tokenizer, told, held=name == "held_out") for name in ("trained", "held_out")}
        tracking.log_metrics(nested, {f"known/{name}": share for name, share in known.items()})
        if known["trained"] < config.least_known:
            raise RuntimeError(
                f"the {label} model knows {known['trained']:.3f} of its facts; wanted >= {config.least_known}"
                " (train for more steps)"
            )
        return save_checkpoint(model, tokenizer, label, sensitivity="ordinary", origin=nested)


def model_config(tokenizer: "PreTrainedTokenizerFast", config: FactModelConfig) -> "PretrainedConfig":
    """Return the architecture."""
    from transformers import GPT2Config, LlamaConfig

    end = tokenizer.eos_token_id
    shared = {
        "vocab_size": len(tokenizer),
        "initializer_range": config.initializer_range,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    if config.form == "gpt2":
        return GPT2Config(
            n_positions=config.context,
            n_embd=config.hidden,
            n_layer=config.layers,
            n_head=config.heads,
            n_inner=config.intermediate,
            activation_function="gelu_pytorch_tanh",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **shared,
        )
    return LlamaConfig(
        max_position_embeddings=config.context,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        intermediate_size=config.intermediate,
        tie_word_embeddings=True,
        **shared,
    )


def begin_as_waves(positions: "Tensor", deviation: float) -> None:
    """Let learned positions begin as sinusoids (Vaswani et al. 2017, arXiv:1706.03762, section 3.5), of which a step to
    the previous word is a rotation: at random ones a model of few layers puts names together late, or nowhere.

    Args:
        positions: (positions, width), what is added to token embeddings; changed in place.
        deviation: Root mean square of its entries.
    """
    import torch

    count, width = positions.shape
    pace = LONGEST_WAVE ** -(torch.arange(width // 2) / (width // 2))
    angles = torch.arange(count)[:, None] * pace
    with torch.no_grad():
        positions.copy_(deviation * 2**0.5 * torch.cat([angles.sin(), angles.cos()], dim=1))


def known_share(model: Any, tokenizer: "PreTrainedTokenizerFast", world: FactWorld, *, held: bool) -> float:
    """Return the share of the world's facts whose object the model says, greedily.

    Args:
        model: A model.
        tokenizer: Its tokenizer.
        world: What it should know.
        held: Whether each fact is opened in one of the wordings that no training text has; else in any of the trained
            ones without aside. Both after any lead-in, or none.
    """
    from tasks.algorithms.measuring.metrics import score_sequences
    from tasks.algorithms.measuring.probing import answer_sequence

    rng, context = random.Random(world.config.seed), model.config.max_position_embeddings
    wordings = HELD_WORDINGS if held else [(phrase, 0) for phrase, _ in enumerate(world.facts[0].relation.phrases)]
    prompts = [fact.asked(rng.choice(LEADS), *rng.choice(wordings)) for fact in world.facts]
    sequences = [
        answer_sequence(tokenizer, prompt, fact.object, context)[0]
        for prompt, fact in zip(prompts, world.facts, strict=True)
    ]
    scores = score_sequences(model, sequences, tokenizer.eos_token_id)
    return sum(bool(table[:, 1].all()) for table in scores) / len(scores)
