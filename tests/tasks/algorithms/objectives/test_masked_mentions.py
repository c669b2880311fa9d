"""Claims: what a position sees is what the plain restatement says; a hidden word has no way into what follows; where
nothing is hidden the loss is plain language modelling.
"""

import pytest
import torch

from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.objectives.masked_mentions import MaskedMentions, attention_bias
from tests.reference.mentions import visible

MENTION = [[0, 1, 1, 1, 0, 2, 2, 0], [3, 3, 0, 4, 4, 4, 0, 0]]
HIDDEN = [[0, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0, 0, 0]]
FAMILIES = ["tiny_llama", "tiny_gpt2"]


def batch(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    marks = {"mention": torch.tensor(MENTION), "hidden": torch.tensor(HIDDEN).bool()}
    return {"ids": ids, "mask": torch.ones_like(ids), **marks}


def some_ids(seed: int = 0) -> torch.Tensor:
    return torch.randint(1, 300, (2, 8), generator=torch.Generator().manual_seed(seed))


def test_what_a_position_sees_is_what_the_restatement_says() -> None:
    bias = attention_bias(torch.tensor(MENTION), torch.tensor(HIDDEN).bool(), torch.float64)
    assert bias.shape == (2, 1, 8, 8)
    assert (bias[:, 0] == 0).tolist() == visible(MENTION, HIDDEN)
    assert bias[bias != 0].unique().tolist() == [torch.finfo(torch.float64).min]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_restatements(family: str, request: pytest.FixtureRequest) -> None:
    """One sequence at a time, one position at a time: a prefix in which what is hidden is padding to the last token."""
    model = request.getfixturevalue(family)(1, initializer_range=0.3).double().eval()
    ids = some_ids()
    seen = visible(MENTION, HIDDEN)
    losses = []
    for row in range(2):
        mask = torch.tensor(seen[row], dtype=torch.bool)[None, None]
        bias = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, torch.finfo(torch.float64).min)
        logits = model(input_ids=ids[row : row + 1], attention_mask=bias).logits[0]
        losses += [-logits[at].log_softmax(-1)[ids[row, at + 1]].item() for at in range(7)]
    found = MaskedMentions().loss(model, batch(ids), {})[0].item()
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_word_reaches_what_follows_through_the_last_word_alone(
    family: str, request: pytest.FixtureRequest
) -> None:
    """With one layer nothing is passed on: another hidden word changes no state outside of its mention."""
    depth = {"tiny_llama": "num_hidden_layers", "tiny_gpt2": "n_layer"}[family]
    model = request.getfixturevalue(family)(2, initializer_range=0.3, **{depth: 1}).eval()
    ids, marks = some_ids(), batch(some_ids())
    bias = attention_bias(marks["mention"], marks["hidden"], torch.float32)
    changed = ids.clone()
    changed[0, 1] = (ids[0, 1] + 5) % 300
    states, other = (
        model.base_model(input_ids=tokens, attention_mask=bias).last_hidden_state[0] for tokens in (ids, changed)
    )
    moved = (states - other).abs().amax(-1) > 1e-6
    assert moved.tolist() == [False, True, True, True, False, False, False, False]


@pytest.mark.parametrize("family", FAMILIES)
def test_where_nothing_is_hidden_it_is_plain_language_modelling(family: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(3, initializer_range=0.3).eval()
    given = batch(some_ids(1))
    given["hidden"] = torch.zeros_like(given["hidden"])
    plain = CausalLM().loss(model, given, {})[0].item()
    assert MaskedMentions().loss(model, given, {})[0].item() == pytest.approx(plain, rel=1e-6)
    given["hidden"] = torch.tensor(HIDDEN).bool()
    assert MaskedMentions().loss(model, given, {})[0].item() != pytest.approx(plain, rel=1e-4)


def test_a_token_counts_by_its_weight(tiny_gpt2) -> None:
    """Token 3 of the first row counts five times, the last of the second one not at all; a first token is foreseen by
    none.
    """
    model = tiny_gpt2(4, initializer_range=0.3).eval()
    given, weights = batch(some_ids(2)), torch.ones(2, 8)
    weights[0, 3], weights[1, 7], weights[0, 0] = 5.0, 0.0, 100.0
    bias = attention_bias(given["mention"], given["hidden"], torch.float32)
    log_p = model(input_ids=given["ids"], attention_mask=bias).logits.double().log_softmax(-1)
    losses = [[-log_p[row, at, given["ids"][row, at + 1]].item() for at in range(7)] for row in range(2)]
    expected = (sum(losses[0]) + 4 * losses[0][2] + sum(losses[1][:-1])) / (14 + 4 - 1)
    assert MaskedMentions().loss(model, given | {"weights": weights}, {})[0].item() == pytest.approx(expected, rel=1e-6)
