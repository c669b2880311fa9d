"""One pass kept, and gone on with: what a change in an upper layer, or at a late position, does is computed without the
layers below it and without the positions before it, whose states it cannot change.

    kept = keep(model, ids, mask)                    # one whole pass
    tail = kept.cut(split)                           # from this position on
    hidden = tail.inputs[layer].clone()              # what a layer reads there
    last = resume(model, tail, layer, changed)       # layers from this one on, positions from `split` on
    last = resume_all(model, tail, {3: some, 5: others}, of)     # rows that join at different layers

Rows are padded on the left, so that they end together; positions before `split` are read from keys and values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from tasks.algorithms.models.architectures import architecture, decoder_layers, last_writers, tensor_of
from tasks.algorithms.models.heads import apply_head, output_head
from tasks.algorithms.shapes import Float, Int

Places = tuple[Int[Tensor, " reads"], Int[Tensor, " reads"]]
"""Rows, and positions in the tail."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The states of one pass, from a position on."""

    ids: Int[Tensor, "rows tail"]
    mask: Int[Tensor, "rows seq"]
    """Of all positions: 1 for tokens, 0 for padding."""
    inputs: tuple[Float[Tensor, "rows tail hidden"], ...]
    """What each layer reads, and last what the final norm reads."""
    last: Float[Tensor, "rows tail read"]
    """What the head reads."""
    keys: tuple[Float[Tensor, "rows heads seq head_size"], ...]
    """Of each layer, for all positions; those before the tail are read."""
    values: tuple[Float[Tensor, "rows heads seq head_size"], ...]
    outputs: Mapping[Any, Float[Tensor, "rows tail width"]] = field(default_factory=dict)
    """What the recorded modules gave, or read."""

    @property
    def split(self) -> int:
        """Position of the tail's first token."""
        return self.mask.shape[1] - self.ids.shape[1]

    @cached_property
    def rooms(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Copies of keys and values, layer by layer: the prefix, and room for what a pass makes of the tail."""
        return tuple((key.clone(), value.clone()) for key, value in zip(self.keys, self.values, strict=True))

    def cut(self, split: int) -> "Kept":
        """Return the same from a later position on."""
        skipped = split - self.split
        return replace(
            self,
            ids=self.ids[:, skipped:],
            inputs=tuple(each[:, skipped:] for each in self.inputs),
            last=self.last[:, skipped:],
            outputs={name: each[:, skipped:] for name, each in self.outputs.items()},
        )

    def unpadded(self) -> "Kept":
        """Return the same without positions that are padding in all rows; the tail's first is none."""
        used = self.mask.any(dim=0).nonzero()
        left, stop = int(used[0]), int(used[-1]) + 1
        count = stop - self.split
        return replace(
            self,
            ids=self.ids[:, :count],
            mask=self.mask[:, left:stop],
            inputs=tuple(each[:, :count] for each in self.inputs),
            last=self.last[:, :count],
            keys=tuple(each[:, :, left:stop] for each in self.keys),
            values=tuple(each[:, :, left:stop] for each in self.values),
            outputs={name: each[:, :count] for name, each in self.outputs.items()},
        )

    def rows(self, index: Int[Tensor, " chosen"]) -> "Kept":
        """Return some rows, in any order and any number of times."""
        return replace(
            self,
            ids=self.ids[index],
            mask=self.mask[index],
            inputs=tuple(each[index] for each in self.inputs),
            last=self.last[index],
            keys=tuple(each[index] for each in self.keys),
            values=tuple(each[index] for each in self.values),
            outputs={name: each[index] for name, each in self.outputs.items()},
        )


def positions_of(mask: Int[Tensor, "rows seq"]) -> Int[Tensor, "rows seq"]:
    """Return each token's position in its row, counted from 0 at the first that is no padding."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def pad_left(rows: Sequence[Sequence[int]], filler: int) -> tuple[Int[Tensor, "rows seq"], Int[Tensor, "rows seq"]]:
    """Return token ids and mask of rows that end together."""
    longest = max(map(len, rows))
    ids = torch.tensor([[filler] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def keep(
    model: nn.Module,
    ids: Int[Tensor, "rows seq"],
    mask: Int[Tensor, "rows seq"],
    split: int = 0,
    *,
    past: Kept | None = None,
    noise: Float[Tensor, "rows seq hidden"] | None = None,
    record: Mapping[Any, nn.Module] | None = None,
    record_inputs: Mapping[Any, nn.Module] | None = None,
) -> Kept:
    """Run a model once and keep its states from a position on.

    Args:
        model: A causal language model of a known type.
        ids: Token ids, padded on the left.
        mask: 1 for tokens, 0 for padding.
        split: The tail's first position.
        past: A pass over what stands before these tokens, a row for each row; positions are counted on from it.
        noise: Added to the token embeddings.
        record: Modules whose outputs are kept too, by a key of the caller's.
        record_inputs: Modules of which the input is kept.
    """
    from transformers import DynamicCache

    from tasks.algorithms.models.prefix_attention import PrefixLayer

    layers, inputs, outputs, cache = decoder_layers(model), {}, {}, DynamicCache()
    if past is not None:
        both = zip(past.keys, past.values, strict=True)
        cache.layers += [PrefixLayer(*layer, past.mask.shape[1], apart=False) for layer in both]
    seen = mask if past is None else torch.cat([past.mask, mask], dim=1)
    recorded = {*(record or {}).values(), *(record_inputs or {}).values()}
    tail = torch.ones_like(ids[:, split:]).nonzero(as_tuple=True)

    def note(store: dict, key: Any, value: Tensor) -> None:
        store[key] = value.reshape(*ids.shape, -1)[:, split:].detach()  # some modules see their rows end to end

    with ExitStack() as hooks:
        for number, layer in enumerate(layers):
            hooks.enter_context(_before(layer, lambda given, number=number: note(inputs, number, given)))
        hooks.enter_context(_after(layers[-1], lambda made: note(inputs, len(layers), made)))
        for key, module in (record or {}).items():
            hooks.enter_context(_after(module, lambda made, key=key: note(outputs, key, made)))
        for key, module in (record_inputs or {}).items():
            hooks.enter_context(_before(module, lambda given, key=key: note(outputs, key, given)))
        for module in last_writers(model) if split else ():  # before the tail nobody reads what they write
            if recorded.isdisjoint(module.modules()):
                hooks.enter_context(_only_at(module, tail[0], tail[1] + split))
        if noise is not None:
            hooks.enter_context(_after(model.get_input_embeddings(), lambda made: made + noise.to(made)))
        with torch.no_grad():
            made = model.base_model(
                input_ids=ids,
                attention_mask=seen,
                past_key_values=cache,
                use_cache=True,
                **_placed(model, positions_of(seen)[:, seen.shape[1] - ids.shape[1] :]),
            )
    return Kept(
        ids=ids[:, split:],
        mask=seen,
        inputs=tuple(inputs[number] for number in range(len(layers) + 1)),
        last=made.last_hidden_state[:, split:],
        keys=tuple(layer.keys.detach() for layer in cache.layers),
        values=tuple(layer.values.detach() for layer in cache.layers),
        outputs=outputs,
    )


def resume(
    model: nn.Module,
    kept: Kept,
    layer: int,
    hidden: Float[Tensor, "rows tail hidden"],
    reads: Places | None = None,
) -> Float[Tensor, "*read width"]:
    """Return what the head reads when a layer is given other states than those that were kept; lower layers are not
    run. Gradients flow to `hidden`.

    Args:
        model: The model that was kept.
        kept: The pass; a row for each row of `hidden`.
        layer: The first that is run, counted from 0; as many as the model has: only the final norm.
        hidden: What it reads at the tail's positions.
        reads: As in `resume_all`.
    """
    return resume_all(model, kept, {layer: hidden}, reads=reads)


def resume_all(
    model: nn.Module,
    kept: Kept,
    joining: Mapping[int, Float[Tensor, "_ tail hidden"]],
    of: Int[Tensor, " rows"] | None = None,
    reads: Places | None = None,
) -> Float[Tensor, "*read width"]:
    """Return what the head reads when rows join at different layers, each as if it were alone; every layer runs those
    that have joined, once. Gradients flow to the states.

    Args:
        model: The model that was kept.
        kept: The pass.
        joining: Layer -> states that it is the first to read; that many as the model has layers: the final norm.
        of: The row of `kept` that each belongs to, in the order of layers; none: each to its own.
        reads: Rows and positions in the tail that are wanted; none: all of them. The last layer then writes there only.

    Returns:
        (rows, tail, width), or (reads, width).
    """
    from transformers import DynamicCache

    from tasks.algorithms.models.prefix_attention import PrefixLayer, fixed_prefix

    layers, cache, joined = decoder_layers(model), DynamicCache(), 0
    rows, every = sum(map(len, joining.values())), slice(None) if of is None else of
    in_tuple = architecture(model).returns_tuple
    with ExitStack() as stack:
        apart = kept.split > 0 and stack.enter_context(fixed_prefix(model))
        for module in last_writers(model) if reads else ():
            stack.enter_context(_only_at(module, *reads))
        for number, layer in enumerate(layers):
            before, joined = joined, joined + len(joining.get(number, ()))
            stack.enter_context(_running(layer, rows, before, joining.get(number), in_tuple=in_tuple))
            at = slice(max(joined, 1)) if of is None else of[: max(joined, 1)]  # without rows it would have no length
            both = kept.rooms[number] if apart else (kept.keys[number], kept.values[number])
            cache.layers.append(PrefixLayer(*(each[at] for each in both), kept.split, apart=apart))
        if len(layers) in joining:
            stack.enter_context(_after(layers[-1], lambda made: torch.cat([made, joining[len(layers)]])))
        last = model.base_model(
            input_ids=kept.ids[every],
            attention_mask=kept.mask[every],
            past_key_values=cache if kept.split else None,
            use_cache=bool(kept.split),
            **_placed(model, positions_of(kept.mask)[every, kept.split :]),
        ).last_hidden_state
    return last[reads] if reads else last


def logits_of(model: nn.Module, hidden: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows vocab"]:
    """Return the model's logits for what its head reads, in the states' own precision where that is float64."""
    head = output_head(model)
    return head(hidden) if hidden.dtype == torch.float64 else apply_head(head, hidden)


@contextmanager
def changed_output(module: nn.Module, change: Callable[[Tensor], Tensor], rows: int) -> Iterator[None]:
    """Put `change(output)` in place of a module's output, (rows, seq, width), also where the module sees its rows end
    to end; of a tuple the first is changed.
    """

    def changed(made: Tensor) -> Tensor:
        return change(made.reshape(rows, -1, made.shape[-1])).reshape(made.shape)

    with _after(module, changed):
        yield


@contextmanager
def added_output(module: nn.Module, addition: Callable[[Tensor], Tensor], rows: int) -> Iterator[None]:
    """Add `addition(input)` to a module's output, both (rows, seq, width), also where the module sees its rows end to
    end: a change of a matrix that is not made in its weights, but to which gradients flow.
    """

    def hook(_: nn.Module, given: tuple, made: Tensor) -> Tensor:
        added = addition(given[0].reshape(rows, -1, given[0].shape[-1]))
        return made + added.reshape(made.shape).to(made.dtype)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _running(layer: nn.Module, rows: int, before: int, joining: Tensor | None, *, in_tuple: bool) -> Iterator[None]:
    """Let a layer run the rows that come from below, `before` of them, and those that join; it computes nothing where
    there are none.
    """
    own = layer.forward

    def forward(given: Tensor, *rest: Any, **named: Any) -> Any:
        states = given[:before]
        if joining is not None:
            states = torch.cat([states, joining]) if before else joining
        if not len(states):
            return (states, None) if in_tuple else states
        shares = [_share(each, rows, len(states)) for each in rest]
        return own(states, *shares, **{name: _share(each, rows, len(states)) for name, each in named.items()})

    layer.forward = forward  # on the instance: attributes that the model looks at stay
    try:
        yield
    finally:
        del layer.forward


@contextmanager
def _only_at(module: nn.Module, rows: Int[Tensor, " reads"], positions: Int[Tensor, " reads"]) -> Iterator[None]:
    """Let a module that mixes no positions compute some alone, and write nothing at the others."""
    own = module.forward

    def forward(*given: Tensor) -> Tensor:
        run = rows < len(given[0])  # others join behind this layer
        at = rows[run], positions[run]
        made = own(*(each[at][None] for each in given))[0]
        return made.new_zeros(*given[0].shape[:2], made.shape[-1]).index_put(at, made)

    module.forward = forward
    try:
        yield
    finally:
        del module.forward


def _share(value: Any, rows: int, some: int) -> Any:
    """Return the part of a layer's argument that belongs to the first rows; what all rows share is left. Bloom's biases
    have as many entries a row as there are heads.
    """
    if isinstance(value, tuple):
        return tuple(_share(each, rows, some) for each in value)
    if not isinstance(value, Tensor) or value.dim() < 2 or len(value) % rows:
        return value
    return value[: some * (len(value) // rows)]


def _placed(model: nn.Module, positions: Int[Tensor, "rows seq"]) -> dict[str, Tensor]:
    """Return the argument that says where tokens stand, where the model takes one."""
    return {"position_ids": positions} if architecture(model).told_positions else {}


@contextmanager
def _after(module: nn.Module, use: Any) -> Iterator[None]:
    """Call `use(output)` on every pass of a module; what it returns, if anything, takes the output's place."""

    def hook(_: nn.Module, given: Any, made: Any) -> Any:
        changed = use(tensor_of(made))
        if changed is None:
            return None
        return changed if isinstance(made, Tensor) else (changed, *made[1:])

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _before(module: nn.Module, use: Any) -> Iterator[None]:
    """Call `use(input)` before every pass of a module; what it returns, if anything, is read instead."""

    def hook(_: nn.Module, given: tuple, named: dict) -> Any:
        changed = use(given[0] if given else named["hidden_states"])
        if changed is None:
            return None
        return ((changed, *given[1:]), named) if given else (given, named | {"hidden_states": changed})

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
