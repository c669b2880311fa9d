"""What `lethe trace` prints: effects as a table, one fact as a grid, neurons with what they do; words of a model are
text.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from flows.steps.editing import facts_to_trace
from flows.terminal.running import write_json
from flows.terminal.tracing import effects_table, grid_table, show_neurons, tracing_request
from tasks.storage.plain_files import read_json
from tasks.storage.trace_files import TracedFact

FACT = TracedFact(
    subject="Jon", prompt="{} met", object="[Tom]", tokens=("Jon", " met", "\n"), span=(0, 1), clean=0.9, corrupted=0.1
)


def shown(*printed: Any) -> str:
    console = Console(width=160)
    with console.capture() as found:
        for each in printed:
            console.print(each)
    return found.get()


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def test_one_fact_is_named_by_subject_and_prompt_together(lethe_home: Path) -> None:
    request = tracing_request(None, "Jon", "Today Jon met", None)
    assert "Jon" not in str(request)  # Prefect keeps a flow's parameters for good
    (fact,) = facts_to_trace(request)
    assert (fact.subject, fact.prompt) == ("Jon", "Today {} met")
    with pytest.raises(ValueError, match="--prompt missing; wanted --subject and --prompt together"):
        tracing_request(None, "Jon", "", None)
    with pytest.raises(ValueError, match="--subject missing"):
        tracing_request(None, "", "Jon met", None)
    with pytest.raises(ValueError, match="Alice"):
        tracing_request(None, "Alice", "Jon met", None)
    with pytest.raises(ValueError, match="there is nothing to trace"):
        facts_to_trace(tracing_request("M", "", "", None))


def test_effects_stand_by_token_and_layer() -> None:
    rows = [
        {"state": state, "role": role, "layer": layer, "mean": mean}
        for state, role, layer, mean in (
            ("hidden", "last token", 0, 0.9),
            ("mlp", "last subject token", 0, 0.25),
            ("mlp", "last subject token", 1, 0.125),
            ("mlp", "last token", 0, 0.0),
            ("mlp", "last token", 1, -0.5),
        )
    ]
    assert cells(shown(effects_table(rows, 3))) == [
        ["last subject token", "0.250", "0.125"],
        ["last token", "0.000", "-0.500"],
    ]


def test_a_facts_grid_marks_its_subject_and_shows_words_as_they_are() -> None:
    text = shown(grid_table(FACT, torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])))
    assert "p([Tom]): clean 0.900, with noise 0.100" in " ".join(text.split())
    assert cells(text) == [["Jon*", "0.100", "0.400"], ["met", "0.200", "0.500"], ["'\\n'", "0.300", "0.600"]]


def test_neurons_of_the_first_fact_and_their_effect_over_all_are_shown() -> None:
    neuron = {"neuron": 17, "attribution": 0.5, "activation": 1.25, "correlation": 0.75}
    fact = {"object": "[Tom]", "neurons": [neuron], "ablated": {"untouched": 0.9, "chosen": 0.2, "others": 0.8}}
    span = {"mean": 0.5, "low": 0.4, "high": 0.6}
    console = Console(width=200)
    with console.capture() as text:
        show_neurons(console, {"layer": 3, "facts": [fact], "effect": {"facts": 7, "chosen": span, "others": span}})
    assert "Neurons of layer 3" in text.get()
    assert ["17", "0.500", "1.250", "0.750"] in cells(text.get())
    assert "p([Tom]) 0.900; without them 0.200, without as many others 0.800" in text.get()
    assert "Over 7 facts they take 0.500 (0.400 to 0.600)" in text.get()


def test_where_no_neurons_were_found_nothing_is_said_of_them() -> None:
    console = Console()
    with console.capture() as text:
        show_neurons(console, {"layer": 0, "facts": [], "effect": None})
        show_neurons(console, {"layer": 0, "facts": [{"neurons": [], "ablated": None}], "effect": None})
    assert text.get() == ""


def test_what_machines_read_is_json_whatever_could_not_be_measured(tmp_path: Path) -> None:
    write_json(str(tmp_path / "out.json"), {"effects": [{"low": float("nan")}], "names": ("José",)})
    assert "NaN" not in (tmp_path / "out.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "out.json") == {"effects": [{"low": None}], "names": ["José"]}
    write_json(None, {})
