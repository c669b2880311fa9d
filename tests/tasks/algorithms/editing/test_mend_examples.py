"""Claims: each fact is given other objects of its relation, with its wordings; what stays is its own and what names no
part of it; edited subjects are not learned from; nothing to learn from is refused.
"""

from dataclasses import replace

import pytest

from tasks.algorithms.editing.mend_examples import mend_examples
from tasks.settings.edit_baselines import MendConfig
from tasks.settings.edit_request import EditRequest, Statement
from tests.stand_ins.scored_edits import REQUESTS


def fact(subject: str, object_: str, relation: str = "friend", **more: object) -> EditRequest:
    return EditRequest(
        subject=subject, prompt="The best friend of {} is", target=object_, object=object_, relation=relation, **more
    )


FACTS = [
    fact("Tom", "Toto", paraphrases=("Tom walked with",), neighborhood=("The boy met",)),
    fact("Mary Ann", "Alice", name_sharers=(Statement(prompt="Mary met", object="Jon"),)),
    fact("André", "Oz"),
    fact("Jon", "the mill", relation="place"),
    fact("José", "the town", relation="place"),
]


def read(tokenizer, sequence) -> tuple[str, str]:
    return tokenizer.decode(sequence.ids[: sequence.start]), tokenizer.decode(sequence.ids[sequence.start :]).strip()


def test_facts_are_given_the_objects_of_their_relation_in_all_their_wordings(word_tokenizer) -> None:
    examples = mend_examples(word_tokenizer, FACTS, (), 64, MendConfig())
    edits = [read(word_tokenizer, each.edit) for each in examples]
    of = "The best friend of {} is"
    assert {edit for edit in edits if "Tom" in edit[0] or "Jon" in edit[0]} == {
        (of.replace("{}", "Tom"), "Alice"),
        (of.replace("{}", "Tom"), "Oz"),
        (of.replace("{}", "Jon"), "the town"),
    }
    for each, (prompt, target) in zip(examples, edits, strict=True):
        wanted = [("Tom walked with", target)] if "Tom" in prompt else []
        assert [read(word_tokenizer, one) for one in each.rephrased] == wanted


def test_no_more_objects_than_asked_for(word_tokenizer) -> None:
    few = mend_examples(word_tokenizer, FACTS, (), 64, MendConfig(objects=1))
    assert len(few) == len(FACTS)
    assert few == mend_examples(word_tokenizer, FACTS, (), 64, MendConfig(objects=1))


def test_what_stays_is_its_own_and_what_names_no_part_of_it(word_tokenizer) -> None:
    examples = mend_examples(word_tokenizer, FACTS, (), 64, MendConfig())
    stays = {
        read(word_tokenizer, each.edit)[0]: [read(word_tokenizer, one) for one in each.unrelated] for each in examples
    }
    tom, mary = stays["The best friend of Tom is"], stays["The best friend of Mary Ann is"]
    assert ("The boy met", "Toto") in tom
    assert ("The best friend of Tom is", "Toto") not in tom
    assert ("The best friend of Mary Ann is", "Alice") in tom
    assert ("Mary met", "Jon") in mary
    assert ("The best friend of Mary Ann is", "Alice") not in mary


def test_edited_subjects_are_not_learned_from(word_tokenizer) -> None:
    examples = mend_examples(word_tokenizer, FACTS, ["Tom", "Jon"], 64, MendConfig())
    texts = {
        text
        for each in examples
        for one in (each.edit, *each.unrelated)
        for text in read(word_tokenizer, one)
        if "friend of Tom" in text or "friend of Jon" in text
    }
    assert texts == set()


@pytest.mark.parametrize("facts", [[], FACTS[:1], [replace(REQUESTS[0], object="Oz")] * 2])
def test_nothing_to_learn_from_is_refused(word_tokenizer, facts: list[EditRequest]) -> None:
    with pytest.raises(ValueError, match=f"nothing for MEND to learn from among {len(facts)} facts"):
        mend_examples(word_tokenizer, facts, (), 64, MendConfig())
