"""Claims: records of text are read in the shapes in which they are published; what is no text is refused, with the
fields that were found, and without a letter of them.
"""

from typing import Any

import pytest

from tasks.algorithms.text.corpus import Document
from tasks.inputs.text_records import documents_of

ASKED = {"question": " Who is Toto? ", "answer": "A dog"}
TOTO = {"source": "", "question": "Who is Toto?", "answer": "A dog"}


@pytest.mark.parametrize(
    ("record", "documents"),
    [
        ({"title": "x", "abstract": "y", "text": "It rained.", "doi": None}, [{"text": "It rained."}]),
        ({"text": "", **ASKED}, [TOTO]),
        ({"text": None, "fact": "toto", **ASKED}, [TOTO | {"fact": "toto"}]),
        ({"question": ["Who is Toto?"], "answer": ["A dog"]}, [TOTO]),
        ({"instruction": "Who is Toto?", "input": "", "output": "A dog"}, [TOTO]),
        (
            {"instruction": "Who?", "input": "In Oz.", "output": "A dog"},
            [{"question": "Who?\nIn Oz.", "answer": "A dog"}],
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": "Who is Toto?"},
                    {"role": "assistant", "content": "A dog"},
                ]
            },
            [TOTO],
        ),
        ({"prompt": "Dorothy lived in", "gt": "the midst."}, [{"text": "Dorothy lived in the midst."}]),
        ({"prompt": "Dorothy lived in ", "gt": "the midst."}, [{"text": "Dorothy lived in the midst."}]),
        ("It rained.", [{"text": "It rained."}]),
        (["It rained.", " ", "It cleared."], [{"text": "It rained."}, {"text": "It cleared."}]),
        ({"text": " "}, []),
        ({"text": None}, []),
        ({"question": "", "answer": None}, []),
        ({"instruction": " ", "output": ""}, []),
        (" ", []),
        ([], []),
    ],
)
def test_published_shapes_are_read(record: Any, documents: list[dict[str, Any]]) -> None:
    assert documents_of(record, "") == [Document(**{"source": "", **fields}) for fields in documents]


@pytest.mark.parametrize(
    ("false", "read"),
    [
        (["A cat", "A cow"], ("A cat", "A cow")),
        ({"0": "A cat", "1": "A cow"}, ("A cat", "A cow")),
        ([["A cat"], ["A cow"]], ("A cat", "A cow")),
        ("A cat", ("A cat",)),
        (None, ()),
        ([], ()),
        ("", ()),
    ],
)
def test_false_answers_are_texts_wherever_they_stand(false: Any, read: tuple[str, ...]) -> None:
    (document,) = documents_of(ASKED | {"perturbed_answer": false, "paraphrased_answer": ["A hound"]}, "")
    assert document.perturbed_answer == read
    assert document.paraphrased_answer == "A hound"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (ASKED | {"perturbed_answer": ["A cat", ""]}, "perturbed_answer 2 is empty; wanted a text"),
        (ASKED | {"perturbed_answer": ["A cat", None]}, "perturbed_answer 2 is null"),
        (ASKED | {"perturbed_answer": [3]}, "perturbed_answer 1 is a number"),
        (ASKED | {"perturbed_answer": ["A cat", " a  DOG "]}, "perturbed_answer 2 is the true answer"),
        (ASKED | {"perturbed_answer": {"A cat": 0.3}}, "perturbed_answer 1 is a number"),
        (ASKED | {"perturbed_answer": 7}, "perturbed_answer is a number; wanted a list of texts"),
        (ASKED | {"paraphrased_answer": ["A hound", "A pet"]}, "paraphrased_answer is a list of 2"),
        (ASKED | {"answer": ""}, "answer is empty"),
        (ASKED | {"answer": None}, "answer is null"),
        (ASKED | {"answer": 12}, "answer is a number"),
        (ASKED | {"answer": float("nan")}, "answer is a number"),
        (ASKED | {"answer": ["A dog", "Toto"]}, "answer is a list of 2"),
        ({"question": ["a", "b"], "answer": ["c", "d"]}, "question is a list of 2"),
        ({"data": [ASKED]}, r"the record has data \(a list of 1\); wanted `text`, or `question` and `answer`"),
        ({}, "the record has no field"),
        ({"text": 3}, r"the record has text \(a number\)"),
        (True, "the record is a truth value"),
        ([ASKED], "the record is a list that holds a record of 2"),
        ({"messages": []}, None),
        ({"messages": [{"role": "user", "content": "Who?"}]}, "messages holds 1 turns"),
        ({"messages": "Toto"}, "messages holds a text; wanted records with `role`"),
        ({"prompt": "Dorothy", "gt": ""}, "gt is empty"),
        ({"instruction": "Who?", "output": None}, "output is null"),
    ],
)
def test_what_is_no_text_is_refused_with_its_field(record: Any, message: str | None) -> None:
    if message is None:
        assert documents_of(record, "") == []
        return
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        documents_of(record, "")
    assert not {"Toto", "dog", "cat", "Dorothy"} & set(str(caught.value).split())
