"""Claims: an edit is made where the model knows the fact and it stays within bounds, and taken back to the bit
where not; contexts are those of the model as it was given; MEMIT goes through the same bounds.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasks.algorithms.editing import contexts
from tasks.algorithms.editing.second_moments import cholesky, solver
from tasks.algorithms.editing.session import Session
from tasks.algorithms.editing.side_effects import gather_bystanders
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditBounds, EditConfig

CONFIG = EditConfig(short_contexts=2, long_contexts=1, steps=15)
PLANTED = replace(CONFIG, clamp=1e6, learning_rate=1e3, stop_nats=0.0)
"""v* is driven as far as it goes: an edit that disables the model."""
BOUNDS = EditBounds(largest_update=1.0, largest_perplexity_ratio=2.0, most_changed=1.0, most_nats=2.0)
KNOWN = EditRequest(subject="Jon", prompt="hello {}", target="Oz", neighborhood=("hello Tom", "hello Alice"))
"""Prompts end at their subjects, where even the last layer of random weights can be made to say anything."""
OTHER = EditRequest(subject="the White Rabbit", prompt="today {}", target="Toto")
UNKNOWN = replace(KNOWN, subject="Alice", object="the Emerald City")
TEXT = "The White Rabbit met Alice, a girl and a boy in a town."


@pytest.fixture
def made(tiny_gpt2: Callable[..., nn.Module], word_tokenizer: Any) -> Callable[..., Session]:
    """Return a factory of sessions on one and the same model."""

    def make(
        config: EditConfig = CONFIG, bounds: EditBounds = BOUNDS, layers: tuple[int, ...] = (1,), **more: Any
    ) -> Any:
        drawn = torch.Generator().manual_seed(0)
        keys = torch.randn(400, 128, generator=drawn, dtype=torch.float64)
        solve = solver(cholesky(keys.T @ keys / 400, 1e-2))
        rows = [word_tokenizer(TEXT)["input_ids"]]
        return Session(
            model=tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3),
            tokenizer=word_tokenizer,
            layers=layers,
            solves=(solve,) * len(layers),
            config=config,
            bounds=bounds,
            bystanders=gather_bystanders(word_tokenizer, [KNOWN, OTHER], rows, bounds),
            filler=0,
            **more,
        )

    return make


def weights(session: Session) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in session.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def chance(session: Session, request: EditRequest) -> float:
    """p(first token of the target) after the prompt."""
    ids = session.tokenizer(request.question)["input_ids"]
    (first, *_) = session.tokenizer(f" {request.target}")["input_ids"]
    with torch.no_grad():
        return session.model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)[first].item()


def test_an_edit_is_on_the_model_and_is_the_update_that_is_returned(made: Any) -> None:
    session, bare = made(), made()
    before = chance(session, KNOWN)
    edited, updates = session.edit(KNOWN)
    assert (edited.status, edited.made, edited.reasons) == ("edited", True, ())
    assert chance(session, KNOWN) > 100 * before
    assert [update.layer for update in updates] == [1]
    updates[0].apply(bare.model)
    assert same(weights(session), weights(bare))
    assert set(edited.figures) >= {"nats", "steps", "update_share", "seconds", "perplexity_ratio", "changed_share"}


def test_a_fact_that_the_model_does_not_know_is_said_and_left_alone(made: Any) -> None:
    session = made()
    before = weights(session)
    edited, updates = session.edit(UNKNOWN)
    assert (edited.status, edited.made, updates) == ("not known", False, [])
    assert edited.reasons == (f"the model says {edited.said!r}; wanted 'the Emerald City'",)
    assert same(weights(session), before)


def test_force_edits_what_is_not_known_and_says_so(made: Any) -> None:
    session = made(force=True)
    edited, updates = session.edit(UNKNOWN)
    assert (edited.status, edited.made, len(updates)) == ("not known", True, 1)
    assert "wanted 'the Emerald City'" in edited.reasons[0]


def test_a_planted_disabling_edit_is_caught_and_taken_back_to_the_bit(made: Any) -> None:
    """Within these bounds is the same edit in the usual settings."""
    assert made().edit(KNOWN)[0].status == "edited"
    session = made(PLANTED)
    before = weights(session)
    edited, updates = session.edit(KNOWN)
    assert (edited.status, edited.made, updates) == ("disabling", False, [])
    assert "wanted at most 1 (bounds.largest_update)" in edited.reasons[0]
    assert edited.figures["update_share"] > 100
    assert same(weights(session), before)


def test_after_a_disabling_edit_the_next_is_as_if_it_had_not_been_tried(made: Any) -> None:
    tried, untried = made(PLANTED), made()
    tried.edit(KNOWN)
    tried.config = CONFIG
    (one,), (other,) = tried.edit(OTHER)[1], untried.edit(OTHER)[1]
    assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)


def test_force_makes_a_disabling_edit_and_says_what_it_does(made: Any) -> None:
    session = made(PLANTED, force=True)
    before = weights(session)
    edited, updates = session.edit(KNOWN)
    assert (edited.status, edited.made, len(updates)) == ("disabling", True, 1)
    assert edited.reasons and not same(weights(session), before)


def test_an_edit_that_does_not_take_is_made_and_called_weak(made: Any) -> None:
    session = made(replace(CONFIG, steps=1, learning_rate=1e-3))
    edited, updates = session.edit(KNOWN)
    assert (edited.status, edited.made, len(updates)) == ("weak", True, 1)
    (reason,) = edited.reasons
    assert reason.startswith("the new object still costs ") and "(bounds.most_nats)" in reason
    together, _ = made(replace(CONFIG, steps=1, learning_rate=1e-3, algorithm="memit")).edit_together([KNOWN])
    assert [one.status for one in together] == ["weak"]


def test_other_facts_bound_an_edit_its_own_neighbors_among_them(made: Any) -> None:
    session = made(
        PLANTED, replace(BOUNDS, largest_update=math.inf, largest_perplexity_ratio=math.inf, most_changed=0.0)
    )
    edited, _ = session.edit(KNOWN)
    assert edited.status == "disabling"
    assert edited.reasons == ("100% of other facts are answered otherwise; wanted at most 0 (bounds.most_changed)",)


def test_contexts_of_edits_do_not_depend_on_earlier_edits(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn once, from the model as it was given; an edit that changed the model changes no later context."""
    session = made(replace(CONFIG, learning_rate=5.0, clamp=50.0), force=True)
    rewrite = session._rewrite(OTHER)
    session.edit(KNOWN)
    assert session._rewrite(OTHER) == rewrite
    assert rewrite == made()._rewrite(OTHER)
    # and drawn from what it is now, they would be others
    now = contexts.beginnings(session.model, session.tokenizer, session.config)
    assert now != contexts.beginnings(made().model, session.tokenizer, session.config)


def test_an_edit_on_top_of_another_is_asked_of_the_edited_model(made: Any) -> None:
    session = made()
    session.edit(KNOWN)
    again = session._asked(replace(KNOWN, target="Toto", object="Oz"))
    assert again.status == "edited" and again.said == "Oz"


def test_memit_edits_known_facts_together_within_the_same_bounds(made: Any) -> None:
    session = made(replace(CONFIG, algorithm="memit", memit_moment_weight=0.01), layers=(0, 1))
    steps: list[tuple[int, int]] = []
    outcomes, updates = session.edit_together([KNOWN, UNKNOWN, OTHER], lambda done, of: steps.append((done, of)))
    assert [one.status for one in outcomes] == ["edited", "not known", "edited"]
    assert [one.made for one in outcomes] == [True, False, True]
    assert [update.layer for update in updates] == [0, 1]
    assert {update.left.shape[1] for update in updates} == {2}
    assert min(chance(session, KNOWN), chance(session, OTHER)) > 0.3
    assert outcomes[0].figures["nats"] != outcomes[2].figures["nats"]  # each has its own
    assert steps[-1][0] == steps[-1][1]
    bare = made()
    for update in updates:
        update.apply(bare.model)
    assert same(weights(session), weights(bare))


def test_a_planted_disabling_set_of_edits_is_taken_back_in_every_layer(made: Any) -> None:
    session = made(replace(PLANTED, algorithm="memit"), layers=(0, 1))
    before = weights(session)
    outcomes, updates = session.edit_together([KNOWN, UNKNOWN, OTHER])
    assert [one.status for one in outcomes] == ["disabling", "not known", "disabling"]
    assert not any(one.made for one in outcomes) and updates == []
    assert same(weights(session), before)


def test_memit_of_nothing_that_is_known_edits_nothing(made: Any) -> None:
    session = made(layers=(0, 1))
    before = weights(session)
    outcomes, updates = session.edit_together([UNKNOWN])
    assert ([one.status for one in outcomes], updates) == (["not known"], [])
    assert same(weights(session), before)
