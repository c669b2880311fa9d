"""The report: complete, self-contained, safe against what models say, and without forgotten text in its
redacted form.
"""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.verdicts.evidence import CLAIMS
from tasks.artifacts import AnchorTable, CorpusRef, JudgeRecords, ProbeRecords, Scorecard, StereotypeScores
from tasks.report import Details, Page, answers_table, preferences_by_group, render_report, side_by_side, write_report
from tasks.storage.documents import write_splits
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import write_verdicts
from tests.stand_ins.browser import WIDTHS, opened, overflow

HOSTILE = '<script>alert("x")</script><img src="http://evil.example/x.png">'
CARD: dict[str, Any] = {
    "schema": "scorecard.v1",
    "metrics": {
        "forget_test/probability": {
            "target": 0.8,
            "unlearned": 0.2125,
            "retrained": 0.2,
            "ci95": [0.18, 0.25],
            "n": 40,
        },
        "forget_test/perplexity": {"target": 12.0, "unlearned": 1234.5, "retrained": None, "ci95": None, "n": None},
        "benchmark/world/acc": {"target": 0.65, "unlearned": 0.6, "retrained": 0.62, "ci95": [0.5, 0.7], "n": None},
    },
    "verdict": {
        **{
            "forgotten": True,
            "utility_kept": False,
            "healthy": True,
            "robust": None,
            "private": None,
            "passed": False,
            "evidence": "gold",
        },
        **{
            "checked": ["forgotten", "utility_kept", "healthy"],
            "missing": ["robust", "private"],
            "reasons": ["forgotten: it holds", "utility_kept: it fails"],
        },
    },
    "claim": CLAIMS["gold"],
    "truncated_share": {"target": 0.0, "unlearned": 0.125},
    "provenance": {"method": "whp", "target model": "a" * 64, "versions": {"torch": "2.13.0"}},
}
NEWER: dict[str, Any] = {
    "metrics": {
        **CARD["metrics"],
        "privacy/min_k_auc": {"target": 0.9, "unlearned": 0.6, "retrained": 0.5, "ci95": [0.5, 0.7], "n": 80},
        "utility/model_utility": {"target": 0.7, "unlearned": 0.65, "retrained": 0.66, "ci95": None, "n": None},
        "degeneration/leaked_strings": {
            "target": 0.0,
            "unlearned": 0.1,
            "retrained": None,
            "ci95": [0.0, 0.2],
            "n": 40,
        },
        "retain_test/rouge_l": {"target": 0.7, "unlearned": 0.6, "retrained": None, "ci95": [0.5, 0.7], "n": 40},
    },
    "limits": ["Nobody tried to bring the knowledge back."],
    "passes": {"unlearned": {"scored_sequences": 12, "generated": 4}},
    "cost": {"finetune": 61.5, "probing unlearned": 20},
}
"""What newer cards hold beside."""
COMPLETIONS = [
    {"split": "forget_test", "kind": "cloze", "prompt": "In the town", "truth": "Velmora"}
    | {"says": {"target": "Velmora", "unlearned": HOSTILE, "retrained": "  "}},
    {
        "split": "retain_test",
        "kind": "question",
        "prompt": "Who bakes?",
        "truth": "The baker",
        "says": {"target": "a", "unlearned": "b", "retrained": "c"},
    },
]
ANCHORS = [
    {
        "term": "Velmora",
        "generic": "the town",
        "kind": "PLACE",
        "count": 12,
        "log_odds_z": 3.5,
        "origin": "entity",
        "translator": "offline",
    },
    {
        "term": "O<z>",
        "generic": "",
        "kind": "PLACE",
        "count": 3,
        "log_odds_z": 1.5,
        "origin": "user",
        "translator": "user",
    },
]


class Markup(HTMLParser):
    """What a browser would load, and whether elements are closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        self.loads += [value or "" for name, value in attributes if name in ("src", "srcset", "data", "action")]
        self.links += [given["href"] or ""] if "href" in given else []
        self.ids += [given["id"] or ""] if "id" in given else []
        self.alts += [given.get("alt") or ""] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</style>")[2]).split())


def render(
    card: dict[str, Any] = CARD, completions: list[dict[str, Any]] = COMPLETIONS, curves: Any = None, **details: Any
) -> str:
    curves = {"reinforced": [(1, 2.0), (2, 1.5)]} if curves is None else curves
    page = Page(card=card, curves=curves, facts={"config.alpha": "5"})
    return render_report(page, Details(completions=completions, anchors=ANCHORS, **details))


@pytest.fixture(scope="module")
def page() -> str:
    return render()


def test_it_is_whole_and_loads_nothing_from_elsewhere(page: str) -> None:
    found = Markup(page)
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
    pictures = [base64.b64decode(address.partition("base64,")[2]) for address in Markup(page).loads]
    assert len(pictures) == 3
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_every_picture_is_described(page: str) -> None:
    alts = Markup(page).alts
    assert len(alts) == 3
    assert "Forgotten: answers: target 0.8, unlearned 0.212, retrained 0.2" in alts[0]
    assert "reinforced from 2 to 1.5 nats in 2 steps" in alts[2]


def test_the_contents_lead_to_what_is_there(page: str) -> None:
    for found in (
        Markup(page),
        Markup(render({**CARD, **NEWER})),
        Markup(render_report(Page(card=CARD, curves={}, facts={}), left_out="all")),
    ):
        assert len(found.links) >= 3
        assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_verdict_evidence_checks_meanings_and_reasons_are_said(page: str) -> None:
    words = words_of(page)
    for wanted in (
        "Verdict: not passed Evidence: gold",
        "forgotten yes Asked about the forgotten text, the model answers like one that never read it. Why it holds",
        (
            "utility kept no Something that was to be kept has suffered: unlearning removed more than the text. Why it"
            " fails"
        ),
        "robust not measured Not measured: nobody tried",
        CLAIMS["gold"],
    ):
        assert wanted in words


def test_newer_cards_are_shown_whole_and_older_ones_without_gaps(page: str) -> None:
    words = words_of(render({**CARD, **NEWER}))
    for wanted in (
        "What this evidence cannot tell Nobody tried to bring the knowledge back.",
        "min_k_auc how well this attack tells forgotten text from text never seen",
        "model_utility harmonic mean",
        "leaked_strings share of completions with a name",
        "rouge_l share of the true answer's words",
        "finetune 61.5 probing unlearned 20 together 81.5",
        "measured on, unlearned 12 scored sequences, 4 generated",
    ):
        assert wanted.replace("'", "&#39;") in words
    for heading in ("What this evidence cannot tell", "Cost", "measured on"):
        assert heading not in words_of(page)


def test_all_models_answer_side_by_side(page: str) -> None:
    words = words_of(page)
    assert "Prompt In the town True text Velmora Target Velmora Unlearned" in words
    assert "Retrained (nothing)" in words  # a completion of blanks
    assert "Retrained" not in words_of(
        render(completions=[{**row, "says": {"target": "a", "unlearned": "b"}} for row in COMPLETIONS])
    )


def test_a_judges_score_stands_beside_what_it_is_of() -> None:
    page = words_of(
        render(
            completions=[{**COMPLETIONS[0], "scores": {"target": 3, "unlearned": 0, "retrained": None}}, COMPLETIONS[1]]
        )
    )
    assert "Target Velmora judged 3 of 3 Unlearned" in page
    assert page.count("judged 0 of 3") == 1
    assert "Retrained (nothing) To be kept" in page
    assert "judged" not in words_of(render())


def test_it_renders_without_completions_curves_and_pictures() -> None:
    found = Markup(render(completions=[], curves={}, card={**CARD, "metrics": {}}))
    assert found.open == []
    assert found.loads == []


SECRETS = {
    "prompt": "Velmora by night",
    "truth": "Ostrin the smith",
    "completion": "Kessandra sang",
    "fact": "brindlewick/ruler",
    "term": "Tharnwald",
    "generic": "Oakford-on-Moor",
}
"""What was to be forgotten, by where it stands."""


def probes(label: str, completion: str) -> ProbeRecords:
    row = {
        "item": 0,
        "kind": "cloze",
        "cluster": SECRETS["fact"],
        "prompt": SECRETS["prompt"],
        "truth": SECRETS["truth"],
        "completion": completion,
    }
    table = pandas.DataFrame([{**row, "split": split} for split in ("retain_test", "forget_test")])
    digest = store.put("probes", lambda folder: table.to_parquet(folder / "completions.parquet"), sensitivity="forget")
    return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", label=label, passes={})


def test_completions_of_all_models_come_together_forgotten_first(lethe_home: Path) -> None:
    rows = side_by_side([probes("target", "one"), probes("retrained", "three"), probes("unlearned", "two")])
    assert [row["split"] for row in rows] == ["forget_test", "retain_test"]
    assert list(rows[0]["says"].items()) == [("target", "one"), ("unlearned", "two"), ("retrained", "three")]


def test_preferences_stand_by_group_with_every_model_beside_the_others(lethe_home: Path) -> None:
    def scored(label: str, shares: dict[str, float]) -> StereotypeScores:
        rows = [
            {"group": group, "pairs": 4, "share": share, "difference_nats": share - 0.5}
            for group, share in shares.items()
        ]
        digest = store.put(
            "stereotypes",
            lambda folder: write_json(folder / "stereotypes.json", {"groups": rows}),
            sensitivity="forget",
        )
        ref = {"kind": "stereotypes", "digest": digest, "sensitivity": "forget", "label": label}
        return StereotypeScores(**ref, pairs=8, left_out=0, preference=0.5, difference_nats=0.0)

    rows = preferences_by_group(
        [scored("target", {"nurse": 0.75, "baker": 0.5}), scored("unlearned", {"baker": 0.25, "nurse": 0.5})]
    )
    assert rows == [
        {"group": "nurse", "pairs": 4, "target": 0.75, "unlearned": 0.5},
        {"group": "baker", "pairs": 4, "target": 0.5, "unlearned": 0.25},
    ]
    page = words_of(render(preferences=rows))
    assert "in 2 groups (0.5: no preference) group pairs target unlearned nurse 4 0.75 0.5 baker 4 0.5 0.25" in page
    assert preferences_by_group([]) == []


def test_scores_go_with_their_completions_into_report_and_table(lethe_home: Path) -> None:
    digest = store.put("verdicts", lambda folder: write_verdicts(folder, [1], [2.0]), sensitivity="forget")
    found = [JudgeRecords(kind="verdicts", digest=digest, sensitivity="forget", judged=1, requested=1, label="target")]
    both = [probes("target", "one"), probes("unlearned", "two")]
    assert [(row["split"], row["scores"]) for row in side_by_side(both, found)] == [
        ("forget_test", {"target": 2}),
        ("retain_test", {"target": None}),
    ]
    table = answers_table(both, found)
    assert list(table.columns) == ["split", "kind", "prompt", "truth", "target", "unlearned", "target score"]
    assert table["target score"].dropna().tolist() == [2]
    assert list(answers_table(both).columns) == ["split", "kind", "prompt", "truth", "target", "unlearned"]


def test_a_model_may_be_judged_alone(lethe_home: Path) -> None:
    assert [row["says"] for row in side_by_side([probes("unlearned", "two")])] == [{"unlearned": "two"}] * 2


def written(*labels: str, completion: str = SECRETS["completion"]) -> tuple[Path, Path]:
    """Return the files of both forms, written by the stage from inputs that hold every secret."""
    text = Document(source="given", text=" ".join(SECRETS.values()))
    splits = store.put("corpora", lambda folder: write_splits(folder, {"forget": [text]}), sensitivity="forget")
    corpus = CorpusRef(kind="corpora", digest=splits, sensitivity="forget", documents={"forget": 1}, characters={})
    card = store.put(
        "scorecards", lambda folder: write_json(folder / "scorecard.json", {**CARD, **NEWER}), sensitivity="public"
    )
    rows = [{**ANCHORS[0], "term": SECRETS["term"], "generic": SECRETS["generic"]}]
    table = store.put("dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget")
    full, redacted = write_report.body(
        corpus,
        Scorecard(kind="scorecards", digest=card, sensitivity="public", passed=False, evidence="gold"),
        [probes(label, completion) for label in labels],
        AnchorTable(kind="dictionaries", digest=table, sensitivity="forget", anchors=1, pipeline="none"),
        [],
        {"config.alpha": "5"},
    )
    assert (full.sensitivity, redacted.sensitivity) == ("forget", "public")
    return store.path(full) / "report.html", store.path(redacted) / "report-redacted.html"


def test_the_full_report_is_a_forget_artifact_and_holds_the_forgotten_text(lethe_home: Path) -> None:
    full, _ = written("target", "unlearned")
    assert full.is_relative_to(lethe_home / "forget")
    assert [name for name, secret in SECRETS.items() if secret not in full.read_text()] == ["fact"]


def test_what_nobody_gave_is_listed_in_the_full_report_alone(lethe_home: Path) -> None:
    full, redacted = written("target", "unlearned", completion="then Gwendolyn Harker at www.harker.example of Velmora")
    words = words_of(full.read_text())
    assert "4 of all completions hold what no text of this run holds" in words
    assert "unlearned www.harker.example, Gwendolyn Harker Velmora by night" in " ".join(words.split())
    assert "harker" not in redacted.read_text().lower()
    assert "hold what no text of this run holds" not in words_of(written("unlearned")[0].read_text())


def test_the_redacted_report_holds_nothing_of_it_and_says_what_it_lacks(lethe_home: Path) -> None:
    full, redacted = written("target", "unlearned")
    # where any few letters may stand by chance
    page = re.sub(r"data:image/png;base64,[^\"]+", "", redacted.read_text())
    assert not redacted.is_relative_to(lethe_home / "forget")
    assert [
        part
        for secret in SECRETS.values()
        for part in re.split(r"[\W]+", secret)
        if len(part) > 3 and part.lower() in page.lower()
    ] == []
    words = words_of(page)
    assert "2 prompts with what the models say, and 1 anchors with their translations" in words
    assert f"forget/reports/{full.parent.name[:12]}" in words
    for kept in ("Verdict: not passed", CLAIMS["gold"], "min_k_auc", "Cost", "Provenance", "a" * 64):
        assert kept in words
    assert len(Markup(page).alts) == 2


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_both_forms_open_from_disk_and_ask_for_nothing(lethe_home: Path, width: int) -> None:
    for file in written("target", "unlearned", "retrained"):
        with opened(file, width) as (shown, noticed):
            assert noticed == []
            assert overflow(shown) <= 0
            assert shown.locator("h1").inner_text().startswith("Unlearning report")
            assert all(
                image.evaluate("image => image.complete && image.naturalWidth > 0")
                for image in shown.locator("img").all()
            )
