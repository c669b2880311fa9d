"""Claims: figures are the arithmetic of hand-made records; intervals draw whole facts; what was not asked is absent."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from tasks.algorithms.measuring.edit_figures import (
    HARMONIC,
    LENS,
    SCORES,
    edit_figures,
    harmonic,
    not_measured,
    perplexity_ratio,
    probability,
    request_scores,
)
from tasks.algorithms.measuring.edit_questions import TOGETHER
from tasks.algorithms.measuring.edit_scores import EditRecords, ObjectScore, TextScore
from tasks.algorithms.measuring.edit_texts import WrittenText
from tasks.algorithms.measuring.metrics import cluster_bootstrap
from tasks.settings.edit_request import EditRequest


def row(request: int, role: str, kind: str, p: float, hits: str = "1", number: int = 0) -> ObjectScore:
    """Return a record whose geometric mean probability is `p`."""
    size = len(hits)
    return ObjectScore(
        request=request,
        role=role,
        number=number,
        object=kind,
        log_p_nats=size * math.log(p),
        hits=tuple(hit == "1" for hit in hits),
    )


def edits(count: int) -> list[EditRequest]:
    return [EditRequest(subject=f"Name {at}", prompt="{} is", target="new", object="old") for at in range(count)]


BY_HAND = EditRecords(
    objects=(
        # edit 0: all as wanted, one paraphrase of two
        row(0, "rewrite", "new", 0.9, "11"),
        row(0, "rewrite", "old", 0.1, "0"),
        row(0, "paraphrase", "new", 0.6, "11"),
        row(0, "paraphrase", "old", 0.2, "0"),
        row(0, "paraphrase", "new", 0.2, "10", number=1),
        row(0, "paraphrase", "old", 0.5, "1", number=1),
        row(0, "neighborhood", "new", 0.1, "00"),
        row(0, "neighborhood", "old", 0.7, "1"),
        row(0, "name_sharer", "own", 0.3, "1"),
        row(0, "name_sharer", "new", 0.4, "00"),
        row(0, "portability", "own", 0.5, "1101"),
        row(0, "unrelated", "own", 0.5, "10"),
        row(0, "unrelated", "said", 0.5, "11"),
        row(0, "unrelated", "said", 0.5, "110", number=1),
        # edit 1: in vain; the longer object would win by its sum
        row(1, "rewrite", "new", 0.3, "10"),
        row(1, "rewrite", "old", 0.4, "1111"),
        row(1, "neighborhood", "new", 0.5, "11"),
        row(1, "neighborhood", "old", 0.2, "0"),
        row(1, "unrelated", "said", 0.5, "1"),
    )
)
EXPECTED = {
    "es": {0: 1, 1: 0},
    "em": {0: 0.8, 1: -0.1},
    "ps": {0: 0.5},
    "pm": {0: (0.4 - 0.3) / 2},
    "ns": {0: 1, 1: 0},
    "nm": {0: 0.6, 1: -0.3},
    "ns_name_sharers": {0: 0},
    "nm_name_sharers": {0: -0.1},
    "s": {0: 3 / (1 + 2 + 1)},
    "rewrite_new_share": {0: 1, 1: 0},
    "rewrite_old_share": {0: 0, 1: 1},
    "paraphrase_new_share": {0: 0.5},
    "paraphrase_old_share": {0: 0.5},
    "neighborhood_new_share": {0: 0, 1: 1},
    "neighborhood_old_share": {0: 1, 1: 0},
    "name_sharers_new_share": {0: 0},
    "name_sharers_own_share": {0: 1},
    "rewrite_new_probability": {0: 0.9, 1: 0.3},
    "rewrite_old_probability": {0: 0.1, 1: 0.4},
    "paraphrase_new_probability": {0: 0.4},
    "paraphrase_old_probability": {0: 0.35},
    "zsre_rewrite": {0: 1, 1: 0.5},
    "zsre_paraphrase": {0: 0.75},
    "zsre_unrelated": {0: 0.5},
    "portability": {0: 0.75},
    "portability_share": {0: 0},
    "alteration": {0: 0.5, 1: 0},
}


def test_scores_of_hand_made_records() -> None:
    found = request_scores(BY_HAND, edits(2))
    assert set(found) == set(EXPECTED) == {*SCORES, "s"}
    for name, own in EXPECTED.items():
        assert found[name] == {at: pytest.approx(value) for at, value in own.items()}, name


def test_figures_are_means_over_edits_and_s_is_of_the_means() -> None:
    figures = edit_figures(BY_HAND, edits(2))
    for name, own in EXPECTED.items():
        if name not in ("s", "alteration"):
            assert (figures[name].value, figures[name].n) == (pytest.approx(np.mean(list(own.values()))), len(own))
    assert figures["s"].value == pytest.approx(3 / (1 / 0.5 + 1 / 0.5 + 1 / 0.5))
    assert figures["alteration"].value == pytest.approx(1 / 3)
    assert (figures["s"].n, figures["alteration"].n) == (2, 3)
    assert not_measured(figures) == ["ge", "rs", LENS, "perplexity"]


def test_the_harmonic_mean_is_0_where_one_is_0_and_there_is_none_where_one_is_missing() -> None:
    assert harmonic([1, 0.5, 0]) == 0
    without = EditRecords(objects=tuple(one for one in BY_HAND.objects if one.role != "paraphrase"))
    figures = edit_figures(without, edits(2))
    assert "s" not in figures
    assert set(not_measured(figures)) >= {"s", "ps", "zsre_paraphrase"}
    assert "s" not in request_scores(without, edits(2))


def test_an_edit_without_an_old_object_is_asked_for_the_new_one_alone() -> None:
    found = request_scores(EditRecords(objects=(row(0, "rewrite", "new", 0.5, "1"),)), edits(1))
    assert set(found) == {"rewrite_new_share", "rewrite_new_probability", "zsre_rewrite"}


def test_nothing_measured_is_nothing_said() -> None:
    assert edit_figures(EditRecords(), edits(2)) == {}
    assert not_measured([]) == [*SCORES, "s", "ge", "rs", LENS, "perplexity"]


def many(good: int, count: int, facts: int) -> tuple[EditRecords, list[EditRequest]]:
    """Return `count` edits of `facts` facts of which the first `good` have taken."""
    objects = [
        one
        for at in range(count)
        for one in (row(at, "rewrite", "new", 0.5 if at < good else 0.1), row(at, "rewrite", "old", 0.3))
    ]
    return EditRecords(objects=tuple(objects)), [edits(facts)[at * facts // count] for at in range(count)]


def test_intervals_draw_facts() -> None:
    records, requests = many(90, 100, 100)
    figure = edit_figures(records, requests)["es"]
    taken = np.array([1.0] * 90 + [0.0] * 10)
    assert figure.ci95 == cluster_bootstrap(taken, [str(at) for at in range(100)])
    assert 0.8 < figure.ci95[0] < 0.9 < figure.ci95[1] < 0.97
    records, requests = many(90, 100, 10)
    low, high = edit_figures(records, requests)["es"].ci95  # ten facts, one of them never edited
    assert low < 0.75 and high == 1


def three(scores: list[tuple[float, float, float]]) -> EditRecords:
    """Return an edit a triple; a probability of the wanted object above 0.5 counts as success."""
    objects = []
    for at, triple in enumerate(scores):
        for role, wanted, p in zip(
            ("rewrite", "paraphrase", "neighborhood"), ("new", "new", "old"), triple, strict=True
        ):
            other = "old" if wanted == "new" else "new"
            objects += [row(at, role, wanted, p), row(at, role, other, 0.5)]
    return EditRecords(objects=tuple(objects))


def test_the_interval_of_s_is_that_of_the_harmonic_mean_of_drawn_means() -> None:
    drawn = np.random.default_rng(1)
    triples = [tuple(0.9 if drawn.random() < p else 0.1 for p in (0.95, 0.8, 0.7)) for _ in range(60)]
    figure = edit_figures(three(triples), edits(60))["s"]
    taken = np.array(triples) > 0.5
    assert figure.value == pytest.approx(3 / (1 / taken.mean(0)).sum())
    picks = np.random.default_rng(0).integers(0, 60, size=(1000, 60))
    slow = [3 / sum(1 / np.mean([taken[at, part] for at in pick]) for part in range(3)) for pick in picks]
    assert figure.ci95 == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))
    assert figure.ci95[0] < figure.value < figure.ci95[1]


def test_a_draw_without_neighbors_does_not_count_for_s() -> None:
    bare = three([(0.9, 0.9, 0.9)] * 3)
    objects = tuple(one for one in bare.objects if one.role != "neighborhood" or one.request == 0)
    figure = edit_figures(EditRecords(objects=objects), edits(3))["s"]
    assert (figure.value, figure.ci95) == (1, (1, 1))


def test_alteration_has_an_exact_interval_that_is_honest_about_none() -> None:
    def altered(changed: int, facts: int, request: int = TOGETHER) -> tuple[ObjectScore, ...]:
        return tuple(
            row(request, "unrelated", "said", 0.5, "0" if at < changed else "1", number=at) for at in range(facts)
        )

    none = edit_figures(EditRecords(objects=altered(0, 100)), edits(1))["alteration"]
    assert (none.value, none.n) == (0, 100)
    assert none.ci95 == (0, pytest.approx(1 - 0.025 ** (1 / 100)))
    some = edit_figures(EditRecords(objects=altered(3, 100)), edits(1))["alteration"]
    assert some.ci95 == pytest.approx((beta.ppf(0.025, 3, 98), beta.ppf(0.975, 4, 97)))
    # ten edits alone, one of which changes everything: it could as well have been none or three of them
    alone = tuple(one for at in range(10) for one in altered(100 if at == 0 else 0, 100, at))
    figure = edit_figures(EditRecords(objects=alone), edits(10))["alteration"]
    assert (figure.value, figure.n) == (0.1, 1000)
    assert figure.ci95[0] == 0 and figure.ci95[1] >= 0.3


def test_entropy_likeness_and_seconds_are_means_over_edits() -> None:
    requests = [replace(one, references=("the Tin Woodman met Toto",)) for one in edits(2)]
    written = tuple(
        WrittenText(request=at, number=number, text=text)
        for at, number, text in ((0, 0, "Toto met Toto"), (0, 1, "and and"), (1, 0, "met"))
    )
    found = edit_figures(EditRecords(written=written), requests, seconds={0: 1.0, 1: 3.0})
    assert set(found) == {"ge", "rs", "seconds"}
    # two bigrams and one trigram in the first text: (2/3 * 1 + 0) / 2; nothing in the other two
    assert found["ge"].value == pytest.approx(((1 / 3 + 0) / 2 + 0) / 2)
    assert (found["seconds"].value, found["seconds"].n) == (2, 2)
    assert 0 < found["rs"].value < 1


def windows(*nats: float) -> tuple[TextScore, ...]:
    return tuple(TextScore(text=0, window=at, log_p_nats=-value, tokens=10) for at, value in enumerate(nats))


def test_perplexity_and_its_ratio_by_hand() -> None:
    before, after = windows(20, 30), windows(21, 33)
    assert edit_figures(EditRecords(texts=before), [])["perplexity"].value == pytest.approx(math.exp(50 / 20))
    ratio = perplexity_ratio(before, after)
    assert (ratio.value, ratio.n) == (pytest.approx(math.exp(4 / 20)), 2)
    assert ratio.ci95 == pytest.approx((math.exp(0.1), math.exp(0.3)))
    assert perplexity_ratio(before, before).value == 1
    for other in (windows(20), ()):
        with pytest.raises(ValueError, match="wanted the same texts scored by both"):
            perplexity_ratio(before, other)
    with pytest.raises(ValueError, match="or there is none"):
        perplexity_ratio((), ())


def test_windows_that_many_edits_are_scored_on_are_drawn_once_with_all_of_them() -> None:
    before, after = windows(20, 30), windows(21, 33)
    many_times = perplexity_ratio(before * 50, after * 50)
    once = perplexity_ratio(before, after)
    assert (many_times.value, many_times.n) == (pytest.approx(once.value), once.n)
    assert many_times.ci95 == pytest.approx(once.ci95)


def test_what_s_is_made_of_are_scores() -> None:
    assert set(HARMONIC) <= set(SCORES)
    assert probability(row(0, "rewrite", "new", 0.25, "111")) == pytest.approx(0.25)
