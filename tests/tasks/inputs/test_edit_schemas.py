"""Claims: a subject is marked where it stands last as a word, and parts lose the white space around them. The schemas
themselves are tested through the files that hold them, in test_edit_requests.
"""

import pytest

from tasks.inputs.edit_schemas import make_fact, make_request, mark_subject


@pytest.mark.parametrize(
    ("subject", "prompt", "wanted"),
    [
        ("Toto", "The home of {} is", "The home of {} is"),
        ("Toto", "Toto's home is", "{}'s home is"),
        ("Toto", "The home of Toto is ", "The home of {} is "),
        ("Toto", "Toto said that Toto lives in", "Toto said that {} lives in"),
        ("Toto", "{} said that Toto lives in", "{} said that Toto lives in"),
        ("Ann", "Ann said to Anna that", "{} said to Anna that"),
        ("Ann", "Mary-Ann said", "Mary-{} said"),
        ("C++", "C++, made by", "{}, made by"),
        ("aa", "aa aaa is", "{} aaa is"),
        ("東京", "日本の首都東京は", "日本の首都{}は"),
        ("a {b}", "Is a {b} met", "Is {} met"),
    ],
)
def test_the_subject_is_marked_where_it_stands_last_as_a_word(subject: str, prompt: str, wanted: str) -> None:
    assert mark_subject(prompt, subject) == wanted


def test_a_subject_that_is_part_of_a_word_or_nowhere_is_not_in_the_prompt() -> None:
    for subject, prompt in (("Oz", "Ozma is"), ("ma", "Ozma is"), ("66", "Route 661 is"), ("Toto", "Em is"), ("", "a")):
        with pytest.raises(ValueError, match="is not in the prompt"):
            mark_subject(prompt, subject)


def test_white_space_around_the_parts_is_none_of_theirs_but_a_prompts_newline_is() -> None:
    request = make_request(" Toto\n", "Home of Toto:\n", " Oz ", relation="a")
    assert (request.subject, request.prompt, request.target, request.relation) == ("Toto", "Home of {}:\n", "Oz", "a")
    fact = make_fact("Toto ", "Toto is ", " a dog")
    assert (fact.subject, fact.prompt, fact.object, fact.target) == ("Toto", "{} is", "a dog", "a dog")
