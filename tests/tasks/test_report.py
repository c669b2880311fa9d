"""The report: complete, self-contained, and safe against what models say."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest

from tasks import formats, store
from tasks.algorithms.evidence import CLAIMS
from tasks.artifacts import AnchorTable, ProbeRecords, Scorecard
from tasks.report import figure, metric_groups, render_report, side_by_side, write_report

HOSTILE = '<script>alert("x")</script><img src="http://evil.example/x.png">'
CARD: dict[str, Any] = {
    "schema": "scorecard.v1",
    "metrics": {
        "forget_test/probability": {"target": 0.8, "unlearned": 0.2125, "retrained": 0.2, "ci95": [0.18, 0.25], "n": 40},
        "forget_test/perplexity": {"target": 12.0, "unlearned": 1234.5, "retrained": None, "ci95": None, "n": None},
        "benchmark/world/acc": {"target": 0.65, "unlearned": 0.6, "retrained": 0.62, "ci95": [0.5, 0.7], "n": None},
    },
    "verdict": {
        **{"forgotten": True, "utility_kept": False, "healthy": True, "robust": None, "private": None, "passed": False, "evidence": "gold"},
        **{"checked": ["forgotten", "utility_kept", "healthy"], "missing": ["robust", "private"], "reasons": ["forgotten: it holds", "utility_kept: it fails"]},
    },
    "claim": CLAIMS["gold"],
    "truncated_share": {"target": 0.0, "unlearned": 0.125},
    "provenance": {"method": "whp", "target model": "a" * 64, "versions": {"torch": "2.13.0"}},
}
COMPLETIONS = [
    {"split": "forget_test", "kind": "cloze", "prompt": "In the town", "truth": "Velmora", "target": "Velmora", "unlearned": HOSTILE, "retrained": "  "},
    {"split": "retain_test", "kind": "question", "prompt": "Who bakes?", "truth": "The baker", "target": "a", "unlearned": "b", "retrained": "c"},
]
ANCHORS = [
    {"term": "Velmora", "generic": "the town", "kind": "PLACE", "count": 12, "log_odds_z": 3.5, "origin": "entity", "translator": "offline"},
    {"term": "O<z>", "generic": "", "kind": "PLACE", "count": 3, "log_odds_z": 1.5, "origin": "user", "translator": "user"},
]


class Page(HTMLParser):
    """What a browser would load, and whether elements are closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def render(**changes: Any) -> str:
    given: dict[str, Any] = {"completions": COMPLETIONS, "anchors": ANCHORS, "curves": {"reinforced": [(1, 2.0), (2, 1.5)]}, "facts": {"config.alpha": "5"}}
    card = changes.pop("card", CARD)
    return render_report(card, **{**given, **changes})


@pytest.fixture(scope="module")
def page() -> str:
    return render()


def test_it_is_whole_and_loads_nothing_from_elsewhere(page: str) -> None:
    found = Page(page)
    assert found.open == []
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert all(address.startswith("data:") for address in found.loads)
    assert "@import" not in page
    assert "url(" not in page


def test_what_models_say_is_text_and_no_markup(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page
    assert "O&lt;z&gt;" in page


def test_pictures_are_inside_it(page: str) -> None:
    pictures = [base64.b64decode(address.partition("base64,")[2]) for address in Page(page).loads]
    assert len(pictures) == 3
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_verdict_evidence_checks_and_reasons_are_said(page: str) -> None:
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for wanted in (
        "Verdict: not passed",
        "Evidence: gold",
        "forgotten: yes",
        "utility kept: no",
        "robust: not measured",
        "utility_kept: it fails",
        CLAIMS["gold"],
    ):
        assert wanted in words


def test_all_models_answer_side_by_side(page: str) -> None:
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Prompt In the town True text Velmora Target Velmora Unlearned" in words
    assert "Retrained (nothing)" in words  # a completion of blanks
    assert "Retrained" not in render(completions=[{name: value for name, value in row.items() if name != "retrained"} for row in COMPLETIONS])


def test_it_renders_without_completions_curves_and_pictures() -> None:
    found = Page(render(completions=[], curves={}, card={**CARD, "metrics": {}}))
    assert found.open == []
    assert found.loads == []


@pytest.mark.parametrize(("value", "text"), [(None, "\u2013"), (0.21254, "0.213"), (1234.5, "1234"), (0.0, "0"), (-0.5, "-0.5")])
def test_figures_are_written_as_people_read_them(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_metrics_are_grouped_by_split_with_their_meaning() -> None:
    groups = dict(metric_groups(CARD["metrics"]))
    assert list(groups) == ["forget_test", "benchmark"]
    assert groups["benchmark"][0]["meaning"] == "accuracy"


def probes(label: str, completion: str) -> ProbeRecords:
    rows = [{"split": split, "item": 0, "kind": "cloze", "prompt": "In", "truth": "the", "completion": completion} for split in ("retain_test", "forget_test")]
    digest = store.put("probes", lambda folder: pandas.DataFrame(rows).to_parquet(folder / "completions.parquet"), sensitivity="forget")
    return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", label=label, passes={})


def test_completions_of_all_models_come_together_forgotten_first(lethe_home: Path) -> None:
    rows = side_by_side([probes("target", "one"), probes("retrained", "three"), probes("unlearned", "two")])
    assert [row["split"] for row in rows] == ["forget_test", "retain_test"]
    assert [rows[0][label] for label in ("target", "retrained", "unlearned")] == ["one", "three", "two"]


def test_the_stage_keeps_the_report_as_forget_artifact(lethe_home: Path) -> None:
    card = store.put("scorecards", lambda folder: formats.write_json(folder / "scorecard.json", CARD), sensitivity="public")
    table = store.put("dictionaries", lambda folder: formats.write_json(folder / "dictionary.json", ANCHORS), sensitivity="forget")
    found = write_report.body(
        Scorecard(kind="scorecards", digest=card, sensitivity="public", passed=False, evidence="gold"),
        [probes("target", "one"), probes("unlearned", "two")],
        AnchorTable(kind="dictionaries", digest=table, sensitivity="forget", anchors=2, pipeline="none"),
        [],
        {"config.alpha": "5"},
    )
    assert found.sensitivity == "forget"
    assert "Verdict: not passed" in (store.path(found) / "report.html").read_text()
