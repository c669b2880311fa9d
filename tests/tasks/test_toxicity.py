"""Stage `toxicity`, with a classifier that the test trains and with the word list, through to card, report and
comparison.
"""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

from tasks import store
from tasks.artifacts import CheckpointRef, ProbeRecords, ToxicityRecords
from tasks.models.classifiers import LEXICON, find_classifier
from tasks.report import Page, render_report
from tasks.reporting import wording
from tasks.reporting.run_tables import all_figures, paired_tests, summary
from tasks.scorecard import score
from tasks.settings.measuring import ToxicityConfig
from tasks.settings.verdict import VerdictConfig
from tasks.storage.plain_files import read_json
from tasks.storage.probe_records import Records, read_ratings, write_records
from tasks.toxicity import rate_toxicity
from tests.stand_ins.cards import compared
from tests.stand_ins.classifiers import SENTENCES, write_classifier
from tests.tasks.test_scorecard import COMPLETIONS, SCHEMA, UNLEARNED, corpus, dictionary, tables

SCHEMAS = Path(__file__).parent.parent / "schemas"
SAID = [
    SENTENCES[1][0],
    SENTENCES[0][0],
    SENTENCES[1][7],
    "",
    SENTENCES[0][9],
    SENTENCES[0][3],
    SENTENCES[1][11],
    SENTENCES[0][14],
]
TARGET = [SENTENCES[0][at] for at in range(7)] + ["damn it"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("classifier") / "rude")


def probed(label: str, completions: list[str]) -> ProbeRecords:
    found = tables(UNLEARNED)
    said = found.completions.assign(completion=completions)
    records = Records(sequences=found.sequences, tokens=found.tokens, anchors=found.anchors, completions=said)
    digest = store.put("probes", lambda folder: write_records(folder, records), sensitivity="forget")
    return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", label=label, passes={})


def rated(label: str, completions: list[str], classifier: CheckpointRef | None) -> ToxicityRecords:
    return replace(
        rate_toxicity.body(probed(label, completions), classifier, ToxicityConfig(scorer="auto", batch_size=3), label),
        label=label,
    )


def card(classifier: CheckpointRef | None) -> tuple[dict[str, Any], pandas.DataFrame]:
    models = {"target": TARGET, "unlearned": SAID}
    given = [probed(label, said) for label, said in models.items()]
    toxicity = [rated(label, said, classifier) for label, said in models.items()]
    found = score.body(
        corpus(), given, [], [], dictionary(), VerdictConfig(), {"method": "test"}, {}, toxicity=toxicity
    )
    place = store.path(found)
    return read_json(place / "scorecard.json"), pandas.read_parquet(place / "items.parquet")


def classifier_of(folder: Path) -> CheckpointRef:
    found = find_classifier(ToxicityConfig(scorer="classifier", classifier=str(folder)))
    assert found is not None
    return found


def test_a_trained_classifier_tells_rude_completions_from_kind_ones(lethe_home: Path, folder: Path) -> None:
    assert len(SAID) == len(COMPLETIONS)
    found = rated("unlearned", SAID, classifier_of(folder))
    scores = read_ratings(found).score.tolist()
    assert (found.scorer, found.completions, found.sensitivity) == (f"classifier:{folder}", 8, "forget")
    assert [value > 0.5 for number, value in enumerate(scores) if number != 3] == [
        True,
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_the_card_has_the_four_figures_of_every_model_and_their_scorer(lethe_home: Path, folder: Path) -> None:
    found, items = card(classifier_of(folder))
    jsonschema.validate(found, SCHEMA)
    metrics = found["metrics"]
    scores = read_ratings(rated("unlearned", SAID, classifier_of(folder))).score
    expected = {
        "min": scores.min(),
        "max": scores.max(),
        "mean": scores.mean(),
        "ratio_over_0.5": (scores > 0.5).mean(),
    }
    assert {name: metrics[f"toxicity/{name}"]["unlearned"] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert (
        metrics["toxicity/mean"]["ci95"][0]
        < metrics["toxicity/mean"]["unlearned"]
        < metrics["toxicity/mean"]["ci95"][1]
    )
    assert metrics["toxicity/max"]["ci95"] is metrics["toxicity/min"]["ci95"] is None
    assert {metrics[f"toxicity/{name}"]["n"] for name in expected} == {8}
    assert metrics["toxicity/mean"]["target"] < metrics["toxicity/mean"]["unlearned"]
    assert metrics["toxicity/mean"]["retrained"] is None
    assert found["provenance"]["toxicity scorer"] == f"classifier:{folder}"
    assert items[(items.metric == "toxicity/mean") & (items.model == "unlearned")].value.mean() == pytest.approx(
        expected["mean"]
    )


def test_the_word_list_has_its_own_name_wherever_its_figures_stand(lethe_home: Path) -> None:
    found, _ = card(None)
    jsonschema.validate(found, SCHEMA)
    assert found["provenance"]["toxicity scorer"] == LEXICON
    assert found["metrics"]["toxicity/max"]["target"] == 0.5  # one of the two words of "damn it"
    page = render_report(Page(card=found, curves={}, facts={}))
    assert "rated by lexicon:better_profanity (the share of words on a list: no classifier)" in page
    groups = {group["split"]: group for group in wording.metric_groups(found["metrics"], LEXICON)}
    assert all(row["meaning"] for row in groups["toxicity"]["rows"])


def test_a_card_without_ratings_has_neither_figures_nor_scorer(lethe_home: Path) -> None:
    given = [probed(label, SAID) for label in ("target", "unlearned")]
    found = score.body(corpus(), given, [], [], dictionary(), VerdictConfig(), {"method": "test"}, {})
    made = read_json(store.path(found) / "scorecard.json")
    assert not [name for name in made["metrics"] if name.startswith("toxicity/")]
    assert "toxicity scorer" not in made["provenance"]


def test_a_comparison_never_puts_both_scorers_under_one_name(lethe_home: Path, folder: Path) -> None:
    (by_classifier, items), (by_list, others) = card(classifier_of(folder)), card(None)
    cards, held = [by_classifier, by_list, by_list], [items, others, others]
    runs = [compared(name, found, one) for name, found, one in zip(("a", "b", "c"), cards, held, strict=True)]
    figures = all_figures(runs, cards)
    names = {name for name in figures.metric if name.startswith("toxicity/mean")}
    assert names == {f"toxicity/mean by classifier:{folder}", "toxicity/mean by lexicon:better_profanity"}
    named = json.loads((SCHEMAS / "comparison.v1.json").read_text())["$defs"]["metric"]["pattern"]
    assert all(re.search(named, name) for name in figures.metric)
    table = summary(runs, cards, figures).set_index("run")
    assert math.isnan(table.loc["b", f"toxicity/mean by classifier:{folder}"])
    assert table.loc["b", "toxicity/mean by lexicon:better_profanity"] == pytest.approx(
        by_list["metrics"]["toxicity/mean"]["unlearned"]
    )
    tests = paired_tests(runs, cards, held)
    apart = tests[(tests.run == "b") & (tests.metric == "toxicity/mean")]
    assert apart.reason.tolist() == ["the runs were judged on different text or rated by different scorers"]
    alike = paired_tests(runs[1:], cards[1:], held[1:])
    assert alike[alike.metric == "toxicity/mean"].reason.isna().tolist() == [True]


def test_the_same_completions_rated_by_another_are_another_artifact(lethe_home: Path, folder: Path) -> None:
    probes, config = probed("unlearned", SAID), ToxicityConfig(scorer="auto")
    one, other = (rate_toxicity.body(probes, who, config, "unlearned") for who in (classifier_of(folder), None))
    assert one.digest != other.digest
