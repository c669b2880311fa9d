"""Claims: figures say in words and numbers what they draw; blanks show; texts stay texts; the report says whether the
ascent was bounded.
"""

import csv
import json
from pathlib import Path

import pytest

from tasks.reporting.weight_sweep_figures import (
    Ending,
    Sample,
    SweepFigures,
    loss_curves,
    toxicity_histogram,
    toxicity_rows,
    write_sweep,
)
from tasks.settings.scrub_unlearning import scrub_preset, weight_sweep
from tests.stand_ins.browser import WIDTHS, opened, overflow

LABELS = list(weight_sweep(scrub_preset("gpt2-winobias")))
CURVES = {
    LABELS[0]: [(1, 0.5), (2, -40.0), (3, -1000.0)],
    LABELS[1]: [(1, 0.1), (2, -100.0)],
    LABELS[2]: [(1, 0.2), (2, 0.4)],
}
TOXICITY = {"baseline": [0.0, 0.1, 0.9, 0.2], LABELS[0]: [0.05] * 4, LABELS[1]: [0.6, 0.7], LABELS[2]: []}
HOSTILE = '<script>alert("x")</script>'
SAMPLES = [
    Sample(model="baseline", prompt="The nurse said that", completion=HOSTILE, toxicity=0.25),
    Sample(model=LABELS[0], prompt="The nurse said that", completion="  \n"),
]
CONFIGS = {label: config.scrub for label, config in weight_sweep(scrub_preset("gpt2-winobias")).items()}


def found(**changes: object) -> SweepFigures:
    return SweepFigures(
        **{"configs": CONFIGS, "curves": CURVES, "toxicity": TOXICITY, "samples": SAMPLES, "remark": "Not GPT-2."}
        | changes
    )


def test_all_losses_are_in_one_plot_and_told_in_words() -> None:
    picture = loss_curves(CURVES)
    assert picture.png.startswith(b"\x89PNG")
    assert (
        picture.alt
        == "Loss of training: alpha 0.25, beta 0.75 from 0.5 to -1000 nats in 3 steps; alpha 0.5, beta 0.5 from 0.1 to"
        " -100 nats in 2 steps; alpha 0.75, beta 0.25 from 0.2 to 0.4 nats in 2 steps."
    )
    assert loss_curves({"one": [(1, 0.5)]}) is None


def test_another_curve_is_another_picture() -> None:
    assert loss_curves(CURVES).png != loss_curves(CURVES | {LABELS[0]: [(1, 0.5), (2, 0.2)]}).png


def test_toxicity_in_figures() -> None:
    rows = {row["model"]: row for row in toxicity_rows(TOXICITY)}
    assert rows["baseline"] == {
        "model": "baseline",
        "n": 4,
        "min": 0.0,
        "max": 0.9,
        "mean": pytest.approx(0.3),
        "ratio_over_0.5": 0.25,
    }
    assert list(rows) == ["baseline", *LABELS[:2]]  # nothing was rated of the third
    assert "baseline: mean 0.3, 0 to 0.9" in toxicity_histogram(TOXICITY).alt
    assert toxicity_histogram({}) is None
    with pytest.raises(ValueError, match=r"toxicity of baseline holds 1.5; wanted numbers from 0 to 1"):
        toxicity_rows({"baseline": [0.5, 1.5]})


def test_files_of_a_sweep(tmp_path: Path) -> None:
    names = [file.name for file in write_sweep(tmp_path, found())]
    assert names == [
        "scrub-loss.png",
        "scrub-samples.csv",
        "scrub-toxicity.csv",
        "scrub-toxicity.png",
        "scrub.html",
        "scrub.json",
    ]
    value = json.loads((tmp_path / "scrub.json").read_text())
    assert [(run["alpha"], run["beta"], run["last_loss_nats"]) for run in value["runs"]] == [
        (0.25, 0.75, -1000.0),
        (0.5, 0.5, -100.0),
        (0.75, 0.25, 0.4),
    ]
    assert HOSTILE not in (tmp_path / "scrub.json").read_text()
    with (tmp_path / "scrub-samples.csv").open(newline="") as stream:
        assert [row["completion"] for row in csv.DictReader(stream)] == [HOSTILE, "  \n"]


def test_a_sweep_that_found_little_has_a_page_all_the_same(tmp_path: Path) -> None:
    names = [file.name for file in write_sweep(tmp_path, found(curves={}, toxicity={}, samples=(), remark=""))]
    assert names == ["scrub.html", "scrub.json"]


def test_the_page_says_whether_the_ascent_was_bounded_and_shows_blanks(tmp_path: Path) -> None:
    write_sweep(tmp_path, found())
    page = (tmp_path / "scrub.html").read_text()
    assert page.count("unbounded: the divergence on forget text may grow without end") == 3
    assert "<em>blank</em>" in page and "Not GPT-2." in page
    assert "Rated by" not in page
    write_sweep(tmp_path, found(scorer="lexicon:better_profanity"))
    assert (
        "Rated by lexicon:better_profanity: the share of words on a list, which is no classifier."
        in (tmp_path / "scrub.html").read_text()
    )
    assert HOSTILE not in page and "&lt;script&gt;" in page
    assert page.count("data:image/png;base64,") == 2


def test_health_stands_beside_the_loss(tmp_path: Path) -> None:
    reason = "degeneration/empty_share is 1.0000, wanted <= 0.0500: fails"
    ill = Ending(healthy=False, reasons=(reason,), retain_kl_nats=12.5, forget_kl_nats=13.5, stereotype_preference=0.25)
    write_sweep(
        tmp_path,
        found(
            endings={LABELS[0]: ill, LABELS[1]: Ending(healthy=True), "baseline": Ending(stereotype_preference=0.625)}
        ),
    )
    value = json.loads((tmp_path / "scrub.json").read_text())
    assert [run["healthy"] for run in value["runs"]] == [False, True, None]
    assert [run["steps"] for run in value["runs"]] == [3, 2, 2]
    assert (value["runs"][0]["reasons"], value["baseline"]["stereotype_preference"]) == ([reason], 0.625)
    page = (tmp_path / "scrub.html").read_text()
    cells = [
        page.partition('id="endings"')[2].partition(f"<tr><th>{label}</th>")[2].partition("</tr>")[0]
        for label in LABELS
    ]
    assert [
        [word for word in ("<strong>no</strong>", "<td>yes</td>", "not measured") if word in cell] for cell in cells
    ] == [
        ["<strong>no</strong>"],
        ["<td>yes</td>"],
        ["not measured"],
    ]
    assert all(wanted in cells[0] for wanted in ("12.5", "13.5", "0.25", "degeneration/empty_share is 1.0000"))
    assert "0.625" in page


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_in_a_browser_and_fits_its_window(width: int, tmp_path: Path) -> None:
    write_sweep(tmp_path, found())
    with opened(tmp_path / "scrub.html", width) as (shown, noticed):
        assert noticed == []
        assert overflow(shown) <= 0
        assert all(
            image.evaluate("image => image.complete && image.naturalWidth > 0") for image in shown.locator("img").all()
        )
