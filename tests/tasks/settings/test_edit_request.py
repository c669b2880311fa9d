"""What cannot be an edit is refused by what is wrong with it; the subject stands once in the prompt."""

import pytest

from tasks.settings.edit_request import EditRequest, Statement


def test_the_question_is_the_prompt_with_the_subject_in_it() -> None:
    assert EditRequest(subject="Jon", prompt="Today {} met", target="Oz").question == "Today Jon met"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": " "}, "the subject of the edit '{} met' is empty; wanted a name"),
        ({"target": ""}, "the target of the edit '{} met' is empty; wanted a name"),
        ({"target": "\n"}, "the target of the edit '{} met' is empty"),
        (
            {"prompt": "Jon met"},
            r"the prompt 'Jon met' holds \{\} 0 times; wanted once, where the subject 'Jon' stands",
        ),
        ({"prompt": "{} met {}"}, r"holds \{\} 2 times; wanted once"),
    ],
)
def test_what_is_no_edit_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EditRequest(**{"subject": "Jon", "prompt": "{} met", "target": "Oz"} | changes)


@pytest.mark.parametrize("name", ["prompt", "object"])
def test_a_statement_has_a_prompt_and_an_object(name: str) -> None:
    with pytest.raises(ValueError, match=f"the {name} of a statement is empty; wanted text"):
        Statement(**{"prompt": "Jon met", "object": "Oz"} | {name: " "})
