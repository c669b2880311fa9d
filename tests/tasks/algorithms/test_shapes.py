"""Claims: shapes are checked while the tests run; without jaxtyping the annotations are plain types."""

import runpy
import sys

import jaxtyping
import pytest
import torch

from tasks.algorithms import shapes
from tasks.algorithms.measuring.metrics import token_statistics


def test_a_wrong_shape_is_refused_while_the_tests_run() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        token_statistics(torch.zeros(3, 5), torch.zeros(2, dtype=torch.long))


def test_without_jaxtyping_annotations_are_plain_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jaxtyping", None)
    bare = runpy.run_path(shapes.__file__)
    assert bare["Float"][torch.Tensor, "batch seq"] is torch.Tensor
    assert bare["Int"][torch.Tensor, " rows"] is bare["Bool"][torch.Tensor, ""] is torch.Tensor
