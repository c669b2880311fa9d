"""Counts worked out by hand; the interval against a published example."""

import pytest

from tests.planted.confusion import Case, confusion, indistinct, wilson


def case(kind: str, tier: str, passed: bool, *failed: str) -> Case:
    return Case(seed=0, topic="a", kind=kind, tier=tier, passed=passed, failed=failed)


def test_wilson_interval_of_one_in_ten_and_of_none() -> None:
    # (0.1 + z^2/20 +- z sqrt(0.1 * 0.9 / 10 + z^2/400)) / (1 + z^2/10), z = 1.95996: (0.29207 +- 0.26733) / 1.38415
    assert wilson(1, 10) == pytest.approx((0.01788, 0.40415), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.16113), abs=1e-4)  # z^2/20 / (1 + z^2/20)
    assert wilson(20, 20) == pytest.approx((0.83887, 1.0), abs=1e-4)


def test_a_bad_kind_is_wrong_where_it_passes_and_a_good_one_where_it_fails() -> None:
    cases = [
        case("noisy", "gold", True),
        case("noisy", "gold", False, "healthy", "utility_kept"),
        case("noisy", "gold", False, "healthy"),
    ]
    cases += [case("retrained", "gold", True), case("retrained", "gold", False, "robust")]
    noisy, good = confusion(cases, "retrained")
    assert (noisy["cases"], noisy["passed"], noisy["wrong"]) == (3, 1, 1)
    assert noisy["failed_checks"] == {"healthy": 2, "utility_kept": 1}
    assert (good["cases"], good["passed"], good["wrong"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("kind", "wrong", "wanted"),
    [("noisy", 1, True), ("noisy", 2, False), ("retrained", 2, True), ("retrained", 3, False)],
)
def test_one_false_pass_and_two_false_fails_in_twenty_are_as_wanted(kind: str, wrong: int, wanted: bool) -> None:
    passes = [(number < wrong) == (kind == "noisy") for number in range(20)]
    (row,) = confusion([case(kind, "proxy", passed) for passed in passes], "retrained")
    assert (row["wrong"], row["as_wanted"]) == (wrong, wanted)


def test_tiers_are_counted_apart_and_what_a_tier_cannot_tell_is_said() -> None:
    rows = confusion([case("refusing", "gold", False, "robust"), case("refusing", "behavioural", True)], "retrained")
    assert [row["tier"] for row in rows] == ["gold", "behavioural"]
    (sentence,) = indistinct(rows, "retrained")
    assert sentence.startswith("At the behavioural tier refusing models pass in 1 of 1 cases")
