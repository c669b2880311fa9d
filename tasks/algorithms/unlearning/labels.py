"""Generic labels: what the target model would predict had it never been trained on the text.

    v_generic = v_baseline - alpha * ReLU(v_reinforced - v_baseline)

The baseline reads the *translated* block, the reinforced model the *source* block; both are compared at positions that
have read the same text. Interior tokens of an anchor, where the translation says nothing, may be unlearned on the
source itself, with the true next token excluded.

A label at position t is the target of `logits[t]` (it stands for token t + 1); it is stored so and never shifted again.

Source: Eldan & Russinovich 2023, "Who's Harry Potter?", arXiv:2310.02238.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head, output_size
from tasks.algorithms.shapes import Float, Int
from tasks.algorithms.tokens.alignment import Block
from tasks.algorithms.tokens.batching import length_batches, pad_batch, row_chunks
from tasks.algorithms.unlearning.label_plan import FirstTokens, PositionPlan, plan_positions
from tasks.settings.labels import LabelConfig


@dataclass(frozen=True, kw_only=True)
class GenericLabels:
    """Labels of all blocks, one row a labelled position, in order of block and position."""

    block: Int[Tensor, " rows"]
    position: Int[Tensor, " rows"]
    hard: Int[Tensor, " rows"]
    """argmax of the generic logits."""
    baseline_hidden: Float[Tensor, "rows hidden"]
    reinforced_hidden: Float[Tensor, "rows hidden"]
    banned: Int[Tensor, "pairs 2"]
    """(row, token) pairs that cannot be a label."""
    topic: Int[Tensor, " tokens"]
    """Tokens that cannot be a label in any row."""
    dropped: int = 0
    """Supervised positions without a label."""


def generic_logits(
    baseline: Float[Tensor, "*rows vocab"],
    reinforced: Float[Tensor, "*rows vocab"],
    alpha: float,
    relu_on: str = "logits",
) -> Float[Tensor, "*rows vocab"]:
    """Lower the predictions that reinforcement raised.

    Args:
        baseline: Unnormalised log-probabilities of the target model, in nats.
        reinforced: The same from the model trained further on the forget set; same tokenizer.
        alpha: Strength of the correction, dimensionless, >= 0; at 0 `baseline` returns unchanged.
        relu_on: Compare raw `logits` or `log_probabilities`.

    Returns:
        Logits of the generic prediction, with the shape, dtype and device of `baseline`.

    Raises:
        ValueError: If the shapes differ or `alpha` is negative.

    Source:
        Eldan & Russinovich 2023, arXiv:2310.02238, generic-prediction formula. Deviation: none with `relu_on="logits"`.
    """
    if baseline.shape != reinforced.shape:
        raise ValueError(
            f"baseline has shape {tuple(baseline.shape)}, reinforced {tuple(reinforced.shape)}; wanted equal shapes"
        )
    if alpha < 0:
        raise ValueError(f"alpha is {alpha}; wanted a number >= 0")
    if relu_on == "log_probabilities":
        baseline, reinforced = baseline.log_softmax(-1), reinforced.log_softmax(-1)
    return torch.sub(baseline, (reinforced - baseline).relu_(), alpha=alpha)


WINDOW_BATCHES = 2
"""Full batches whose labels are made, and whose blocks are sorted by length, at a time."""


def stream_labels(
    baseline: nn.Module,
    reinforced: nn.Module,
    blocks: Iterable[Block],
    starts: Mapping[str, FirstTokens],
    config: LabelConfig,
    pad_id: int,
    on_step: Callable[[int], None] = lambda done: None,
    *,
    topic: Sequence[int] = (),
) -> Iterator[tuple[list[Block], GenericLabels]]:
    """Make the labels of blocks that come one by one, a window of them at a time.

    A block's plan depends on nothing outside of it, so that the windows' labels, one after the other, are those that
    `generate_labels` makes of all blocks: the same bits where a single window holds them, else the hidden states within
    1e-5, since blocks share their batches with others.

    Args:
        baseline: The target model.
        reinforced: The reinforced model.
        blocks: Source and translated blocks.
        starts: Anchor term -> first tokens of its translation.
        config: Strength and rules; a window holds `WINDOW_BATCHES` batches of `batch_tokens`.
        pad_id: Filler token.
        on_step: Called with the number of blocks done.
        topic: Tokens that are no label anywhere.

    Yields:
        The blocks of a window and their labels; blocks and rows are counted from the first of all windows.

    Raises:
        ValueError: If a prediction is not finite.
    """
    done = rows = 0
    for window in _windows(blocks, WINDOW_BATCHES * config.batch_tokens):
        plans = [plan_positions(block, starts, config) for block in window]
        labels = generate_labels(
            baseline,
            reinforced,
            window,
            plans,
            config,
            pad_id,
            lambda now, _, before=done: on_step(before + now),
            topic=topic,
        )
        yield (
            window,
            dataclasses.replace(labels, block=labels.block + done, banned=labels.banned + torch.tensor([rows, 0])),
        )
        done, rows = done + len(window), rows + len(labels.hard)


def _windows(blocks: Iterable[Block], tokens: int) -> Iterator[list[Block]]:
    """Put consecutive blocks into lists of at most `tokens` tokens on the longer side, of one block at least."""
    window, size = [], 0
    for block in blocks:
        length = max(len(block.source), len(block.translated))
        if window and size + length > tokens:
            yield window
            window, size = [], 0
        window.append(block)
        size += length
    if window:
        yield window


@torch.no_grad()
def generate_labels(
    baseline: nn.Module,
    reinforced: nn.Module,
    blocks: Sequence[Block],
    plans: Sequence[PositionPlan],
    config: LabelConfig,
    pad_id: int,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    *,
    topic: Sequence[int] = (),
) -> GenericLabels:
    """Run both models over all blocks and make the labels.

    Args:
        baseline: The target model.
        reinforced: The reinforced model, on the same device, with the same tokenizer.
        blocks: Source and translated blocks.
        plans: One plan a block, from `plan_positions`.
        config: Strength and rules.
        pad_id: Filler token.
        on_step: Called with the number of blocks done and the total.
        topic: Tokens that are no label anywhere.

    Returns:
        One row a labelled position.

    Raises:
        ValueError: If a prediction is not finite.
    """
    parts: list[list[Tensor]] = [[] for _ in blocks]
    done = 0
    for batch in length_batches(
        [max(len(block.source), len(block.translated)) for block in blocks], config.batch_tokens
    ):
        for index, rows in zip(batch, _hidden_rows(baseline, reinforced, blocks, plans, batch, pad_id), strict=True):
            parts[index] = rows
        done += len(batch)
        on_step(done, len(blocks))
    return _decide(
        baseline,
        reinforced,
        plans,
        parts,
        config,
        torch.tensor(topic, dtype=torch.long),
        sum(sum(block.supervised) if block.supervised else len(block.source) for block in blocks),
    )


def _hidden_rows(
    baseline: nn.Module,
    reinforced: nn.Module,
    blocks: Sequence[Block],
    plans: Sequence[PositionPlan],
    batch: list[int],
    pad_id: int,
) -> list[list[Tensor]]:
    """Return for each block of the batch the hidden states that its plan reads: baseline and reinforced, (rows, hidden)
    each.
    """
    device = next(baseline.parameters()).device
    chosen = [blocks[index] for index in batch]
    on_translated = last_hidden(baseline, *pad_batch([block.translated for block in chosen], pad_id, device))
    source = pad_batch([block.source for block in chosen], pad_id, device)
    on_source = last_hidden(reinforced, *source)
    inner = _interior_hidden(baseline, [plans[index] for index in batch], chosen, pad_id, device)
    rows = []
    for slot, index in enumerate(batch):
        plan = plans[index]
        interior = torch.tensor(plan.interior, dtype=torch.bool, device=device)
        gather = torch.tensor(plan.gather, dtype=torch.long, device=device)
        baseline_rows = on_translated[slot, gather.masked_fill(interior, 0)]
        if slot in inner:
            baseline_rows[interior] = inner[slot][gather[interior]]
        rows.append([baseline_rows, on_source[slot, torch.tensor(plan.positions, dtype=torch.long, device=device)]])
    return rows


def _interior_hidden(
    baseline: nn.Module, plans: list[PositionPlan], blocks: list[Block], pad_id: int, device: torch.device
) -> dict[int, Tensor]:
    """Run the baseline on the source, for the blocks that need it and only as far as their last interior position."""
    reach = {
        slot: max((at for at, inside in zip(plan.gather, plan.interior, strict=True) if inside), default=-1) + 1
        for slot, plan in enumerate(plans)
    }
    slots = [slot for slot, length in reach.items() if length]
    if not slots:
        return {}
    hidden = last_hidden(baseline, *pad_batch([blocks[slot].source[: reach[slot]] for slot in slots], pad_id, device))
    return dict(zip(slots, hidden, strict=True))


def _decide(
    baseline: nn.Module,
    reinforced: nn.Module,
    plans: Sequence[PositionPlan],
    parts: list[list[Tensor]],
    config: LabelConfig,
    topic: Int[Tensor, " tokens"],
    positions: int,
) -> GenericLabels:
    """Apply the heads chunk by chunk, take the argmax, and drop the rows whose label would be a fragment of a
    translation.
    """
    counts = torch.tensor([len(plan.positions) for plan in plans])
    baseline_hidden, reinforced_hidden = (torch.cat([part[side] for part in parts]) for side in (0, 1))
    first = (counts.cumsum(0) - counts).tolist()
    banned, fragments = (
        _pairs([getattr(plan, name) for plan in plans], first, baseline_hidden.device)
        for name in ("banned", "fragments")
    )
    hard = hard_labels(
        output_head(baseline), output_head(reinforced), baseline_hidden, reinforced_hidden, banned, topic, config
    )
    broken = torch.zeros_like(hard, dtype=torch.bool)
    broken[fragments[fragments[:, 1] == hard[fragments[:, 0]], 0]] = True
    keep = (~broken).nonzero().squeeze(-1)
    row_of = torch.cumsum(~broken, 0) - 1
    banned = banned[~broken[banned[:, 0]]]
    return GenericLabels(
        block=torch.repeat_interleave(torch.arange(len(plans)), counts)[keep.cpu()],
        position=torch.tensor([at for plan in plans for at in plan.positions], dtype=torch.long)[keep.cpu()],
        hard=hard[keep].cpu(),
        baseline_hidden=baseline_hidden[keep].cpu(),
        reinforced_hidden=reinforced_hidden[keep].cpu(),
        banned=torch.stack([row_of[banned[:, 0]], banned[:, 1]], dim=1).cpu(),
        topic=topic,
        dropped=positions - len(keep),
    )


def _pairs(
    lists: Sequence[Sequence[tuple[int, int]]], first: Sequence[int], device: torch.device
) -> Int[Tensor, "pairs 2"]:
    pairs = [(row + start, token) for row_tokens, start in zip(lists, first, strict=True) for row, token in row_tokens]
    return torch.tensor(pairs, dtype=torch.long, device=device).reshape(-1, 2)


def hard_labels(
    baseline_head: nn.Module,
    reinforced_head: nn.Module,
    baseline_hidden: Float[Tensor, "rows hidden"],
    reinforced_hidden: Float[Tensor, "rows hidden"],
    banned: Int[Tensor, "pairs 2"],
    topic: Int[Tensor, " tokens"],
    config: LabelConfig,
) -> Int[Tensor, " rows"]:
    """Return the argmax of the generic logits of every row; `banned` is in order of its rows, `topic` banned in all.

    Raises:
        ValueError: If a prediction is not finite.
    """
    labels, first = [], banned[:, 0].contiguous()
    vocab = output_size(baseline_head, baseline_hidden)
    for chunk in row_chunks(len(baseline_hidden), vocab, baseline_hidden.device):
        logits = generic_logits(
            apply_head(baseline_head, baseline_hidden[chunk]),
            apply_head(reinforced_head, reinforced_hidden[chunk]),
            config.alpha,
            config.relu_on,
        )
        low, high = torch.searchsorted(first, torch.tensor([chunk.start, chunk.stop], device=first.device)).tolist()
        logits[banned[low:high, 0] - chunk.start, banned[low:high, 1]] = float("-inf")
        logits[:, topic.to(logits.device)] = float("-inf")
        # the largest of numbers with a NaN is NaN, so with finite inputs this sees every one that is not
        best, label = logits.max(-1)
        if not (torch.isfinite(best).all() and torch.isfinite(reinforced_hidden[chunk]).all()):
            raise ValueError(
                f"generic logits of rows {chunk.start} to {chunk.stop} are not finite; wanted finite predictions of"
                " both models"
            )
        labels.append(label)
    return torch.cat(labels) if labels else torch.empty(0, dtype=torch.long)


def ban(
    logits: Float[Tensor, "rows vocab"], banned: Int[Tensor, "pairs 2"], topic: Int[Tensor, " tokens"], chunk: slice
) -> Float[Tensor, "rows vocab"]:
    """Return `logits` of the rows `chunk` with the banned tokens, and in all of them the topic's, at minus infinity."""
    inside = (banned[:, 0] >= chunk.start) & (banned[:, 0] < chunk.stop)
    rows, tokens = banned[inside, 0] - chunk.start, banned[inside, 1]
    logits = logits.clone()
    logits[rows, tokens] = float("-inf")
    logits[:, topic] = float("-inf")
    return logits
