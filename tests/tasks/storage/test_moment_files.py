"""Second moments are read as they were written, a layer at a time."""

import math
from pathlib import Path

import pytest
import torch

from tasks import store
from tasks.algorithms.editing.second_moments import SecondMoments
from tasks.artifacts import SecondMomentsRef
from tasks.storage.moment_files import read_moment, write_moments
from tasks.storage.plain_files import read_json


def test_a_layer_is_read_as_it_was_written_to_single_precision(lethe_home: Path) -> None:
    drawn = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, 4, 4, generator=drawn, dtype=torch.float64)
    moments = SecondMoments(matrices=matrices, tokens=70, change=math.inf, converged=True)
    digest = store.put("moments", lambda folder: write_moments(folder, moments), sensitivity="ordinary")
    kept = SecondMomentsRef(kind="moments", digest=digest, sensitivity="ordinary", tokens=70, converged=True)
    for layer, matrix in enumerate(matrices):
        found = read_moment(kept, layer)
        assert found.dtype == torch.float64
        assert torch.equal(found, matrix.float().double())
    about = read_json(store.path(kept) / "moments.json")
    assert about == {"tokens": 70, "change": None, "converged": True, "layers": 3}
    for layer in (-1, 3):
        with pytest.raises(ValueError, match=f"layer is {layer}; wanted 0 to 2"):
            read_moment(kept, layer)
