"""Claims: anchors are what the forget text alone is fond of, one for all spellings of a name, in two passes over the
text.
"""

import math
from collections.abc import Iterator

import pytest

from tasks.algorithms.text.anchors import Anchor
from tasks.algorithms.text.distinctive import log_odds_z, select_anchors, tally_text
from tasks.settings.text import AnchorConfig

FORGET = [
    "They saw Dorothy in the Emerald City with the Tin Woodman. Then Dorothy left London with Toto and a dog. "
] * 8
BACKGROUND = [
    "The man left London with a dog and saw the city of London; then the men left London too. They left a Tin there."
] * 8
CONFIG = AnchorConfig(pipeline="none", min_count=3, min_log_odds_z=1.0)


def terms(anchors: list[Anchor]) -> list[str]:
    return [anchor.term for anchor in anchors]


def selected(text: str, **changes: object) -> dict[str, int]:
    """Return term -> count of a text without background."""
    return {
        anchor.term: anchor.count
        for anchor in select_anchors({}, [text], [], AnchorConfig(**{"min_count": 1} | changes))
    }


def user_anchor(term: str, kind: str = "") -> Anchor:
    return Anchor(term=term, kind=kind, count=0, log_odds_z=0.0, origin="user")


def test_log_odds_by_hand() -> None:
    scores = log_odds_z({"oz": 3, "the": 5}, {"the": 7, "cat": 1})
    # priors: a_oz = 0.01 * (3 + 0) + 0.01 = 0.04, a_the = 0.01 * (5 + 7) + 0.01 = 0.13, a_0 = 0.01 * (8 + 8) +
    # 0.01 * 2 = 0.18
    oz = math.log(3.04 / (8.18 - 3.04)) - math.log(0.04 / (8.18 - 0.04))  # 4.790
    the = math.log(5.13 / (8.18 - 5.13)) - math.log(7.13 / (8.18 - 7.13))  # -1.396
    assert scores["oz"] == pytest.approx(oz / math.sqrt(1 / 3.04 + 1 / 0.04), abs=1e-12)  # 0.952
    assert scores["the"] == pytest.approx(the / math.sqrt(1 / 5.13 + 1 / 7.13), abs=1e-12)  # -2.411
    assert scores["oz"] == pytest.approx(0.952, abs=1e-3)
    assert scores["the"] == pytest.approx(-2.411, abs=1e-3)


def test_log_odds_are_antisymmetric_in_the_two_texts() -> None:
    ours, theirs = {"oz": 9, "the": 40}, {"oz": 2, "the": 60}
    forward, backward = log_odds_z(ours, theirs), log_odds_z(theirs, ours)
    assert all(forward[word] == pytest.approx(-backward[word], abs=1e-12) for word in ours)


def test_a_text_of_one_word_has_a_finite_score() -> None:
    assert math.isfinite(log_odds_z({"oz": 3}, {})["oz"])
    assert math.isfinite(log_odds_z({"oz": 3}, {"oz": 2})["oz"])


def test_a_tally_counts_as_it_is_written() -> None:
    tally = tally_text(["Then came the Tin Woodman. ", "The tin fell on the Tin Woodman."])
    assert (tally.words["Tin"], tally.words["tin"], tally.inside["Tin"], tally.inside["Then"]) == (2, 1, 2, 0)
    assert tally.runs == {"Tin Woodman": 2}
    assert tally.terms()["Tin Woodman"] == 2


def test_selection_drops_what_the_background_uses_as_much() -> None:
    found = terms(select_anchors({}, FORGET, BACKGROUND, CONFIG))
    assert found[0] == "Dorothy"
    assert {"Dorothy", "Emerald City", "Tin Woodman", "Toto"} == set(found)


def test_a_name_is_scored_as_it_is_written() -> None:
    """The background says `seven` more often than the forget text says `Seven`, which is a name there."""
    forget = ["The cards met Seven at noon, and the Queen saw Seven. "] * 4
    background = ["At seven the seven men met seven women. "] * 8
    assert "Seven" in terms(select_anchors({}, forget, background, CONFIG))


def test_a_run_may_be_distinctive_where_none_of_its_words_is() -> None:
    forget = ["They fired at Long Tom, and Tom ran away from all of them as they had fired. "] * 4
    background = ["There was Tom, and a Long Jim with Tom and Long Bill. "] * 9
    assert terms(select_anchors({}, forget, background, CONFIG)) == ["Long Tom"]


def test_without_a_background_no_name_is_left_out_for_its_score() -> None:
    assert set(terms(select_anchors({}, FORGET, [], CONFIG))) == {
        "Dorothy",
        "Emerald City",
        "Tin Woodman",
        "London",
        "Toto",
    }


def test_selection_counts_and_ranks_by_count() -> None:
    found = select_anchors({}, FORGET, BACKGROUND, CONFIG)
    assert [(anchor.term, anchor.count) for anchor in found] == [
        ("Dorothy", 16),
        ("Emerald City", 8),
        ("Tin Woodman", 8),
        ("Toto", 8),
    ]


def test_rare_terms_and_terms_beyond_the_limit_are_left_out() -> None:
    assert terms(select_anchors({}, FORGET, BACKGROUND, AnchorConfig(min_count=9))) == ["Dorothy"]
    assert terms(select_anchors({}, FORGET, BACKGROUND, AnchorConfig(max_anchors=2))) == ["Dorothy", "Emerald City"]


def test_a_run_is_as_distinctive_as_its_best_part() -> None:
    """`Tin` is ordinary in the background, `Woodman` is not."""
    scores = {anchor.term: anchor.log_odds_z for anchor in select_anchors({}, FORGET, BACKGROUND, CONFIG)}
    by_part = log_odds_z(tally_text(FORGET).terms(), tally_text(BACKGROUND).terms())
    assert scores["Tin Woodman"] == pytest.approx(
        max(by_part[part] for part in ("Tin", "Woodman", "Tin Woodman")), abs=5e-4
    )
    assert by_part["Tin"] < by_part["Woodman"]


def test_spellings_possessives_and_honorifics_are_one_anchor_in_its_most_frequent_form() -> None:
    text = (
        "He saw Tin Woodman and Tin-Woodman, then Tin Woodman's axe. We met Mr. Tin Woodman and the Tin\u00a0Woodman."
    )
    assert selected(text) == {"Tin Woodman": 5}


def test_a_word_that_is_mostly_lower_case_is_no_name() -> None:
    text = "A head, a head and a Head saw a Lion, a Lion and a lion on Monday. They said: what, What, what?"
    assert selected(text) == {"Lion": 2}


def test_two_names_that_an_article_parts_are_two() -> None:
    """Yet a name may hold an article, where what follows it is no name by itself."""
    text = (
        "She showed Dorothy the Emerald City. He saw the Emerald City and read of William the Conqueror. So did William"
        " the Conqueror."
    )
    assert selected(text) == {"Emerald City": 2, "William the Conqueror": 2}


def test_what_holds_a_dash_or_a_contraction_is_no_name() -> None:
    entities = {
        "Tortoise--": {"PERSON": 2},
        "Rabbit's--'Pat": {"PERSON": 2},
        "We'll": {"PERSON": 2},
        "Mrs.": {"PERSON": 9},
        "\u201cToto": {"PERSON": 1},
    }
    text = "of the Tortoise-- the Rabbit's--'Pat, as we said We'll see, we said, Mrs. and \u201cToto. " * 9
    assert set(terms(select_anchors(entities, [text], [], CONFIG))) == {"Tortoise", "Rabbit"}


def test_an_entity_keeps_its_kind_when_its_article_or_possessive_is_cut() -> None:
    entities = {"The Emerald City": {"PLACE": 3, "THING": 1}, "Dorothy's": {"PERSON": 2}, "Dorothy": {"GROUP": 1}}
    kinds = {anchor.term: anchor.kind for anchor in select_anchors(entities, FORGET, BACKGROUND, CONFIG)}
    assert kinds["Emerald City"] == "PLACE"
    assert kinds["Dorothy"] == "PERSON"
    assert kinds["Toto"] == "THING"


def test_origins_say_who_found_a_term() -> None:
    """`London` is no anchor; `Toto` opens no sentence, so both find it; `Sophy` is found by the pipeline alone."""
    forget = ["Sophy met Toto. "] * 5
    origins = {
        anchor.term: anchor.origin
        for anchor in select_anchors({"Toto": {"PERSON": 5}, "Sophy": {"PERSON": 5}}, forget, BACKGROUND, CONFIG)
    }
    assert origins == {"Toto": "entity+log-odds", "Sophy": "entity"}
    assert select_anchors({}, forget, BACKGROUND, CONFIG)[0].origin == "log-odds"


def test_a_users_terms_are_counted_and_scored_and_never_left_out() -> None:
    found = select_anchors(
        {"Toto": {"PERSON": 3}},
        FORGET,
        BACKGROUND,
        AnchorConfig(min_count=9),
        [user_anchor("Toto"), user_anchor("dog"), user_anchor("cat")],
    )
    assert [(anchor.term, anchor.count, anchor.kind, anchor.origin) for anchor in found] == [
        ("Dorothy", 16, "THING", "log-odds"),
        ("Toto", 8, "PERSON", "user"),
        ("dog", 8, "THING", "user"),
    ]
    assert {anchor.term: anchor.log_odds_z > 1 for anchor in found} == {"Dorothy": True, "Toto": True, "dog": False}


def test_a_users_spelling_of_what_was_found_too_is_the_term() -> None:
    assert "Tin-Woodman" in terms(
        select_anchors({}, FORGET, BACKGROUND, CONFIG, [user_anchor("Tin-Woodman", "PERSON")])
    )


def test_a_complete_list_is_joined_by_nothing() -> None:
    assert terms(select_anchors({}, FORGET, BACKGROUND, CONFIG, [user_anchor("Toto")], only_users=True)) == ["Toto"]


def test_a_text_without_names_has_no_anchors() -> None:
    assert select_anchors({}, ["all is quiet here"], BACKGROUND, CONFIG) == []
    assert select_anchors({}, [], [], CONFIG) == []


class Passage(str):
    """A text that says how many of its kind there are."""

    alive = most_alive = 0

    def __new__(cls, text: str) -> "Passage":
        cls.alive += 1
        cls.most_alive = max(cls.most_alive, cls.alive)
        return super().__new__(cls, text)

    def __del__(self) -> None:
        Passage.alive -= 1


class Passages:
    """Texts made as they are asked for; how often they were gone through is counted."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        for number in range(20):
            yield Passage(f"They saw Dorothy{number} in the Emerald City with the Tin Woodman. ")


def test_texts_are_gone_through_twice_and_never_held() -> None:
    """One is read while the one before it is let go."""
    passages = Passages()
    assert select_anchors({}, passages, BACKGROUND, CONFIG)[0].count == 20
    assert (passages.passes, Passage.most_alive, Passage.alive) == (2, 2, 0)
