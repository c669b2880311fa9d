"""Claims: a budget is minutes or a number of trials, and nothing else; candidates are read as words are; what cannot be
is refused with what was found and wanted.
"""

import pytest

from tasks.settings.automatic import CANDIDATES, AutomaticConfig, Budget, automatic_preset, read_budget


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        ("", Budget()),
        ("45m", Budget(minutes=45.0)),
        ("0.5m", Budget(minutes=0.5)),
        (" 8 ", Budget(trials=8)),
    ],
)
def test_a_budget_is_minutes_or_trials(words: str, budget: Budget) -> None:
    assert read_budget(words) == budget


@pytest.mark.parametrize("words", ["0", "0m", "-3", "1.5", "45 m", "45min", "1h", "many", "m"])
def test_another_budget_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"budget is '.*'; wanted minutes, such as 45m, or a number of trials >= 1"):
        AutomaticConfig(budget=words)


def test_candidates_are_words_of_a_method_and_its_settings() -> None:
    config = AutomaticConfig(candidates=("whp", "guardrail 'guardrail.prefix=Say no. ' guardrail.named_terms=1"))
    assert config.named() == [("whp", []), ("guardrail", ["guardrail.prefix=Say no. ", "guardrail.named_terms=1"])]
    assert [name for name, _ in AutomaticConfig().named()][:2] == ["rome", "whp"]
    assert CANDIDATES[-1] == "guardrail"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"candidates": ()}, r"candidates is \[\]; wanted one or more"),
        ({"candidates": ("whp", " ")}, "candidates is .*; wanted one or more"),
        ({"candidates": ("npo 'a",)}, "candidates holds .*: No closing quotation; wanted a method and key=value"),
        ({"rungs": (0.5, 0.25)}, r"rungs is \[0.5, 0.25\]; wanted numbers above 0 and below 1, rising"),
        ({"rungs": (1.0,)}, "rungs is"),
        ({"rungs": (0.0, 0.5)}, "rungs is"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        AutomaticConfig(**changes)


def test_there_is_one_preset() -> None:
    assert (automatic_preset("default", 3).seed, automatic_preset("default", 3).translation.seed) == (3, 3)
    with pytest.raises(ValueError, match="preset is 'paper'; wanted default"):
        automatic_preset("paper")
