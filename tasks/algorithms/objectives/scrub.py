"""SCRUB: stay with the frozen teacher on retain text, leave it on forget text.

    d = mean over a sequence's counted positions of T^2 KL(p_0 || p_w), then mean over sequences
    language_model    alpha * d(R)  -  beta * d(F)                                            in every step, alpha +
    beta = 1 original          -beta * d(F) in a max-step,  alpha * d(R) + gamma * CE(R) in a min-step

d compares whole distributions and never asks which token came next, so it depends on contexts alone: on a beginning
that a forget and a retain text share, the joint loss is (alpha - beta) * d, an ascent without end where beta > alpha.
Restricting both sides to positions where the pair differs (see `tasks.algorithms.text.pairs`), or clipping each forget
token at `bound` nats, takes that away. A clipped token may still be carried far beyond by those below the bound, and
words of plain grammar as far as names. With `surprisal_share` each forget token has a bound of its own, b (see
`tasks.algorithms.tokens.trigrams`), and counts as b - |b - KL|, which is highest there. Where what is driven away goes
is open, and any one word will do; `expected_weight` is that of the cross-entropy on forget sequences under what the
retain text's trigrams expect there, which is added.

At the teacher itself d is 0 on both sides and so is every gradient: a student that starts there and has no dropout is
set in motion by the rounding of its first steps.

Source: Kurmanji et al. 2023, arXiv:2302.09880, and its language-model form. Deviations: `bound` and `positions`, both
off in the presets that follow a source; `surprisal_share` and
`expected_weight` are ours, and off unless asked for.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tasks.algorithms.models.heads import apply_head, last_hidden, output_head, output_size
from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.expected import expected_cross_entropy
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.algorithms.shapes import Bool, Float
from tasks.algorithms.tokens.batching import row_chunks
from tasks.settings.scrub import ScrubConfig


class Scrub(TwoTerms):
    """Both forms of SCRUB; a batch says by what it holds which step it is."""

    config_type = ScrubConfig
    weighs_rows = True

    def loss(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the loss in nats and each of its terms.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` (batch, seq) of forget sequences; `retain_ids`, `retain_mask`,
                `retain_supervised` of retain sequences. Form `language_model` wants both; in form `original` a batch
                with retain sequences is a min-step, one without a max-step. With gamma also `retain_labelled` (batch,
                seq), at which positions the cross-entropy counts, where that is not where the divergence does. With
                `surprisal_share` also `bound_nats` (batch, seq): the bound of what each position predicts.
            cached: The frozen `reference_head`, and its last hidden states at the counted positions in row-major order,
                (rows, hidden): `forget_hidden`, `retain_hidden`. With `expected_weight` also `expected`, see
                `tasks.algorithms.tokens.trigrams`, at the counted positions of the forget sequences.

        Raises:
            ValueError: If the batch lacks what the form wants, if cached states do not fit its counted positions, or if
                gamma has no retain tokens to count.
        """
        if self.config.form == "language_model":
            if "ids" not in batch or "retain_ids" not in batch:
                raise ValueError(
                    f"the batch holds {', '.join(sorted(batch))}; wanted forget and retain sequences in form"
                    " language_model"
                )
            return super().loss(student, batch, cached)
        held = self.retain_term(student, batch, cached)
        return self.forget_term(student, batch, cached) if held is None else held

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return -beta times the divergence on forget sequences, and `expected_weight` times the cross-entropy under
        what is expected there.
        """
        counted = terms.counted_positions(batch["mask"], batch["supervised"])
        states = last_hidden(student, batch["ids"], batch["mask"])[:, :-1][counted]
        divergence, metrics = self._forget_divergence(student, states, counted, batch, cached)
        if not self.config.expected_weight:
            return -self.config.beta * divergence, metrics
        nats = expected_cross_entropy(output_head(student), states, cached["expected"])
        expected = mean_over_sequences(nats, counted)
        loss = self.config.expected_weight * expected - self.config.beta * divergence
        return loss, metrics | {"expected_ce_nats": expected.detach()}

    def retain_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term | None:
        """Return alpha times the divergence on retain sequences, and gamma times their cross-entropy in form
        `original`; none where there are none.
        """
        if "retain_ids" not in batch:
            return None
        states = _retain_states(student, batch)
        divergence, metrics = self._retain_divergence(student, states, batch, cached)
        if not self.config.gamma:
            return self.config.alpha * divergence, metrics
        cross_entropy = self._cross_entropy(student, states, batch)
        return self.config.alpha * divergence + self.config.gamma * cross_entropy, metrics | {
            "retain_ce_nats": cross_entropy.detach()
        }

    def _retain_divergence(
        self,
        student: nn.Module,
        states: Float[Tensor, "batch prediction hidden"],
        batch: Mapping[str, Tensor],
        cached: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        counted = terms.counted_positions(batch["retain_mask"], batch["retain_supervised"])
        kl_nats = self._kl(student, states[counted], cached["reference_head"], cached["retain_hidden"], "retain_hidden")
        mean = mean_over_sequences(kl_nats, counted)
        return mean, {"retain_kl_nats": mean.detach()}

    def _forget_divergence(
        self,
        student: nn.Module,
        states: Float[Tensor, "rows hidden"],
        counted: Bool[Tensor, "batch prediction"],
        batch: Mapping[str, Tensor],
        cached: Mapping[str, Any],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        kl_nats = self._kl(student, states, cached["reference_head"], cached["forget_hidden"], "forget_hidden")
        metrics = {"forget_kl_nats": mean_over_sequences(kl_nats.detach(), counted)}
        bound = batch["bound_nats"][:, :-1][counted] if self.config.surprisal_share else self.config.bound
        if bound is not None:
            metrics["clipped_share"] = mean_over_sequences((kl_nats.detach() > bound).float(), counted)
            kl_nats = bound - (bound - kl_nats).abs() if self.config.surprisal_share else kl_nats.clamp(max=bound)
        return mean_over_sequences(kl_nats, counted), metrics

    def _kl(
        self, student: nn.Module, hidden: Tensor, reference_head: nn.Module, reference_hidden: Tensor, name: str
    ) -> Tensor:
        if len(reference_hidden) != len(hidden):
            raise ValueError(
                f"{name} holds {len(reference_hidden)} states; wanted {len(hidden)}, one for each counted position of"
                " the batch"
            )
        return kl_reference_to_model(
            reference_head, reference_hidden, output_head(student), hidden, self.config.temperature
        )

    def _cross_entropy(
        self, student: nn.Module, states: Float[Tensor, "batch prediction hidden"], batch: Mapping[str, Tensor]
    ) -> Tensor:
        labelled = terms.counted_positions(
            batch["retain_mask"], batch.get("retain_labelled", batch["retain_supervised"])
        )
        if not labelled.any():
            raise ValueError(
                f"scrub.gamma is {self.config.gamma}, but no retain token counts; wanted a retain set with supervised"
                " tokens, or gamma = 0"
            )
        return -terms.mean(
            terms.token_logprobs(output_head(student), states[labelled], batch["retain_ids"][:, 1:][labelled])
        )


def _retain_states(student: nn.Module, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch prediction hidden"]:
    """Run the student once over the retain sequences, for both of their terms."""
    return last_hidden(student, batch["retain_ids"], batch["retain_mask"])[:, :-1]


def mean_over_sequences(values: Float[Tensor, " rows"], counted: Bool[Tensor, "batch prediction"]) -> Float[Tensor, ""]:
    """Return the mean over sequences of the mean over each one's counted positions; sequences without any are left out.

    Args:
        values: One number for each counted position, in row-major order.
        counted: Which positions these are.

    Returns:
        The mean; 0 where nothing counts.
    """
    lengths = counted.sum(1)
    present = int((lengths > 0).sum())
    weights = (1.0 / lengths.clamp(min=1)).repeat_interleave(lengths)
    return (values * weights).sum() / max(1, present)


def kl_reference_to_model(
    reference_head: nn.Module,
    reference_hidden: Float[Tensor, "rows hidden"],
    head: nn.Module,
    hidden: Float[Tensor, "rows hidden"],
    temperature: float = 1.0,
) -> Float[Tensor, " rows"]:
    """Return T^2 KL(softmax(z_0 / T) || softmax(z / T)) of every row, in nats; logits exist a chunk of rows at a time.

    Args:
        reference_head: Output head of the frozen model.
        reference_hidden: Its last hidden states; no gradient flows there.
        head: Output head of the model that is trained.
        hidden: Its last hidden states.
        temperature: T, > 0. T^2 keeps the size of gradients: without it they would fall as 1 / T^2.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, for T^2.
    """
    if not len(hidden):
        return hidden.sum(-1).float()

    def divergence(reference_rows: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            reference_log_p = (apply_head(reference_head, reference_rows) / temperature).log_softmax(-1)
        log_p = (apply_head(head, rows) / temperature).log_softmax(-1)
        return temperature**2 * terms.kl_rows(reference_log_p, log_p)

    chunks = row_chunks(len(hidden), output_size(head, hidden), hidden.device)
    if len(chunks) == 1:
        return divergence(reference_hidden, hidden)
    return torch.cat(
        [checkpoint(divergence, reference_hidden[chunk], hidden[chunk], use_reentrant=False) for chunk in chunks]
    )
