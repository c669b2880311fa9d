"""Two models of one architecture, far apart: the student, and the frozen model that it started from."""

from typing import NamedTuple

import pytest
from torch import nn


class Pair(NamedTuple):
    student: nn.Module
    frozen: nn.Module


@pytest.fixture(params=["tiny_llama", "tiny_gpt2"])
def pair(request: pytest.FixtureRequest) -> Pair:
    make = request.getfixturevalue(request.param)
    return Pair(*(make(seed, vocab_size=40, initializer_range=0.3) for seed in (1, 2)))
