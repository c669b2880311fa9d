"""The stage `comparison`: its files fit together and the schema, and the page reads in a browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

from tasks import store
from tasks.artifacts import Comparison
from tasks.comparison import COLOURS, MARKERS, compare_cards
from tests.stand_ins.browser import WIDTHS, opened, overflow
from tests.stand_ins.cards import card, compared, items

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "comparison.v1.json").read_text())
METRICS = ("forget_test/probability", "retain_test/probability", "sibling/probability")
HOSTILE = '<script>alert("x")</script>'
HELD = pandas.concat([items(name, [0.1, 0.2, 0.4]) for name in METRICS])
CARDS = {
    "strong": card(dict(zip(METRICS, [(0.8, 0.08, 0.04), (0.5, 0.4, 0.45), (0.5, 0.45, None)], strict=True))),
    HOSTILE: card(
        dict(zip(METRICS, [(0.8, 0.4, 0.04), (0.5, 0.5, 0.45), (0.5, 0.4, None)], strict=True)), passed=False
    ),
    "prose only": card({"forget_test/perplexity": (10.0, 20.0, None)}, evidence="behavioural"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(tmp_path_factory.mktemp("lethe")))
        runs = [compared(name, found, HELD if name != "prose only" else None) for name, found in CARDS.items()]
        made = compare_cards.body(runs)
        assert isinstance(made, Comparison)
        assert (made.runs, made.pairs, made.sensitivity) == (3, 3, "public")
        yield store.path(made)


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "comparison.json").read_text())


def test_the_comparison_fits_its_schema(found: dict[str, Any]) -> None:
    jsonschema.validate(found, SCHEMA)


def test_each_panel_names_its_metrics_and_its_front(found: dict[str, Any]) -> None:
    assert [(panel["split"], panel["left"], panel["kept"]) for panel in found["panels"]] == [
        ("retain_test", METRICS[0], METRICS[1]),
        ("sibling", METRICS[0], METRICS[2]),
    ]
    assert [panel["front"] for panel in found["panels"]] == [["strong", HOSTILE], ["strong"]]


def test_paired_tests_and_their_lack_are_told_apart(found: dict[str, Any]) -> None:
    by_run = {run: [row for row in found["pairs"] if row["run"] == run] for run in (HOSTILE, "prose only")}
    assert [(row["metric"], row["difference"], row["p_value"]) for row in by_run[HOSTILE]] == [
        (name, 0.0, 1.0) for name in sorted(METRICS)
    ]
    (without,) = by_run["prose only"]
    assert (without["metric"], without["p_value"], without["reason"]) == (None, None, "no items.parquet in prose only")
    assert any("No paired test of prose only" in remark for remark in found["remarks"])


def test_tables_are_frames_with_the_same_figures(folder: Path, found: dict[str, Any]) -> None:
    table = pandas.read_csv(folder / "comparison.csv").set_index("run")
    assert list(table.index) == list(CARDS)
    assert table.loc["strong", "forget_test/probability.ratio"] == pytest.approx(0.1)
    assert table.loc["prose only", "forget_test/perplexity"] == 20.0
    assert len(pandas.read_csv(folder / "figures.csv")) == len(found["figures"]) == 7
    assert len(pandas.read_csv(folder / "pairs.csv")) == len(found["pairs"]) == 4
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_takes_names_as_text(folder: Path) -> None:
    page = (folder / "comparison.html").read_text()
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_without_a_trade_off_there_is_a_page_and_no_plot(lethe_home: Path) -> None:
    runs = [compared(name, CARDS["prose only"]) for name in ("one", "two")]
    where = store.path(compare_cards.body(runs))
    assert "so there is no plot" in (where / "comparison.html").read_text()
    assert not (where / "pareto.png").exists()
    jsonschema.validate(json.loads((where / "comparison.json").read_text()), SCHEMA)


def test_many_runs_look_different() -> None:
    looks = {(COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]) for number in range(72)}
    assert len(looks) == 72


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_from_disk_and_asks_for_nothing(folder: Path, width: int) -> None:
    with opened(folder / "comparison.html", width) as (shown, noticed):
        assert noticed == []
        assert overflow(shown) <= 0
        assert shown.locator("h1").inner_text() == "Comparison of 3 runs"
        assert shown.locator("img").count() == 2
        assert all(
            image.evaluate("image => image.complete && image.naturalWidth > 0") for image in shown.locator("img").all()
        )
