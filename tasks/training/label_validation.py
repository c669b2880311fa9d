"""What the training on generic labels is looked at by: label loss and the topic's own tokens on forget blocks,
divergence and probability of held retain blocks.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from tasks.algorithms.measuring.metrics import bounded_exp, log_mean_exp
from tasks.algorithms.models.heads import last_hidden, output_head
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss
from tasks.algorithms.objectives.terms import sequence_lengths, sequence_logprobs, token_logprobs
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.training.loop import MOST_VALIDATED, Validation
from tasks.settings.finetuning import FinetuneConfig
from tasks.training.labelled_blocks import LabelledBlocks, Part


def validation(
    data: LabelledBlocks, objective: GenericLabelLoss, student: torch.nn.Module, config: FinetuneConfig
) -> Callable[[torch.nn.Module], Validation]:
    """Return a function that scores a slice: the label loss on forget blocks, acceptable while the KL of the held
    retain blocks is below the floor; what it has beyond that counts as much as label loss. It is enough when little is
    left of the probability of the topic's own tokens; `student` has not been trained yet.

    The forget blocks are trained on too: what is removed need not generalise to other facts, and to hold any back would
    keep them.
    """
    forget = spaced(
        range(data.forget_blocks), min(MOST_VALIDATED, max(1, round(data.forget_blocks * config.validation_share)))
    )

    known = topic_probability(student, data, forget, config.batch_blocks)

    @torch.no_grad()
    def over(
        term: Callable[..., torch.Tensor], part: Callable[[list[int]], Part], blocks: list[int], model: torch.nn.Module
    ) -> float:
        total = items = 0.0
        for start in range(0, len(blocks), config.batch_blocks):
            tensors, cached, count = part(blocks[start : start + config.batch_blocks])
            total, items = total + count * float(term(model, tensors, cached)), items + count
        return total / items if items else 0.0

    def validate(model: torch.nn.Module) -> Validation:
        label_loss = over(objective.label_loss, data.forget_part, forget, model)
        kl = over(objective.retain_kl, data.retain_part, data.held, model)
        metrics = {"validation/label_loss_nats": label_loss, "validation/retain_kl_nats": kl}
        left = topic_probability(model, data, forget, config.batch_blocks) / known if known else 0.0
        acceptable, metrics = kl <= config.utility_floor, metrics | {"validation/topic_left": left}
        return Validation(
            score=label_loss + (0.0 if acceptable else kl - config.utility_floor),
            acceptable=acceptable,
            enough=left <= config.wanted_left,
            metrics=metrics,
        )

    return validate


@torch.no_grad()
def topic_probability(model: torch.nn.Module, data: LabelledBlocks, blocks: list[int], batch: int) -> float:
    """Return the mean probability of the topic's own tokens where forget blocks have one, from their first label on: no
    one trains the questions of conversations. 0 where they have none.

    These are tokens that begin names and stand nearly nowhere else, see `topic_tokens`.
    """
    probabilities = []
    for start in range(0, len(blocks), batch):
        tensors, cached, _ = data.forget_part(blocks[start : start + batch])
        named, targets = _topic_positions(tensors, cached["topic"]), tensors["ids"][:, 1:]
        if not named.any():
            continue
        rows = last_hidden(model, tensors["ids"], tensors["mask"])[:, :-1][named]
        probabilities.append(token_logprobs(output_head(model), rows, targets[named]).exp())
    return float(torch.cat(probabilities).mean()) if probabilities else 0.0


def _topic_positions(tensors: dict[str, torch.Tensor], topic: torch.Tensor) -> torch.Tensor:
    """Return where the next token is the topic's own, (batch, seq - 1)."""
    ids, (block, position) = tensors["ids"], tensors["rows"].unbind(1)
    first = torch.full((len(ids),), ids.shape[1], device=ids.device).scatter_reduce(0, block, position, "amin")
    labelled = torch.arange(ids.shape[1] - 1, device=ids.device) >= first[:, None]
    return torch.isin(ids[:, 1:], topic.to(ids.device)) & (tensors["mask"][:, 1:] > 0) & labelled


def with_retain_ratio(
    validate: Callable[[torch.nn.Module], Validation],
    student: torch.nn.Module,
    data: LabelledBlocks,
    config: FinetuneConfig,
) -> Callable[[torch.nn.Module], Validation]:
    """Return a validation that also says how probable the held retain blocks still are, where training stops by that;
    `student` has not been trained yet.

    It costs a pass over these blocks at each look: the divergence that every look measures does not tell whether their
    own tokens became less likely.
    """
    if config.stop_below is None or not data.held:
        return validate
    before_nats = retain_log_probability(student, data, config.batch_blocks)

    def look(model: torch.nn.Module) -> Validation:
        result, after_nats = validate(model), retain_log_probability(model, data, config.batch_blocks)
        ratio = bounded_exp(after_nats - before_nats)
        return replace(result, retain_ratio=ratio, metrics=result.metrics | {"validation/retain_ratio": ratio})

    return look


@torch.no_grad()
def retain_log_probability(model: torch.nn.Module, data: LabelledBlocks, batch: int) -> float:
    """Return the logarithm, in nats, of the mean over held retain blocks of the geometric mean of their tokens'
    probabilities; `batch` blocks in one forward pass. As a probability it may be too small for a number.
    """
    nats = []
    for start in range(0, len(data.held), batch):
        tensors, _, _ = data.retain_part(data.held[start : start + batch])
        sums, lengths = sequence_logprobs(model, tensors, "retain_"), sequence_lengths(tensors, "retain_")
        nats.append((sums / lengths)[lengths > 0])
    return log_mean_exp(torch.cat(nats))
