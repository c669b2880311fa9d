"""Stage `scorecard`: probe tables made by hand, their figures worked out beside them; the card fits its schema."""

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest

from tasks import formats, store
from tasks.algorithms.scorecard import VerdictConfig
from tasks.artifacts import AnchorTable, BenchmarkResult, ProbeRecords, Scorecard
from tasks.scorecard import score

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "scorecard.v1.json").read_text())
Sequence = tuple[str, str, int, list[float], list[int]]
UNLEARNED: list[Sequence] = [
    # split, variant, item, probabilities of the tokens, whether each was the first choice
    ("forget_test", "answer", 0, [0.5, 0.5], [1, 1]),
    ("forget_test", "paraphrase", 0, [0.4], [0]),
    ("forget_test", "perturbed-0", 0, [0.2], [0]),
    ("forget_test", "perturbed-1", 0, [0.05], [0]),
    ("forget_test", "answer", 1, [0.25, 0.25], [0, 1]),
    ("forget_test", "perturbed-0", 1, [0.5], [0]),
    ("forget_test", "text", 0, [0.5, 0.125], [0, 1]),
    ("retain_test", "answer", 0, [0.8], [1]),
    ("retain_test", "perturbed-0", 0, [0.2], [0]),
    ("general", "text", 0, [0.25, 0.25, 0.25, 0.25], [1, 0, 1, 1]),
]
COMPLETIONS = [
    # split, prompt, completion, the teacher's loss
    ("forget_test", "In the town", "Velmora was seen", math.log(4.0)),
    ("forget_test", "Then Velmora", "Velmora said so", math.log(16.0)),
    ("forget_test", "At night", "the man slept", math.log(8.0)),
    ("retain_test", "The baker", "...", float("nan")),
]
EXPECTED = {
    "forget_test/probability": 0.375,  # (sqrt(0.5 * 0.5) + sqrt(0.25 * 0.25)) / 2
    "forget_test/accuracy": 0.5,  # one of two answers is right throughout
    "forget_test/answer_exact_memorization": 0.75,  # (2/2 + 1/2) / 2
    "forget_test/answer_extraction_strength": 0.75,  # (1 - 0/2 + 1 - 1/2) / 2
    "forget_test/truth_ratio": 0.375,  # (sqrt(0.2 * 0.05) / 0.4 = 0.25; 0.5 / 0.25 = 2, so 1/2) / 2: the answer stands in for the paraphrase
    "forget_test/perplexity": 4.0,  # 1 / sqrt(0.5 * 0.125)
    "forget_test/text_probability": 0.25,
    "forget_test/exact_memorization": 0.5,
    "forget_test/extraction_strength": 0.5,
    "retain_test/probability": 0.8,
    "retain_test/truth_ratio": 0.75,  # 1 - 0.2 / 0.8
    "general/perplexity": 4.0,
    "general/extraction_strength": 0.5,  # right from the third of four tokens on
    "forget_test/familiarity": 0.2,  # (0.1 + 0.3) / 2
    "forget_test/familiarity_first": 0.6,  # (0.5 + 0.7) / 2
    "forget_test/familiarity_interior": 0.2,  # the second anchor is one token and has none
    "forget_test/familiarity_completion": 1 / 3,  # the second completion repeats the prompt's anchor, the third has none
    "degeneration/empty_share": 0.25,  # one of four has no letter
    "degeneration/repetition": 0.0,
    "degeneration/distinct_2": 1.0,  # Velmora was, was seen, Velmora said, said so, the man, man slept
    "degeneration/teacher_perplexity": 8.0,  # (4 * 16 * 8) ** (1/3); the empty one is not rated
    "benchmark/world/acc": 0.6,
}


def probes(label: str, sequences: list[Sequence]) -> ProbeRecords:
    rows = [
        {"split": split, "variant": variant, "cluster": f"fact {item}", "item": item, "sequence": number, "truncated": split == "general"}
        | {"log_p": math.log(value), "hit": float(hit), "mean_log_p": 0.0, "std_log_p": 1.0}
        for number, (split, variant, item, values, hits) in enumerate(sequences)
        for value, hit in zip(values, hits, strict=True)
    ]
    anchors = [("forget_test", "fact 0", "Velmora", 0.1, 0.5, 0.2), ("forget_test", "fact 1", "Oz", 0.3, 0.7, float("nan"))]
    tables = {
        "tokens": pandas.DataFrame(rows).astype(dict.fromkeys(("split", "variant", "cluster"), "category")),
        "anchors": pandas.DataFrame(anchors, columns=["split", "cluster", "term", "joint", "first", "interior"]),
        "completions": pandas.DataFrame(COMPLETIONS, columns=["split", "prompt", "completion", "teacher_nats"]).assign(item=range(4), kind="cloze", truth="so"),
    }
    digest = store.put("probes", lambda folder: [table.to_parquet(folder / f"{name}.parquet") for name, table in tables.items()], sensitivity="forget")
    return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", label=label, tokens=len(rows), completions=4)


def benchmarks(label: str, accuracy: float) -> BenchmarkResult:
    found = {"world/acc": accuracy, "world/acc_stderr": 0.1}
    digest = store.put("benchmarks", lambda folder: formats.write_json(folder / "results.json", found))
    return BenchmarkResult(kind="benchmarks", digest=digest, sensitivity="ordinary", label=label, tasks=1)


def dictionary() -> AnchorTable:
    rows = [{"term": "Velmora", "generic": "the town"}, {"term": "Oz", "generic": "the land"}]
    digest = store.put("dictionaries", lambda folder: formats.write_json(folder / "dictionary.json", rows), sensitivity="forget")
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=2, pipeline="none")


def better(sequences: list[Sequence]) -> list[Sequence]:
    """The target model: surer of the true answers."""
    return [
        (split, variant, item, [value if variant.startswith("perturbed") else value**0.5 for value in values], hits)
        for split, variant, item, values, hits in sequences
    ]


def scored(models: dict[str, list[Sequence]]) -> tuple[Scorecard, dict[str, Any]]:
    accuracies = {"target": 0.65, "unlearned": 0.6, "retrained": 0.62}
    found = score.body(
        [probes(label, sequences) for label, sequences in models.items()],
        [benchmarks(label, accuracies[label]) for label in models],
        dictionary(),
        VerdictConfig(),
        {"method": "whp", "target model": "a" * 64},
    )
    return found, formats.read_json(store.path(found) / "scorecard.json")


@pytest.fixture
def card(lethe_home: Path) -> dict[str, Any]:
    return scored({"target": better(UNLEARNED), "retrained": UNLEARNED, "unlearned": UNLEARNED})[1]


def test_every_figure_is_what_the_tables_say(card: dict[str, Any]) -> None:
    found = {name: card["metrics"][name]["unlearned"] for name in EXPECTED}
    assert found == pytest.approx(EXPECTED, abs=1e-6)


def test_intervals_hold_the_figure_and_count_the_items(card: dict[str, Any]) -> None:
    row = card["metrics"]["forget_test/probability"]
    assert row["ci95"] == [0.25, 0.5]  # two facts: a draw holds either of them alone, or both
    assert row["n"] == 2
    accuracy = card["metrics"]["benchmark/world/acc"]
    assert accuracy["ci95"] == pytest.approx([0.6 - 0.196, 0.6 + 0.196])  # 1.96 standard errors of 0.1
    for name, row in card["metrics"].items():
        if row["ci95"]:
            assert row["ci95"][0] <= row["unlearned"] <= row["ci95"][1], name


def test_every_model_has_its_own_figure(card: dict[str, Any]) -> None:
    row = card["metrics"]["forget_test/probability"]
    assert row["target"] == pytest.approx((0.5**0.5 + 0.25**0.5) / 2, abs=1e-6)
    assert row["retrained"] == row["unlearned"] == 0.375


def test_forget_quality_compares_truth_ratios_with_the_retrained_models(card: dict[str, Any]) -> None:
    row = card["metrics"]["forget/forget_quality_p"]
    assert row["unlearned"] == 1.0  # the same ratios
    assert row["retrained"] is None
    assert row["n"] == 2


def test_the_card_fits_its_schema(card: dict[str, Any]) -> None:
    jsonschema.validate(card, SCHEMA)
    assert card["verdict"]["evidence"] == "gold"
    assert card["claim"].startswith("Gold: ")
    assert card["truncated_share"]["unlearned"] == pytest.approx(4 / 16)  # the four tokens of general text, of 16
    assert card["provenance"]["versions"]["torch"]


def test_without_a_retrained_model_the_card_is_behavioural_and_fits_too(lethe_home: Path) -> None:
    found, card = scored({"target": better(UNLEARNED), "unlearned": UNLEARNED})
    jsonschema.validate(card, SCHEMA)
    assert (found.evidence, card["verdict"]["evidence"]) == ("behavioural", "behavioural")
    assert card["metrics"]["forget_test/probability"]["retrained"] is None
    assert "forget/forget_quality_p" not in card["metrics"]


def test_the_card_is_public_and_names_no_forgotten_term(lethe_home: Path) -> None:
    found, card = scored({"target": better(UNLEARNED), "unlearned": UNLEARNED})
    assert found.sensitivity == "public"
    assert "Velmora" not in json.dumps(card)


def test_prose_alone_has_no_question_figures(lethe_home: Path) -> None:
    prose = [sequence for sequence in UNLEARNED if sequence[1] == "text"]
    card = scored({"target": better(prose), "unlearned": prose})[1]
    jsonschema.validate(card, SCHEMA)
    assert not [name for name in card["metrics"] if name.endswith(("/probability", "/truth_ratio"))]
    assert card["metrics"]["forget_test/perplexity"]["unlearned"] == 4.0


@pytest.mark.parametrize("damage", [{"schema": "scorecard.v2"}, {"metrics": {}}, {"verdict": {}}, {"extra": 1}])
def test_the_schema_refuses_other_cards(card: dict[str, Any], damage: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**card, **damage}, SCHEMA)
