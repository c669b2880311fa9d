"""Claims: edits that each stand alone are those of the model as it is, whatever is done with the ones before, and
however many are found in one batch.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.algorithms.editing.changes import edited
from tasks.algorithms.editing.contexts import rewrites_of
from tasks.algorithms.editing.rome import find_values, rank_one
from tasks.algorithms.editing.second_moments import cholesky, solver
from tasks.algorithms.editing.single import single_updates
from tasks.settings.edit_request import EditRequest
from tasks.settings.rank_one_editing import EditConfig

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
