"""Direct preference optimisation: another answer, such as "I don't know", is preferred to the one that is to be
forgotten.

    loss = mean over rows of  -log sigmoid(b (r(preferred) - r(forget)))     (+ lambda * retain term)
    r(row) = log p_student(row) - log p_target(row), sums over a row's counted tokens

It is log 2 where the student is the target model, and bounded below by 0. There is no factor 2 / b here, unlike in NPO.
`idk` is this objective under the name that it has where the preferred answer is a refusal: which answers are preferred
is the batch's matter.

Source: Rafailov et al. 2023, arXiv:2305.18290, equation of DPO; b = 0.1; with refusals as in Maini et al. 2024, TOFU,
arXiv:2401.06121. Deviation: none. The target model is two cached numbers a row.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.algorithms.objectives import terms
from tasks.algorithms.objectives.two_terms import Term, TwoTerms
from tasks.settings.objectives.dpo import DPOConfig


class DPO(TwoTerms):
    """Prefer another answer to the forget rows'."""

    config_type = DPOConfig
    weighs_rows = True

    def forget_term(self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]) -> Term:
        """Return the mean over pairs, in nats, also as `forget_loss_nats`.

        Args:
            student: The model that is trained.
            batch: `ids`, `mask`, `supervised` of forget rows, `preferred_ids` and so on of the same prompts with the
                preferred answers, row by row, (batch, seq).
            cached: `reference_logprob`, `preferred_reference_logprob`, (batch,): the target's sums over both.
        """
        rows = len(batch["ids"])
        forgotten = terms.sequence_logprobs(student, batch) - terms.cached_logprobs(cached, "reference_logprob", rows)
        preferred = terms.sequence_logprobs(student, batch, "preferred_") - terms.cached_logprobs(
            cached, "preferred_reference_logprob", rows
        )
        forget = -functional.logsigmoid(self.config.b * (preferred - forgotten)).mean()
        return forget, {"forget_loss_nats": forget.detach()}
