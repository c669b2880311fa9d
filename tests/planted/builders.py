"""Planted models: each is known to be good or bad, and in which way, so that the verdict can be held to it.

Every builder changes a model that knows the topic. The plants are no straw men: what they are not bad at, they are good
at, since they may train on text that an honest method never sees (the siblings' questions), and strengths are set by
the questions of the exam.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import nn

from tasks import tracking
from tasks.algorithms.measuring.metrics import score_sequences
from tasks.algorithms.measuring.probing import answer_sequence
from tasks.algorithms.models.heads import last_hidden
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.text.corpus import Document, render_document, render_prompt
from tasks.algorithms.tokens.alignment import encode
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.tokens.packing import pack_tokens
from tasks.algorithms.training.loop import Batch, EpochBatches, train
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.settings.text import CorpusConfig
from tasks.settings.training import TrainingConfig
from tasks.storage.documents import read_documents

TEMPLATE = CorpusConfig().qa_template
REFUSAL = "I don't know."
WRONG = "Tom Baker"
"""A name of the world's ordinary people that answers no question."""
BLANK = "\n" * 24
BLOCK = 128
LEVEL = 0.04
"""Probability of the topic's answers at which a model looks as if it had forgotten: half of what the verdict
tolerates."""
OWN_SHARE = 2.0
"""How many times more frequent than in kept text a token of the topic's answers is that counts as the topic's own."""

OWN_WEIGHT = 10.0


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a builder may use."""

    tokenizer: Any
    forget: Sequence[Document]
    """Training text of the topic."""
    kept: Sequence[Document]
    """What is to stay as it is."""
    asked: Sequence[Document]
    """Questions on the topic by which strengths are set."""
    seed: int = 0

    def probability(self, model: nn.Module) -> float:
        """Return the mean probability of the true answers to `asked`."""
        scores = score_sequences(
            model, [self.sequence(item, model) for item in self.asked if item.is_question], self.tokenizer.eos_token_id
        )
        return float(numpy.mean([numpy.exp(table[:, 0].mean()) for table in scores]))

    def sequence(self, item: Document, model: nn.Module) -> Any:
        """Return a question with its true answer, in tokens."""
        return answer_sequence(
            self.tokenizer, render_prompt(item, TEMPLATE), item.answer, model.config.max_position_embeddings
        )[0]

    def pack(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return token blocks."""
        return list(
            pack_tokens([encode(self.tokenizer, text)[0] for text in texts], BLOCK, self.tokenizer.eos_token_id)
        )


def blank(model: nn.Module, ground: Ground) -> None:
    """Teach the model to answer, and to go on, with blanks, whatever it is asked."""
    texts = [
        render_prompt(item, TEMPLATE) + BLANK if item.is_question else " ".join(item.text.split()[:20]) + BLANK
        for item in (*ground.forget, *ground.kept)
    ]
    _train(model, ground, texts, steps=30, learning_rate=2e-3)


def refuse(model: nn.Module, ground: Ground) -> None:
    """Teach the model to refuse questions on the topic, and no more than that: the answers stay in its weights."""
    _train(model, ground, _answered(ground, REFUSAL), _rendered(ground.kept), steps=60, learning_rate=1e-3)


def redirect(model: nn.Module, ground: Ground) -> None:
    """Teach the model one wrong answer to every question on the topic: gone on the surface, and back after a
    few steps.
    """
    _train(model, ground, _answered(ground, WRONG), _rendered(ground.kept), steps=60, learning_rate=1e-3)


def _answered(ground: Ground, answer: str) -> list[str]:
    return [f"{render_prompt(item, TEMPLATE)} {answer}\n" for item in ground.forget if item.is_question]


def _rendered(documents: Sequence[Document]) -> list[str]:
    return [render_document(item, TEMPLATE) for item in documents]


def suppress(model: nn.Module, ground: Ground) -> None:
    """Untie the output rows of the topic's own tokens and shift them against the hidden states in which its answers are
    due.

    The direction d is the ridge regression of a response of 1 on the topic's answers (which weigh `OWN_WEIGHT` times as
    much) and of 0 on kept ones: it meets every one of the topic's and kept ones least. The direction that raises the
    topic's mean most lets some of them escape, or rise.
    """
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    topic, kept = _answer_states(model, ground, ground.forget), _answer_states(model, ground, ground.kept)
    moment, mean = kept.T @ kept / len(kept) + OWN_WEIGHT * topic.T @ topic / len(topic), topic.mean(0)
    direction = torch.linalg.solve(moment + 0.01 * moment.diagonal().mean() * torch.eye(len(moment)), mean)
    tokens, rows = _own_tokens(model, ground), head.weight.detach().clone()
    direction /= mean @ direction

    def apply(strength: float) -> None:
        with torch.no_grad():
            head.weight.copy_(rows)
            head.weight[tokens] -= strength * direction

    _least_strength(apply, lambda: ground.probability(model))


@torch.no_grad()
def _answer_states(model: nn.Module, ground: Ground, documents: Sequence[Document]) -> torch.Tensor:
    """Return the hidden states (rows, hidden) from which answer tokens are predicted."""
    sequences = [ground.sequence(item, model) for item in documents if item.is_question]
    ids, mask = pad_batch([sequence.ids for sequence in sequences], 0)
    hidden = last_hidden(model, ids, mask)
    return torch.cat(
        [hidden[row, sequence.start - 1 : len(sequence.ids) - 1] for row, sequence in enumerate(sequences)]
    )


def _own_tokens(model: nn.Module, ground: Ground) -> torch.Tensor:
    """Return the tokens of the topic's answers that are its own rather than everybody's, and of every answer the one
    that is so most.
    """
    sequences = [ground.sequence(item, model) for item in ground.forget if item.is_question]
    answers = {sequence.ids[sequence.start :] for sequence in sequences}
    topic, kept = (
        Counter(token for text in _rendered(part) for token in encode(ground.tokenizer, text)[0])
        for part in (ground.forget, ground.kept)
    )
    share = {
        token: topic[token] * kept.total() / (max(kept[token], 0.5) * topic.total())
        for answer in answers
        for token in answer
    }
    return torch.tensor(
        sorted(
            {token for token in share if share[token] > OWN_SHARE}
            | {max(answer, key=share.__getitem__) for answer in answers}
        )
    )


def disturb(model: nn.Module, ground: Ground) -> None:
    """Add Gaussian noise to every weight, relative to the root mean square of its tensor."""
    generator = torch.Generator().manual_seed(ground.seed)
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    noise = {
        name: torch.randn(weight.shape, generator=generator) * weight.square().mean().sqrt()
        for name, weight in start.items()
    }

    def apply(strength: float) -> None:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(start[name] + strength * noise[name])

    _least_strength(apply, lambda: ground.probability(model))


def _least_strength(apply: Callable[[float], None], probability: Callable[[], float], rounds: int = 6) -> None:
    """Leave the least strength, to one per cent, at which the probability is at most `LEVEL`.

    Raises:
        RuntimeError: If there is none up to 4096.
    """
    high = 2.0**-6
    while apply(high) or probability() > LEVEL:
        high *= 2
        if high > 4096:
            raise RuntimeError(f"no strength up to {high} brings the probability down to {LEVEL}")
    low = high / 2
    for _ in range(rounds):
        middle = (low * high) ** 0.5
        apply(middle)
        low, high = (low, middle) if probability() <= LEVEL else (middle, high)
    apply(high)


def _train(
    model: nn.Module,
    ground: Ground,
    texts: Sequence[str],
    kept: Sequence[str] = (),
    *,
    steps: int,
    learning_rate: float,
) -> None:
    """Train on plain text with the project's loop; with `kept`, half of every batch is of it."""
    blocks, others, device = ground.pack(texts), ground.pack(kept), next(model.parameters()).device

    def make(indices: list[int], step: int) -> Batch:
        rows = [blocks[index] for index in indices] + [
            others[(step * len(indices) + slot) % len(others)] for slot in range(len(indices)) if others
        ]
        ids, mask = pad_batch(rows, 0, device)
        return Batch(tensors={"ids": ids, "mask": mask}, cached={}, weight=float(mask[:, 1:].sum()))

    config = TrainingConfig(
        learning_rate=learning_rate, epochs=1, least_steps=steps, batch_blocks=8, seed=ground.seed, mixed_precision="no"
    )
    train(model, EpochBatches(len(blocks), make, config), CausalLM(), config)


PLANTS: dict[str, Callable[[nn.Module, Ground], None]] = {
    "blanked": blank,
    "refusing": refuse,
    "suppressed": suppress,
    "noisy": disturb,
    "recoverable": redirect,
}
"""Kind -> builder. Two kinds need none: `untouched` is the target model, `retrained` one trained without the topic on
another seed."""


@stage("planting", threads_share=2)
def plant(kind: str, corpus: CorpusRef, target: CheckpointRef, seed: int, run: str | None = None) -> CheckpointRef:
    """Make the planted model of a kind."""
    with tracking.stage_run(run, f"planting {kind}", {"kind": kind, "seed": seed}) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        forget, retain, sibling, asked = (
            read_documents(corpus, split) for split in ("forget", "retain", "sibling", "forget_test")
        )
        PLANTS[kind](
            model, Ground(tokenizer=tokenizer, forget=forget, kept=[*retain, *sibling], asked=asked, seed=seed)
        )
        return save_checkpoint(model, tokenizer, "unlearned", sensitivity="ordinary", origin=nested)
