"""Stage `scorecard`: probe tables made by hand, their figures worked out beside them; the card fits its schema."""

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pandas
import pytest

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BenchmarkResult, CorpusRef, JudgeRecords, ProbeRecords, Scorecard
from tasks.reporting.comparative_figures import utility_row
from tasks.reporting.figures import Values
from tasks.scorecard import score
from tasks.settings.verdict import VerdictConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import read_json, write_json
from tasks.storage.probe_records import Records, write_records, write_verdicts

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
    ("forget_test", "few_shot", 0, [0.2], [0]),
    ("forget_test", "few_shot", 1, [0.75], [0]),
    ("forget_test", "lowercased", 1, [0.9, 0.4], [0, 0]),
    ("forget_test", "text", 0, [0.5, 0.125], [0, 1]),
    ("retain_test", "answer", 0, [0.8], [1]),
    ("retain_test", "perturbed-0", 0, [0.2], [0]),
    ("general", "text", 0, [0.25, 0.25, 0.25, 0.25], [1, 0, 1, 1]),
]
COMPLETIONS = [
    # split, kind, prompt, truth, completion, the teacher's loss
    ("forget_test", "cloze", "In the town", "Velmora was well", "Velmora was seen", math.log(4.0)),
    ("forget_test", "cloze", "Then Velmora", "went home", "Velmora said so", math.log(16.0)),
    ("forget_test", "question", "At night", "the old man", "the man slept", math.log(8.0)),
    ("retain_test", "question", "The baker", "baked bread", "...", float("nan")),
    ("forget_test", "asked", "Who is Ostrin?", "", "of Velmora", math.log(8.0)),
    ("forget_test", "fact", "Ostrin lives in", "Velmora", "the town", math.log(8.0)),
    ("forget_test", "fact", "Ostrin came from", "Oz", "Oz, far away", math.log(8.0)),
    ("forget_test", "continued", "One day Velmora", "", "Velmora fell", math.log(8.0)),
]
EXPECTED = {
    "forget_test/probability": 0.375,  # (sqrt(0.5 * 0.5) + sqrt(0.25 * 0.25)) / 2
    "forget_test/probability_few_shot": 0.475,
    "forget_test/probability_lowercased": 0.6,  # sqrt(0.9 * 0.4)
    "forget_test/probability_most": 0.625,  # (0.5, the plain question's, + 0.75) / 2
    "forget_test/fact_recall": 0.5,
    "forget_test/familiarity_invited": 0.5,  # of Velmora, and Oz; not the town, nor what the prompt itself names
    "forget_test/accuracy": 0.5,  # one of two answers is right throughout
    "forget_test/answer_exact_memorization": 0.75,  # (2/2 + 1/2) / 2
    "forget_test/answer_extraction_strength": 0.75,  # (1 - 0/2 + 1 - 1/2) / 2
    # (sqrt(0.2 * 0.05) / 0.4 = 0.25; 0.5 / 0.25 = 2, so 1/2) / 2: the answer stands in for the paraphrase
    "forget_test/truth_ratio": 0.375,
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
    # the second completion repeats the prompt's anchor, the third has none
    "forget_test/familiarity_completion": 1 / 3,
    "forget_test/choice_accuracy": 0.5,  # 0.5 against 0.2 and 0.05; 0.25 against 0.5
    "forget_test/choice_chance": 5 / 12,  # (1/3 + 1/2) / 2
    "forget_test/truth_ratio_arithmetic": (0.3125 + 0.5) / 2,  # (0.2 + 0.05) / 2 / 0.4
    "forget_test/verbatim": 1 / 3,  # ROUGE-L F1: two of three words on either side, then none; (2/3 + 0) / 2
    "forget_test/rouge_l": 2 / 3,  # recall: "the man" of "the old man"
    "forget_test/knowledge": 2 / 3,  # precision 2/3 as well
    "retain_test/rouge_l": 0.0,
    "degeneration/leaked_strings": 0.0,
    "utility/model_utility": 0.0,  # an answer without a word has recall 0, and no strength makes up for it
    "degeneration/empty_share": 1 / 8,  # one of eight has no letter
    "degeneration/repetition": 0.0,
    "forget_test/repetition": 0.0,
    "degeneration/distinct_2": 1.0,  # Velmora was, was seen, Velmora said, said so, the man, man slept
    "degeneration/teacher_perplexity": 8.0,  # (4 * 16 * 8) ** (1/3); the empty one is not rated
    "benchmark/world/acc": 0.6,
}


def tables(sequences: list[Sequence]) -> Records:
    rows = [
        {
            "split": split,
            "variant": variant,
            "item": item,
            "cluster": f"fact {item}",
            "truncated": split == "general",
            "tokens": len(values),
            "zlib_bytes": 10,
        }
        for split, variant, item, values, _ in sequences
    ]
    tokens = [
        {"sequence": number, "log_p": math.log(value), "hit": float(hit), "mean_log_p": 0.0, "std_log_p": 1.0}
        for number, (_, _, _, values, hits) in enumerate(sequences)
        for value, hit in zip(values, hits, strict=True)
    ]
    anchors = [
        ("forget_test", "fact 0", "Velmora", 0.1, 0.5, 0.2),
        ("forget_test", "fact 1", "Oz", 0.3, 0.7, float("nan")),
    ]
    said = pandas.DataFrame(COMPLETIONS, columns=["split", "kind", "prompt", "truth", "completion", "teacher_nats"])
    return Records(
        sequences=pandas.DataFrame(rows).rename_axis("sequence").reset_index(),
        tokens=pandas.DataFrame(tokens),
        anchors=pandas.DataFrame(anchors, columns=["split", "cluster", "term", "joint", "first", "interior"]),
        completions=said.assign(
            item=range(len(said)), cluster=[f"fact {number}" for number in range(len(said))], answer=said.completion
        ),
    )


def probes(label: str, sequences: list[Sequence]) -> ProbeRecords:
    digest = store.put("probes", lambda folder: write_records(folder, tables(sequences)), sensitivity="forget")
    return ProbeRecords(
        kind="probes", digest=digest, sensitivity="forget", label=label, passes={"scored_sequences": len(sequences)}
    )


def corpus() -> CorpusRef:
    documents = [
        Document(source="a", text="Velmora was seen in the town, so they said."),
        Document(source="b", question="Who?", answer="the baker"),
    ]
    digest = store.put(
        "corpora", lambda folder: write_documents(folder / "forget.jsonl", documents), sensitivity="forget"
    )
    return CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents={"forget": 2}, characters={"forget": 50}
    )


def benchmarks(label: str, accuracy: float) -> BenchmarkResult:
    found = {"world/acc": accuracy, "world/acc_stderr": 0.1, "world/truncated_share": 0.0}
    digest = store.put("benchmarks", lambda folder: write_json(folder / "results.json", found))
    return BenchmarkResult(kind="benchmarks", digest=digest, sensitivity="ordinary", tasks=1, label=label)


def dictionary() -> AnchorTable:
    rows = [{"term": "Velmora", "generic": "the town"}, {"term": "Oz", "generic": "the land"}]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=2, pipeline="none")


def better(sequences: list[Sequence]) -> list[Sequence]:
    """The target model: surer of the true answers."""
    return [
        (split, variant, item, [value if variant.startswith("perturbed") else value**0.5 for value in values], hits)
        for split, variant, item, values, hits in sequences
    ]


def verdicts(label: str, scores: dict[int, float]) -> JudgeRecords:
    """A judge's scores of the seven completions about the topic; it says nothing about those that are not given."""
    rows = [row for row, completion in enumerate(COMPLETIONS) if completion[0] == "forget_test"]
    found = [scores.get(row, math.nan) for row in rows]
    digest = store.put("verdicts", lambda folder: write_verdicts(folder, rows, found), sensitivity="forget")
    return JudgeRecords(
        kind="verdicts", digest=digest, sensitivity="forget", judged=len(scores), requested=len(rows), label=label
    )


def scored(
    models: dict[str, list[Sequence]], judged: dict[str, dict[int, float]] | None = None
) -> tuple[Scorecard, dict[str, Any]]:
    accuracies = {"target": 0.65, "unlearned": 0.6, "retrained": 0.62}
    found = score.body(
        corpus(),
        [probes(label, sequences) for label, sequences in models.items()],
        [benchmarks(label, accuracies[label]) for label in models],
        [],
        dictionary(),
        VerdictConfig(),
        {"method": "whp", "target model": "a" * 64},
        {"finetune": 61.5},
        [verdicts(label, scores) for label, scores in (judged or {}).items()],
    )
    return found, read_json(store.path(found) / "scorecard.json")


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


def test_beside_a_perplexity_stands_what_guessing_would_score(lethe_home: Path) -> None:
    """Claims: the size of the vocabulary for every model, where it is known."""
    given = [probes(label, UNLEARNED) for label in ("target", "unlearned")]
    found = score.body(corpus(), given, [], [], dictionary(), VerdictConfig(), {"method": "whp"}, {}, vocabulary=512)
    metrics = read_json(store.path(found) / "scorecard.json")["metrics"]
    perplexities = {name for name in metrics if name.endswith("/perplexity")}
    assert perplexities
    assert {name for name in metrics if name.endswith("_chance") and "choice" not in name} == {
        f"{name}_chance" for name in perplexities
    }
    for name in perplexities:
        chance = metrics[f"{name}_chance"]
        assert (chance["target"], chance["unlearned"], chance["retrained"]) == (512.0, 512.0, None)
        assert chance["n"] == metrics[name]["n"]


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
    # the one window of general text, of thirteen sequences
    assert card["truncated_share"]["unlearned"] == pytest.approx(1 / 13, abs=1e-6)
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


def test_every_figure_can_be_had_again_from_its_items(lethe_home: Path) -> None:
    found, card = scored({"target": better(UNLEARNED), "retrained": UNLEARNED, "unlearned": UNLEARNED})
    items = pandas.read_parquet(store.path(found) / "items.parquet")
    again = {"mean": float, "exp": math.exp, "exp_neg": lambda mean: math.exp(-mean)}
    for (metric, model), part in items.groupby(["metric", "model"]):
        value = again[part.statistic.iloc[0]]((part.value * part.weight).sum() / part.weight.sum())
        assert card["metrics"][metric][model] == pytest.approx(value, abs=1e-6), (metric, model)
    assert set(items.model) == {"target", "unlearned", "retrained"}
    assert not items.cluster.str.contains("fact").any()  # a fact's name may speak of what was forgotten


def test_the_card_says_what_it_cannot_tell_apart_and_what_the_models_were_run_on(card: dict[str, Any]) -> None:
    assert [sentence for sentence in card["limits"] if "few steps of training" in sentence]
    assert [sentence for sentence in card["limits"] if "rests on 2 questions" in sentence]
    assert card["passes"]["unlearned"] == {"scored_sequences": 13}


ALL_ROWS = (0, 1, 2, 4, 5, 6, 7)


def test_a_judges_figure_is_the_mean_score_over_three_of_those_that_could_be_read(lethe_home: Path) -> None:
    judged = {"target": dict.fromkeys(ALL_ROWS, 3.0), "unlearned": {0: 3.0, 1: 0.0, 2: 1.0, 6: 2.0}}
    found, card = scored({"target": better(UNLEARNED), "retrained": UNLEARNED, "unlearned": UNLEARNED}, judged)
    jsonschema.validate(card, SCHEMA)
    row = card["metrics"]["forget_test/familiarity_judge"]
    # (3 + 0 + 1 + 2) / 3 / 4
    assert (row["target"], row["unlearned"], row["retrained"], row["n"]) == (1.0, 0.5, None, 4)
    assert 0.0 < row["ci95"][0] < 0.5 < row["ci95"][1] < 1.0
    items = pandas.read_parquet(store.path(found) / "items.parquet")
    assert sorted(
        items[(items.metric == "forget_test/familiarity_judge") & (items.model == "unlearned")].value
    ) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert not [sentence for sentence in card["limits"] if "judge's" in sentence]


def test_too_few_verdicts_are_no_figure_and_the_card_says_so(lethe_home: Path) -> None:
    card = scored(
        {"target": better(UNLEARNED), "unlearned": UNLEARNED},
        {"target": dict.fromkeys(ALL_ROWS, 3.0), "unlearned": dict.fromkeys((0, 1, 2), 0.0)},
    )[1]
    jsonschema.validate(card, SCHEMA)
    assert "forget_test/familiarity_judge" not in card["metrics"]
    wanted = (
        "The judge's verdicts on the unlearned model could be believed for 3 of 7 completions, fewer than half:"
        " familiarity_judge is left out."
    )
    assert wanted in card["limits"]
    other = scored(
        {"target": better(UNLEARNED), "unlearned": UNLEARNED},
        {"target": {0: 3.0}, "unlearned": dict.fromkeys((0, 1, 2, 4), 0.0)},
    )[1]
    assert [other["metrics"]["forget_test/familiarity_judge"][label] for label in ("target", "unlearned")] == [
        None,
        0.0,
    ]
    assert [sentence for sentence in other["limits"] if "target model could be believed for 1 of 7" in sentence]


def spoken(label: str, completions: list[str]) -> ProbeRecords:
    found = tables(UNLEARNED)
    said = found.completions.assign(completion=completions, teacher_nats=math.log(8.0))
    records = Records(sequences=found.sequences, tokens=found.tokens, anchors=found.anchors, completions=said)
    digest = store.put("probes", lambda folder: write_records(folder, records), sensitivity="forget")
    return ProbeRecords(kind="probes", digest=digest, sensitivity="forget", label=label, passes={})


ORDINARY = [
    f"the baker {verb} to the town so they said" for verb in "walked ran spoke went came rode looked turned".split()
]


@pytest.mark.parametrize(
    ("completions", "evidence"),
    [
        (
            ["", " \n", "\n\n\n", "   ", "", "...", "\n", ""],
            "degeneration/empty_share is 1.0000, wanted <= 0.0500: fails",
        ),
        (
            [*ORDINARY[:6], "he asked Mary Ann Miller to come along", "they said that it was so"],
            "degeneration/leaked_strings is 0.1250, wanted <= 0.1000: fails",
        ),
        (
            [*ORDINARY[:7], "write to jane@mail.example, they said"],
            "degeneration/leaked_strings is 0.1250, wanted <= 0.1000: fails",
        ),
        (
            [*ORDINARY[:7], "see www.strangers.example/home, they said"],
            "degeneration/leaked_strings is 0.1250, wanted <= 0.1000: fails",
        ),
        (
            # 1 + 1/8 of seven answers on what is forgotten; of all eight it would be 0.14
            ["his his his his", "the baker baker walked to the town so they said", *ORDINARY[2:]],
            "forget_test/repetition is 0.1607, wanted <= 0.1500: fails",
        ),
    ],
    ids=[
        "blanks, as SCRUB's (0.25, 0.75)",
        "a stranger's name, as its (0.75, 0.25)",
        "an address for mail",
        "an address in the web",
        "loops on what is forgotten, hidden behind the rest",
    ],
)
def test_blanks_leaks_and_loops_are_not_healthy_and_the_verdict_has_the_evidence(
    lethe_home: Path, completions: list[str], evidence: str
) -> None:
    given = [spoken("target", ORDINARY), spoken("unlearned", completions)]
    found = score.body(corpus(), given, [], [], dictionary(), VerdictConfig(), {"method": "scrub"}, {})
    card = read_json(store.path(found) / "scorecard.json")
    assert (card["verdict"]["healthy"], card["verdict"]["passed"]) == (False, False)
    assert [reason for reason in card["verdict"]["reasons"] if reason.startswith(f"healthy: {evidence}")], card[
        "verdict"
    ]["reasons"]
    assert "Miller" not in json.dumps(card)  # the evidence is a share: whose name it was stays in the full report


def test_a_model_that_speaks_as_before_is_healthy(lethe_home: Path) -> None:
    given = [spoken("target", ORDINARY), spoken("unlearned", ORDINARY[::-1])]
    found = score.body(corpus(), given, [], [], dictionary(), VerdictConfig(), {"method": "scrub"}, {})
    assert read_json(store.path(found) / "scorecard.json")["verdict"]["healthy"] is True


def test_model_utility_is_the_harmonic_mean_of_what_is_kept() -> None:
    figures = {
        "retain_test/probability": 1.0,
        "sibling/rouge_l": 0.5,
        "general/truth_ratio": 0.25,
        "forget_test/probability": 0.01,
    }
    values = {
        name: Values(items=numpy.array([value]), clusters=["f"], weights=numpy.ones(1))
        for name, value in figures.items()
    }
    # 3 / (1 + 2 + 4), to six digits
    assert utility_row({"unlearned": values})["utility/model_utility"]["unlearned"] == 0.428571


MEMBERS = [("forget", "answer", 0, [0.9, 0.8], [1, 1]), ("forget", "answer", 1, [0.7], [1])]
STRANGERS = [("holdout", "answer", 0, [0.1], [0]), ("holdout", "answer", 1, [0.75], [1])]


def test_privacy_compares_the_forget_text_with_what_was_never_seen(lethe_home: Path) -> None:
    sequences = [*UNLEARNED, *MEMBERS, *STRANGERS]
    card = scored({"target": better(sequences), "retrained": sequences, "unlearned": sequences})[1]
    jsonschema.validate(card, SCHEMA)
    # mean log p: members log sqrt(0.72) = log 0.849 and log 0.7; strangers log 0.1 and log 0.75: three of four pairs
    assert card["metrics"]["privacy/loss_auc"]["unlearned"] == 0.75
    assert card["metrics"]["privacy/loss_auc"]["n"] == 4
    assert card["metrics"]["privacy/privleak"]["unlearned"] == 0.0
    assert card["metrics"]["privacy/privleak"]["retrained"] is None
    assert card["verdict"]["private"] is True


def test_privacy_is_absent_without_its_evidence(lethe_home: Path) -> None:
    without_holdout = scored({"target": UNLEARNED, "retrained": UNLEARNED, "unlearned": [*UNLEARNED, *MEMBERS]})[1]
    assert not [name for name in without_holdout["metrics"] if name.startswith("privacy/")]
    sequences = [*UNLEARNED, *MEMBERS, *STRANGERS]
    without_retrained = scored({"target": sequences, "unlearned": sequences})[1]
    assert "privacy/loss_auc" in without_retrained["metrics"]
    assert "privacy/privleak" not in without_retrained["metrics"]
    assert without_retrained["verdict"]["private"] is None


def test_a_model_without_its_target_has_figures_and_no_verdict(lethe_home: Path) -> None:
    found, card = scored({"unlearned": UNLEARNED})
    jsonschema.validate(card, SCHEMA)
    assert card["metrics"]["forget_test/probability"]["target"] is None
    assert card["verdict"]["forgotten"] is None
    assert not found.passed


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
