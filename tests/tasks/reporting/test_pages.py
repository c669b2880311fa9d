"""Pages: figures as people read them, texts that stay texts, pictures inside."""

import base64

import pytest
from jinja2 import UndefinedError

from tasks.reporting.pages import draw, figure, p_value, render


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (float("nan"), "\u2013"),
        (0.21254, "0.213"),
        (1234.5, "1234"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (100.0, "100"),
    ],
)
def test_figures_are_written_as_people_read_them(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0000123, "< 0.001"), (0.001, "0.001"), (0.04567, "0.0457"), (1.0, "1")])
def test_tiny_p_values_are_only_said_to_be_tiny(value: float, text: str) -> None:
    assert p_value(value) == text


def test_a_picture_is_a_png_of_its_own() -> None:
    picture = draw(lambda canvas: canvas.subplots().plot([0, 1]), title="A line", alt="It rises.", size=(2, 1))
    assert picture.png.startswith(b"\x89PNG")
    assert base64.b64decode(picture.address.removeprefix("data:image/png;base64,")) == picture.png


def test_a_value_that_is_missing_is_an_error_and_no_gap() -> None:
    with pytest.raises(UndefinedError):
        render("comparison.html.j2")
