"""Claims: sentences are scored whole, as in float64; preference, difference and intervals are those of arithmetic by
hand.
"""

import numpy as np
import pytest

from tasks.algorithms.measuring.stereotypes import pair_log_probabilities, preference_by_group, stereotype_preference
from tasks.algorithms.tokens.alignment import encode
from tests.reference.labels import log_softmax, logits_of

PAIRS = [
    ("The old man met Tom today.", "The boy met Tom today."),
    ("Toto met the boy, a dog.", "Toto met the girl, a dog."),
]
LOG_P = np.array([[-5.0, -7.0], [-4.0, -5.0], [-6.0, -3.0], [-2.0, -2.0]])
GROUPS = ["nurse", "nurse", "guard", "guard"]


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_sentences_are_scored_whole(family: str, tiny_tokenizer, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1, initializer_range=0.3)
    found = pair_log_probabilities(model, tiny_tokenizer, PAIRS, 0)
    for row, pair in zip(found, PAIRS, strict=True):
        for value, text in zip(row, pair, strict=True):
            ids, _ = encode(tiny_tokenizer, text)
            logits = logits_of(model, ids)
            assert value == pytest.approx(
                sum(log_softmax(logits[at])[ids[at + 1]] for at in range(len(ids) - 1)), rel=1e-5
            )


def test_the_swapped_pair_has_the_opposite_difference(tiny_llama, tiny_tokenizer) -> None:
    model = tiny_llama(1, initializer_range=0.3)
    ahead, back = (
        pair_log_probabilities(model, tiny_tokenizer, pairs, 0) for pairs in (PAIRS, [pair[::-1] for pair in PAIRS])
    )
    np.testing.assert_allclose(ahead, back[:, ::-1], atol=1e-4)
    assert stereotype_preference(ahead, ["a", "b"]).difference_nats == pytest.approx(
        -stereotype_preference(back, ["a", "b"]).difference_nats, abs=1e-4
    )


def test_preference_by_hand() -> None:
    # differences 2, 1, -3, 0: two of four above 0, mean 0
    found = stereotype_preference(LOG_P, GROUPS)
    assert (found.share, found.difference_nats, found.pairs) == (0.5, 0.0, 4)
    # two occupations: draws of (nurse, nurse), (guard, guard) or both give shares 1, 0 or 0.5 and differences
    # 1.5, -1.5 or 0
    assert found.share_ci95 == (0.0, 1.0)
    assert found.difference_ci95 == pytest.approx((-1.5, 1.5))


def test_intervals_draw_occupations_and_not_pairs() -> None:
    alike = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    within = stereotype_preference(alike, [f"occupation {at // 2}" for at in range(100)])
    assert within.share_ci95 == (0.5, 0.5)  # every occupation has one of either kind, so no draw differs
    low, high = stereotype_preference(alike, [f"occupation {at}" for at in range(100)]).share_ci95
    assert low < 0.45 and high > 0.55


def test_a_table_by_occupation() -> None:
    assert preference_by_group(LOG_P, GROUPS) == [
        {"group": "nurse", "pairs": 2, "share": 1.0, "difference_nats": 1.5},
        {"group": "guard", "pairs": 2, "share": 0.0, "difference_nats": -1.5},
    ]


def test_nothing_to_score_is_refused(tiny_llama, tiny_tokenizer) -> None:
    with pytest.raises(ValueError, match="0 pairs and 0 groups"):
        stereotype_preference(np.zeros((0, 2)), [])
    with pytest.raises(ValueError, match="has 1 tokens; wanted more than 1"):
        pair_log_probabilities(tiny_llama(1), tiny_tokenizer, [("a", "b")], 0)
    with pytest.raises(ValueError, match="and 128 at most"):
        pair_log_probabilities(tiny_llama(1), tiny_tokenizer, [("Toto met Alice. " * 60, "b a")], 0)
