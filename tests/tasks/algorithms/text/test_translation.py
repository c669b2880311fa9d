"""Claims: one name, one stand-in, whatever its surface form; no stand-in is an anchor word or serves twice."""

import re
from itertools import product

import pytest

from tasks.algorithms.text.anchors import Anchor, anchor_expression, find_anchors
from tasks.algorithms.text.translation import (
    GIVEN_NAMES,
    NOUNS,
    PLURALS,
    SURNAMES,
    Translation,
    check_translations,
    translate_offline,
)


def anchor(term: str, kind: str = "PERSON") -> Anchor:
    return Anchor(term=term, kind=kind, count=9, log_odds_z=3.0, origin="entity")


def users(pairs: dict[str, str]) -> list[Translation]:
    return [Translation(term=term, generic=generic, translator="user") for term, generic in pairs.items()]


def translated(*terms: str, kind: str = "PERSON", ordinary: tuple[str, ...] = (), **options: object) -> dict[str, str]:
    anchors = [anchor(term, kind) for term in terms]
    return {item.term: item.generic for item in translate_offline(anchors, frozenset(ordinary), **options)}


def test_surface_forms_of_one_name_agree() -> None:
    found = translated("Harry Potter", "Harry", "Potter", "Ron Weasley", "Ron")
    first, last = found["Harry Potter"].split()
    assert (found["Harry"], found["Potter"]) == (first, last)
    assert found["Ron Weasley"].split()[0] == found["Ron"] != first
    assert first in GIVEN_NAMES
    assert last in SURNAMES


def test_surface_forms_agree_in_any_order() -> None:
    found = translated("Potter", "Harry", "Harry Potter")
    assert found["Harry Potter"] == f"{found['Harry']} {found['Potter']}"


def test_a_plural_agrees_with_its_singular() -> None:
    found = translated("Munchkin", "Munchkins", "Charles Weasley", "Weasleys", kind="GROUP")
    assert found["Munchkins"].startswith(found["Munchkin"])
    assert found["Munchkins"] != found["Munchkin"]


def test_ordinary_words_become_ordinary_words() -> None:
    found = translated("Emerald City", "Yellow Castle", kind="PLACE", ordinary=("emerald", "city", "castle", "yellow"))
    assert found["Emerald City"] == "Green Town"
    assert found["Yellow Castle"].split()[1] == "Manor"


def test_link_words_and_signs_stay() -> None:
    assert re.fullmatch(r"[\w-]+ of the [\w-]+", translated("Wizard of the Marsh")["Wizard of the Marsh"])
    assert re.fullmatch(r"[\w-]+, [\w-]+", translated("Potter, Harry")["Potter, Harry"])


def thousand(terms: int) -> list[str]:
    """Anchors of one or two words, some of them words that the pools hold too."""
    syllables = ["ba", "do", "ki", "lu", "me", "no", "pra", "shi", "tou", "vy", "zo", "gru"]
    words = ["".join(parts).capitalize() for parts in product(syllables, repeat=3)]
    names = [*GIVEN_NAMES[:20], *NOUNS[:20], *words]
    return [name if number % 2 else f"{name} {words[-1 - number]}" for number, name in enumerate(names[:terms])]


@pytest.mark.parametrize("kind", ["PERSON", "PLACE", "GROUP", "THING"])
@pytest.mark.parametrize("ordinary", [False, True])
def test_1600_anchors_find_each_a_stand_in_of_its_own(kind: str, ordinary: bool) -> None:
    terms = thousand(1600)
    words = {word for term in terms for word in term.split()}
    found = translated(*terms, kind=kind, ordinary=tuple(word.lower() for word in words) if ordinary else ())
    assert len(found) == len(set(terms)) == 1600
    assert len({generic.lower() for generic in found.values()}) == 1600
    expression = anchor_expression(words)
    assert [generic for generic in found.values() if find_anchors(generic, expression)] == []


def test_no_generic_word_stands_for_two_anchor_words() -> None:
    """With every plural of the pool given away, `Farmer` + s is no longer free for the plural of Farmer's anchor."""
    letters = ["".join(pair) for pair in product("abcdefghijklmnopqr", repeat=2)]
    plurals = [f"Blub{pair}s" for pair in letters[: len(PLURALS)]]
    singulars = [f"Gnom{pair}" for pair in letters[: len(NOUNS)]]
    terms = [*plurals, *singulars, *(f"{word}s" for word in singulars)]
    found = translated(*terms, kind="THING", ordinary=tuple(term.lower() for term in terms))
    assert {found[term] for term in plurals} == set(PLURALS)
    assert {found[term] for term in singulars} & {plural.removesuffix("s") for plural in PLURALS}
    assert len({generic.lower() for generic in found.values()}) == len(terms)


def test_a_stand_in_differs_from_its_anchor_and_from_every_other() -> None:
    terms = ["John", "Mary Smith", "Baker", "Ashford", "Table"]
    found = translated(*terms)
    check_translations(
        [Translation(term=term, generic=generic, translator="offline") for term, generic in found.items()]
    )
    words = {word for term in terms for word in term.split()}
    assert not words & {word for generic in found.values() for word in generic.split()}


def test_a_users_translation_wins_and_its_words_spread() -> None:
    found = translated(
        "Harry",
        "Harry Potter",
        "Potter",
        "Hogwarts",
        fixed=users({"Harry Potter": "Jon Archer", "Hogwarts": "Magic School"}),
    )
    assert found == {"Harry": "Jon", "Harry Potter": "Jon Archer", "Potter": "Archer", "Hogwarts": "Magic School"}


def test_a_users_words_are_given_to_nobody_else() -> None:
    others = [f"Xan{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    found = translated("Harry", *others, fixed=users({"Harry": GIVEN_NAMES[0]}))
    assert list(found.values()).count(GIVEN_NAMES[0]) == 1


def test_a_name_with_an_apostrophe_is_one_word_and_no_stand_in_is_a_plural_of_an_anchor() -> None:
    assert " " not in translated("O'Brien")["O'Brien"].replace("'", " ")
    singular = PLURALS[0].removesuffix("s")
    assert PLURALS[0] not in translated(singular, "Blubbas", kind="GROUP").values()


def test_translators_are_named() -> None:
    fixed = [*users({"Harry": "Jon"}), Translation(term="Ginny", generic="Ann", translator="llama-3")]
    made = translate_offline([anchor("Harry"), anchor("Ron"), anchor("Ginny")], frozenset(), fixed=fixed)
    assert [item.translator for item in made] == ["user", "offline", "llama-3"]


def test_one_seed_one_result() -> None:
    terms = thousand(50)
    assert translated(*terms, seed=3) == translated(*terms, seed=3)
    assert translated(*terms, seed=3) != translated(*terms, seed=4)


@pytest.mark.parametrize(
    ("generic", "message"),
    [("  ", "is empty"), ("harry", "itself an anchor"), ("Ron", "itself an anchor")],
)
def test_translations_that_teach_nothing_are_refused(generic: str, message: str) -> None:
    fixed = [
        Translation(term="Harry", generic=generic, translator="user"),
        Translation(term="Ron", generic="Tom", translator="user"),
    ]
    with pytest.raises(ValueError, match=message):
        check_translations(fixed)
