"""A real book and a real, if small, checkpoint, where they lie beside the checkout."""

from pathlib import Path

import pytest

from tests.benchmarks.books import request
from tests.benchmarks.over_seeds import measure

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / "tiny_lms" / "books").is_dir(), reason="needs the books and models beside the checkout"
    ),
]


def test_the_wizard_of_oz_is_forgotten_with_anchors_found_by_the_pipeline(flow_home: Path) -> None:
    metrics = measure(request(DATA), 0, [])["metrics"]

    def ratio(name: str) -> float:
        return metrics[name]["unlearned"] / metrics[name]["target"]

    assert ratio("forget_test/familiarity_first") <= 0.10
    assert ratio("forget_test/familiarity_interior") <= 0.30
    assert ratio("retain_test/perplexity") <= 1.03
    assert ratio("general/perplexity") <= 1.03
    assert ratio("sibling/perplexity") <= 1.13
