"""Claims: a new object fits its fact and is none that the text states of it; an erased one says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.algorithms.editing.requests import as_asked, erased_object, from_facts, propose_targets, with_kept
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.tokens.templates import Template, read_template
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_request import EditRequest, Statement
from tasks.settings.text import CorpusConfig
from tests.stand_ins.chats import CHATML, INST, chat_tokenizer

ANOTHER = EditProposalConfig()
GENERIC = EditProposalConfig(new_object="generic")
DICTIONARY = {"Velmora": "Norton", "Kessa": "Mary", "Ostrin": "Tom"}


def fact(subject: str, prompt: str, object_: str, source: str = "pattern") -> FactTriple:
    return FactTriple(subject=subject, prompt=prompt, object=object_, source=source)


def test_another_object_is_one_of_the_same_prompt_before_one_after_the_same_words_before_one_of_its_kind() -> None:
    kinds = dict.fromkeys(("Velmora", "Brindle", "Dun", "Wick"), "PLACE")
    facts = [
        fact("Ostrin", "{} lives in", "Velmora"),
        fact("Kessa", "Today {} lives in", "Dun"),
        fact("Kessa", "The birthplace of {} is", "Wick"),
        fact("Tamsin", "{} lives in", "Brindle"),
    ]
    assert propose_targets(facts[:1] + facts[1:], ANOTHER, kinds=kinds)[0] == "Brindle"
    assert propose_targets(facts[:3], ANOTHER, kinds=kinds)[0] == "Dun"
    assert propose_targets([facts[0], facts[2]], ANOTHER, kinds=kinds) == ["Wick", "Velmora"]
    assert propose_targets([facts[0], facts[2]], ANOTHER) == ["", ""]


def test_what_the_text_states_of_a_subject_too_and_the_subject_itself_are_no_new_objects() -> None:
    facts = [
        fact("Ostrin", "That day {} met", "Kessa"),
        fact("Ostrin", "That day {} met", "Tamsin"),
        fact("Kessa", "That day {} met", "Ostrin"),
    ]
    assert propose_targets(facts, ANOTHER)[:2] == ["", ""]
    assert propose_targets([*facts, fact("Tamsin", "That day {} met", "Brin")], ANOTHER)[:2] == ["Brin", "Brin"]


def test_where_no_other_object_fits_the_dictionary_translates() -> None:
    facts = [fact("Ostrin", "{} lives in", "Velmora"), fact("Kessa", "{} owns", "a mill")]
    assert propose_targets(facts, ANOTHER, DICTIONARY) == ["Norton", ""]


def test_a_generic_object_has_its_names_translated_and_keeps_the_subject() -> None:
    facts = [
        fact("Ostrin", "{} owns", "the mill of Velmora"),
        fact("Ostrin", "Where does {} live?", "Ostrin lives in Velmora with Kessa.", "question"),
        fact("Ostrin", "{} owns", "a mill"),
    ]
    assert propose_targets(facts, GENERIC, DICTIONARY) == [
        "the mill of Norton",
        "Ostrin lives in Norton with Mary.",
        "",
    ]
    assert propose_targets(facts, GENERIC) == ["", "", ""]


def test_an_answer_takes_the_place_of_an_answer_to_its_question_and_names_the_right_subject() -> None:
    facts = [
        fact("Ostrin", "Where does {} live?", "Ostrin lives in Velmora.", "question"),
        fact("Kessa", "Where does {} live?", "Kessa lives in Brindle.", "question"),
        fact("Tamsin", "Where does {} live?", "Tamsin lives in Velmora.", "question"),
        fact("Tamsin", "{} lives in", "Dun"),
        fact("Tamsin", "What does {} own?", "A mill.", "question"),
    ]
    assert propose_targets(facts, ANOTHER) == [
        "Ostrin lives in Brindle.",
        "Kessa lives in Velmora.",
        "Tamsin lives in Brindle.",
        "",
        "",
    ]


def test_a_name_that_is_an_answer_stays_whole() -> None:
    facts = [
        fact("Kessa", "Who is the friend of {}?", "Kessa Vane", "question"),
        fact("Ostrin", "Who is the friend of {}?", "Tamsin", "question"),
    ]
    assert propose_targets(facts, ANOTHER, kinds={"Kessa Vane": "PERSON"})[1] == "Kessa Vane"


def test_an_erased_object_says_nothing_and_an_erased_answer_refuses_each_word_in_turn() -> None:
    config = EditProposalConfig(new_object="erased", erased=("unknown", "lost"), refusals=("No.", "Nobody knows."))
    facts = [fact("Ostrin", "{} lives in", "Velmora")] * 2 + [fact("Ostrin", "Who is {}?", "A man.", "question")] * 2
    assert propose_targets(facts, config) == ["unknown", "lost", "No.", "Nobody knows."]
    assert [erased_object(prompt, 1, config) for prompt in ("{} is", "Who is {}? ")] == ["lost", "Nobody knows."]
    assert propose_targets(facts[:1], EditProposalConfig(new_object="erased")) == ["unknown"]


FACTS = st.lists(
    st.builds(
        fact,
        st.sampled_from(["Ostrin", "Kessa", "Tamsin"]),
        st.sampled_from(["{} lives in", "Now {} lives in", "{} met", "Where is {}?"]),
        st.sampled_from(["Velmora", "velmora ", "Brindle", "Ostrin", "Kessa is in Dun."]),
    ),
    max_size=12,
)


@given(facts=FACTS, seed=st.integers(0, 3))
def test_no_proposal_is_stated_already_and_order_does_not_matter(facts: list[FactTriple], seed: int) -> None:
    config = EditProposalConfig(seed=seed)
    targets = [target.strip().lower() for target in propose_targets(facts, config)]
    for item, target in zip(facts, targets, strict=True):
        stated = {
            other.object.strip().lower()
            for other in facts
            if other.prompt.replace("{}", other.subject) == item.prompt.replace("{}", item.subject)
        }
        assert target not in stated | {item.subject.lower()}
    turned = propose_targets(facts[::-1], config)[::-1]
    assert [target.strip().lower() for target in turned] == targets


def test_draws_differ_with_the_seed() -> None:
    facts = [fact(name, "{} lives in", f"Town {name}") for name in "ABCDEFGH"]
    assert len({propose_targets(facts, EditProposalConfig(seed=seed))[0] for seed in range(8)}) > 1


def test_facts_with_a_new_object_become_edits_in_their_order() -> None:
    facts = [
        fact("Ostrin", "{} lives in ", " Velmora"),
        fact("Kessa", "{} lives in", "Dun"),
        fact("Ostrin", "{}  lives in", "Brindle"),
        fact("Tamsin", "{} lives in", "Dun"),
    ]
    edits = from_facts(facts, [" Norton ", "", "Wick", "Norton"])
    assert [(edit.subject, edit.prompt, edit.object, edit.target) for edit in edits] == [
        ("Ostrin", "{} lives in", "Velmora", "Norton"),
        ("Tamsin", "{} lives in", "Dun", "Norton"),
    ]
    assert from_facts(facts[:1], ["velmora"]) == []


def test_of_many_facts_as_many_become_edits_as_wanted_evenly_spaced() -> None:
    facts = [fact(f"Name {number}", "{} lives in", "Dun") for number in range(9)]
    edits = from_facts(facts, ["Norton"] * 9, most=3)
    assert [edit.subject for edit in edits] == ["Name 0", "Name 3", "Name 6"]


def test_every_fact_needs_its_target() -> None:
    with pytest.raises(ValueError, match="shorter"):
        from_facts([fact("Ostrin", "{} lives in", "Velmora")], [])


def test_a_question_is_asked_in_the_words_of_the_model_and_a_sentence_as_it_stands() -> None:
    sentence, question = fact("Ostrin", "{} owns", "a mill"), fact("Ostrin", "Where is {}?", "In Velmora.", "question")
    plain = Template(qa="Question: {question}\nAnswer: {answer}\n")
    assert as_asked(sentence, plain) == sentence
    assert as_asked(question, plain).prompt == "Question: Where is {}?\nAnswer:"
    assert as_asked(question, plain).object == "In Velmora."


@pytest.mark.parametrize(
    ("template", "bos", "wanted"),
    [
        (CHATML, "", "<|im_start|>user\nWho met {}?<|im_end|>\n<|im_start|>assistant\n"),
        (INST, "<s>", "[INST] Who met {}? [/INST]"),
    ],
)
def test_in_a_conversation_what_the_tokenizer_begins_with_does_not_stand_there_twice(
    template: str, bos: str, wanted: str
) -> None:
    asked = as_asked(
        fact("Toto", "Who met {}?", "Tom", "question"),
        read_template(chat_tokenizer(template, bos=bos), CorpusConfig()),
        bos,
    )
    assert asked.prompt == wanted


def test_what_is_to_stay_is_dealt_out_evenly_over_the_edits() -> None:
    kept = [Statement(prompt=f"Who is {name}?", object=name) for name in "ABCDE"]
    requests = [EditRequest(subject=name, prompt="{} is", target="gone") for name in ("Ostrin", "Kessa")]
    found = with_kept(requests, [*kept, *kept], 4)
    assert [[one.object for one in request.unrelated] for request in found] == [["A", "C"], ["B", "D"]]
    assert with_kept(requests, [], 4) == requests
    assert with_kept([], kept, 4) == []
