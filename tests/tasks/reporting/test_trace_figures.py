"""Pictures of traces: drawn for any words and any number of facts, and said in words by what they show; the average
names nothing that was traced.
"""

from pathlib import Path

import pytest
import torch

from tasks.algorithms.editing.causal_tracing import Trace
from tasks.algorithms.editing.effects import average_effects
from tasks.reporting import trace_figures
from tasks.reporting.trace_figures import average_picture, heat_map, write_pictures
from tasks.storage.plain_files import read_json
from tasks.storage.trace_files import TracedFact

PNG = b"\x89PNG"


def traced(tokens: tuple[str, ...] = ("Jon", " Ann", " met"), object_: str = "Tom") -> tuple[TracedFact, Trace]:
    grid = torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.8, 0.3]])
    other = torch.tensor([[0.1, 0.2, 0.9], [0.1, 0.2, 0.3]])
    trace = Trace(clean=0.9, corrupted=0.1, restored={"hidden": other, "mlp": grid, "attention": other}, subject=(0, 2))
    fact = TracedFact(
        subject="Jon Ann", prompt="{} met", object=object_, tokens=tokens, span=(0, 2), clean=0.9, corrupted=0.1
    )
    return fact, trace


def test_a_heat_map_is_said_in_words() -> None:
    picture = heat_map(*traced())
    assert picture.png.startswith(PNG)
    assert "clean 0.9, corrupted 0.1" in picture.title
    assert "a window of MLPs helps most in layer 1 at 'Ann' (0.8)" in picture.alt
    assert "one hidden state helps most in layer 0 at 'met' (0.9)" in picture.alt


def test_what_looks_like_mathematics_is_text() -> None:
    assert heat_map(*traced(("$x^", "$", "\n"), "$a_$")).png.startswith(PNG)


@pytest.mark.parametrize("facts", [1, 3])
def test_the_average_says_where_the_edited_state_helps_most(facts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = trace_figures.pages.draw
    monkeypatch.setattr(
        trace_figures.pages, "draw", lambda plot, **words: drawn.append(str(words)) or draw(plot, **words)
    )
    picture = average_picture(average_effects([traced()[1]] * facts), facts)
    assert picture.png.startswith(PNG)
    assert picture.alt.endswith("At the last subject token a window of MLPs helps most in layer 1: 0.7.")
    assert f"over {facts} facts" in picture.title
    assert not [word for word in ("Jon", "Ann", "met", "Tom") if word in drawn[0]]


def test_pictures_are_written_with_what_they_show(tmp_path: Path) -> None:
    picture = heat_map(*traced())
    write_pictures(tmp_path, {"one.png": picture})
    assert (tmp_path / "one.png").read_bytes() == picture.png
    assert read_json(tmp_path / "pictures.json") == [{"file": "one.png", "title": picture.title, "alt": picture.alt}]
