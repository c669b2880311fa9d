"""Claims: tokens have the roles of the published figure, average effects are means over facts with intervals over them,
and the layer to edit is the one whose MLP window helps most at the subject's last token.
"""

import math

import pytest
import torch

from tasks.algorithms.editing.causal_tracing import Trace
from tasks.algorithms.editing.effects import (
    EDITED,
    LAST_SUBJECT,
    Effect,
    average_effects,
    best_layer,
    named_layers,
    other_layers,
    ranked_layers,
    role_of,
)


def traced(grids: dict[str, list[list[float]]], subject: tuple[int, int], clean: float = 0.9) -> Trace:
    """A trace with grids of (layers, tokens), corrupted to 0.1."""
    restored = {state: torch.tensor(grid) for state, grid in grids.items()}
    return Trace(clean=clean, corrupted=0.1, restored=restored, subject=subject)


@pytest.mark.parametrize(
    ("subject", "length", "roles"),
    [
        (
            (1, 4),
            7,
            [
                None,
                "first subject token",
                "middle subject tokens",
                LAST_SUBJECT,
                "first subsequent token",
                "further tokens",
                "last token",
            ],
        ),
        ((1, 3), 5, [None, "first subject token", LAST_SUBJECT, "first subsequent token", "last token"]),
        ((0, 1), 3, [LAST_SUBJECT, "first subsequent token", "last token"]),  # one token is the last one
        ((1, 2), 3, [None, LAST_SUBJECT, "last token"]),  # what follows at once is the prompt's last
        ((1, 3), 3, [None, "first subject token", LAST_SUBJECT]),  # the prompt ends at its subject
    ],
)
def test_roles_of_tokens(subject: tuple[int, int], length: int, roles: list[str | None]) -> None:
    assert [role_of(token, subject, length) for token in range(length)] == roles


def test_effects_are_means_over_facts_of_means_over_a_roles_tokens() -> None:
    first = traced({"mlp": [[0.1, 0.3, 0.5, 0.7, 0.2, 0.4]]}, (1, 3))
    other = traced({"mlp": [[0.2, 0.6, 0.3]]}, (0, 2), clean=0.5)
    found = {effect.role: effect for effect in average_effects([first, other])}
    assert found[LAST_SUBJECT].mean == pytest.approx(((0.5 - 0.1) + (0.6 - 0.1)) / 2)
    assert found["first subject token"].mean == pytest.approx(((0.3 - 0.1) + (0.2 - 0.1)) / 2)
    # the second prompt has no token of these roles, and its last token follows its subject at once
    assert found["first subsequent token"].mean == pytest.approx(0.7 - 0.1)
    assert found["further tokens"].mean == pytest.approx(0.2 - 0.1)
    assert found["last token"].mean == pytest.approx(((0.4 - 0.1) + (0.3 - 0.1)) / 2)
    assert "middle subject tokens" not in found
    assert found[LAST_SUBJECT].share == pytest.approx(0.45 / ((0.8 + 0.4) / 2))


def test_middle_tokens_of_a_subject_count_together() -> None:
    found = average_effects([traced({"mlp": [[0.9, 0.2, 0.4, 0.9, 0.9]]}, (0, 4))])
    assert next(one.mean for one in found if one.role == "middle subject tokens") == pytest.approx(0.3 - 0.1)


def test_an_interval_holds_its_mean_and_one_fact_has_none() -> None:
    many = [traced({"mlp": [[0.1 + number / 20, 0.5]]}, (0, 1)) for number in range(10)]
    effect = next(one for one in average_effects(many) if one.role == LAST_SUBJECT)
    assert effect.low < effect.mean < effect.high
    assert effect == next(one for one in average_effects(many) if one.role == LAST_SUBJECT)  # seeded
    alone = average_effects(many[:1])[0]
    assert math.isnan(alone.low) and math.isnan(alone.high)


def test_no_total_effect_is_no_division_by_zero() -> None:
    assert average_effects([traced({"mlp": [[0.1, 0.1]]}, (0, 1), clean=0.1)])[0].share == 0


def test_the_layer_is_where_mlps_help_most_at_the_last_subject_token() -> None:
    """Other tokens and states have larger effects in other layers."""
    mlp = [[0.1, 0.3, 0.9], [0.1, 0.6, 0.1], [0.8, 0.2, 0.1]]
    hidden = [[0.1, 0.2, 0.1], [0.1, 0.2, 0.1], [0.1, 0.9, 0.1]]
    effects = average_effects([traced({"hidden": hidden, "mlp": mlp, "attention": hidden}, (0, 2))])
    assert EDITED == "mlp"
    assert best_layer(effects) == 1
    assert best_layer(effects, "hidden") == 2


def test_nothing_traced_is_refused() -> None:
    with pytest.raises(ValueError, match="no traces to average; wanted at least one fact"):
        average_effects([])
    other = Effect(state="hidden", role=LAST_SUBJECT, layer=0, mean=1.0, low=0.0, high=1.0, share=1.0)
    with pytest.raises(ValueError, match="no mlp effects at the last subject token"):
        best_layer([other])


MEANS = [0.1, 0.5, 0.5, -0.2, 0.3, 0.05]


def at_last_subject(means: list[float]) -> list[Effect]:
    return average_effects([traced({"mlp": [[0.9, 0.1 + mean] for mean in means]}, (0, 2))])


def test_layers_are_ranked_by_their_effect_and_of_equals_the_lower_one_comes_first() -> None:
    """The first token of the subject has more, and the same everywhere."""
    effects = at_last_subject(MEANS)
    assert ranked_layers(effects) == [1, 2, 4, 0, 5, 3]
    assert [named_layers(effects, count) for count in (1, 2, 4)] == [[1], [1, 2], [0, 1, 2, 4]]


def test_the_control_shares_no_layer_with_what_is_named_and_its_draw_is_seeded() -> None:
    effects = at_last_subject(MEANS)
    for count in (1, 2, 3):
        drawn = [other_layers(effects, count, seed) for seed in range(40)]
        assert drawn == [other_layers(effects, count, seed) for seed in range(40)]
        assert all(one == sorted({*one}) and len(one) == count for one in drawn)
        left = {*range(6)} - {*named_layers(effects, count)}
        assert {layer for one in drawn for layer in one} == left  # each of them, by some seed


def test_a_control_of_more_layers_than_are_left_is_refused() -> None:
    with pytest.raises(ValueError, match="4 other layers are wanted, and there are 2; wanted 2 at most"):
        other_layers(at_last_subject(MEANS), 4, 0)
