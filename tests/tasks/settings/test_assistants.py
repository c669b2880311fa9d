"""Settings of what other language models are asked for: each section names its own where a value cannot be."""

from typing import Any

import pytest

from tasks.settings.assistants import AskingConfig, JudgingConfig, PromptingConfig, TranslationConfig
from tasks.settings.evaluation import EvaluationConfig


@pytest.mark.parametrize("kind", [TranslationConfig, PromptingConfig, JudgingConfig])
def test_each_section_stands_where_it_says_and_refuses_what_cannot_be(kind: type[AskingConfig]) -> None:
    assert getattr(EvaluationConfig(), kind.section) == kind()
    assert kind().provider.name == "offline"
    for changes, wanted in (
        ({"fallback": "online"}, "one of none, offline"),
        ({"batch": 0}, "a whole number from 1 to "),
    ):
        with pytest.raises(ValueError, match=rf"^{kind.section}\.{next(iter(changes))} is .*; wanted {wanted}"):
            kind(**changes)


@pytest.mark.parametrize(
    ("kind", "changes", "line"),
    [
        (TranslationConfig, {"batch": 101}, "translation.batch is 101; wanted a whole number from 1 to 100"),
        (
            TranslationConfig,
            {"context_characters": -1},
            "translation.context_characters is -1; wanted a whole number >= 0",
        ),
        (PromptingConfig, {"context_characters": -1}, "prompting.context_characters is -1; wanted a whole number >= 0"),
        (JudgingConfig, {"characters": 49}, "judging.characters is 49; wanted a whole number >= 50"),
        (JudgingConfig, {"names": -1}, "judging.names is -1; wanted a whole number >= 0"),
    ],
)
def test_values_out_of_range_are_named(kind: type[AskingConfig], changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        kind(**changes)
    assert str(caught.value) == line
