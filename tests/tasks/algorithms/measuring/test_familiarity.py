"""Claims: familiarity is the joint probability of whole anchors; a completion is judged by what its prompt
did not say.
"""

import math

import numpy as np
import pytest

from tasks.algorithms.measuring.familiarity import anchor_probabilities, names_anchor
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.tokens.alignment import AnchorSpan

LOG_P = np.log([0.5, 0.25, 0.5, 0.1])
"""Of the tokens 1 to 4 of a block."""


def span(start: int, end: int) -> AnchorSpan:
    return AnchorSpan(start=start, end=end, term="Tin Woodman")


def test_an_anchor_of_two_tokens_by_hand() -> None:
    # tokens 2 and 3: 0.25 and 0.5; both 0.125, first 0.25, the rest given the first 0.5
    assert anchor_probabilities(LOG_P, 1, [span(2, 4)]) == [pytest.approx((0.125, 0.25, 0.5), abs=1e-12)]


def test_an_anchor_of_one_token_has_no_rest() -> None:
    whole, first, rest = anchor_probabilities(LOG_P, 1, [span(4, 5)])[0]
    assert (whole, first) == pytest.approx((0.1, 0.1), abs=1e-12)
    assert math.isnan(rest)


def test_anchors_that_were_not_scored_in_full_are_left_out() -> None:
    assert anchor_probabilities(LOG_P, 1, [span(0, 2), span(4, 6)]) == []
    assert len(anchor_probabilities(LOG_P, 1, [span(0, 2), span(1, 5)])) == 1


@pytest.mark.parametrize(
    ("prompt", "completion", "named"),
    [
        ("A girl went", "with Dorothy", True),
        ("Dorothy went", "with Dorothy's dog", False),
        ("Dorothy went", "with the Tin Woodman", True),
        ("A girl went", "with Dorothea and tin", False),
        ("A girl went", "with two Dorothys", True),
        ("The Tin Woodman", "met Tin", True),
        ("The Tin-Woodman", "met the Tin\nWoodmans", False),
    ],
)
def test_a_completion_names_an_anchor_that_its_prompt_did_not(prompt: str, completion: str, named: bool) -> None:
    assert names_anchor(completion, prompt, anchor_expression(["Dorothy", "Tin", "Tin Woodman"])) is named
