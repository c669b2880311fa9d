"""Claims: edits that each stand alone are those of the model as it is, whatever is done with the ones before, and
however many are found in one batch; on a model that knows facts they score as the restatement's do.
"""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.contexts import rewrites_of
from tasks.algorithms.editing.rome import find_values, rank_one
from tasks.algorithms.editing.second_moments import cholesky, solver
from tasks.algorithms.editing.single import single_updates
from tasks.algorithms.models.architectures import mlp_weight
from tasks.algorithms.world.fact_edits import edit_requests
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditConfig, rank_one_preset
from tests.reference import edit_scores
from tests.reference import rome as reference
from tests.stand_ins.edit_requests import request_of
from tests.stand_ins.facts import SMALL_WORLD, TrainedFacts

CONFIG = EditConfig(short_contexts=2, long_contexts=0, steps=6, batch=2)
REQUESTS = [
    EditRequest(subject=subject, prompt="{} met", target=target)
    for subject, target in (("Jon", "Oz"), ("the White Rabbit", "Toto"), ("Alice", "Tom"))
]


@pytest.fixture
def given(tiny_gpt2: Any) -> tuple[Any, Any]:
    keys = torch.randn(400, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return tiny_gpt2(1, initializer_range=0.3).double(), solver(cholesky(keys.T @ keys / 400, 1e-2))


def test_each_is_the_edit_that_it_would_be_alone(given: tuple[Any, Any], tiny_tokenizer: Any) -> None:
    """Also where the caller has the edits before on the model meanwhile."""
    model, solve = given
    found = []
    for update, nats, seconds in single_updates(model, tiny_tokenizer, REQUESTS, 0, solve, CONFIG):
        with edited(model, [update]):
            found.append((update, nats))
        assert seconds > 0
    for request, (update, nats) in zip(REQUESTS, found, strict=True):
        (rewrite,) = rewrites_of(model, tiny_tokenizer, [request], CONFIG)
        (value,) = find_values(model, [rewrite], 0, CONFIG)
        wanted = rank_one(value, 0, solve)
        assert update.layer == 0
        torch.testing.assert_close(update.left @ update.right.T, wanted.left @ wanted.right.T, rtol=1e-6, atol=1e-9)
        assert nats == pytest.approx(value.nats, rel=1e-6)


def test_the_original_has_its_two_keys(given: tuple[Any, Any], tiny_tokenizer: Any) -> None:
    model, solve = given
    config = replace(CONFIG, keys="original")
    (one, _, _), *_ = single_updates(model, tiny_tokenizer, REQUESTS[:1], 0, solve, config)
    (other, _, _), *_ = single_updates(model, tiny_tokenizer, REQUESTS[:1], 0, solve, CONFIG)
    assert not torch.allclose(one.left, other.left)
    assert torch.equal(one.right, other.right)


def test_on_a_fact_model_edits_score_as_the_restatements_do(small_fact_model: TrainedFacts) -> None:
    model, tokenizer = small_fact_model.load()
    model.double()
    config = replace(rank_one_preset("default").edit, batch=3)
    requests = edit_requests(build_fact_world(SMALL_WORLD))[:3]
    keys = torch.randn(2000, max(mlp_weight(model, 0).shape), dtype=torch.float64, generator=torch.Generator())
    solve = solver(cholesky(keys.T @ keys / len(keys), 1e-2))
    rewrites = rewrites_of(model, tokenizer, requests, config)
    ours = [update for update, _, _ in single_updates(model, tokenizer, requests, 0, solve, config)]
    for request, rewrite, update in zip(requests, rewrites, ours, strict=True):
        plain = copy.deepcopy(model)
        found = reference.find_value(plain, request_of(rewrite), 0, config)
        wanted = reference.change_of_weights(found, solve)
        assert (update.left @ update.right.T - wanted).norm() <= 1e-4 * wanted.norm()
        with torch.no_grad():
            mlp_weight(plain, 0).add_(wanted.T)  # GPT-2 has its matrices the other way round
        theirs = edit_scores.scores(plain, tokenizer, request)
        with edited(model, [update]):
            scored = edit_scores.scores(model, tokenizer, request)
        assert scored["es"] == 1.0
        assert {name: scored[name] for name in ("es", "ps", "ns")} == {
            name: theirs[name] for name in ("es", "ps", "ns")
        }
