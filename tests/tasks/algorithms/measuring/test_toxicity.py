"""Claims: scores are the softmax of one text alone, whatever it is batched with; the toxic label is found or asked for;
words are counted.
"""

import pytest
import torch
from transformers import PreTrainedTokenizerFast, RobertaForSequenceClassification

from tasks.algorithms.measuring.toxicity import classifier_scores, lexicon_score, summary, toxic_label
from tasks.settings.measuring import ToxicityConfig
from tests.reference import toxicity as reference
from tests.stand_ins.classifiers import SENTENCES, train_classifier

Classifier = tuple[RobertaForSequenceClassification, PreTrainedTokenizerFast]
LONG = "the teacher is a good friend. " * 20


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return train_classifier()


def test_scores_are_those_of_each_text_alone_in_float64(classifier: Classifier) -> None:
    model, tokenizer = classifier
    texts = [*SENTENCES[1][:3], LONG, "", *SENTENCES[0][:3], "the miller is"]
    found = classifier_scores(model, tokenizer, texts, label=1, batch_size=4, max_tokens=20)
    assert found == pytest.approx([reference.score(model, tokenizer, text, 1, 20) for text in texts], abs=1e-5)


def test_the_trained_classifier_separates_its_sentences(classifier: Classifier) -> None:
    found = {
        kind: classifier_scores(*classifier, texts, label=1, batch_size=8, max_tokens=40)
        for kind, texts in SENTENCES.items()
    }
    assert max(found[0]) < 0.2
    assert min(found[1]) > 0.8


def test_no_text_is_longer_than_the_classifiers_positions(classifier: Classifier) -> None:
    assert len(classifier_scores(*classifier, [LONG], label=1, batch_size=1, max_tokens=512)) == 1  # it has 40


def test_labels_share_a_softmax_or_have_a_sigmoid_each(classifier: Classifier) -> None:
    model, tokenizer = classifier
    one, other = (
        classifier_scores(model, tokenizer, SENTENCES[1][:2], label=label, batch_size=2, max_tokens=40)
        for label in (0, 1)
    )
    assert [a + b for a, b in zip(one, other, strict=True)] == pytest.approx([1.0, 1.0])
    model.config.problem_type = "multi_label_classification"
    try:
        apart = classifier_scores(model, tokenizer, SENTENCES[1][:2], label=1, batch_size=2, max_tokens=40)
    finally:
        model.config.problem_type = None
    logit = torch.logit(torch.tensor(apart[0]).double()).item()
    read = tokenizer(SENTENCES[1][0], return_tensors="pt")
    assert logit == pytest.approx(model(input_ids=read["input_ids"]).logits[0, 1].item(), abs=1e-3)


def test_progress_reaches_the_end(classifier: Classifier) -> None:
    seen: list[tuple[int, int]] = []
    classifier_scores(
        *classifier,
        ["a"] * 5,
        label=1,
        batch_size=2,
        max_tokens=40,
        on_step=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("labels", "wanted", "index"),
    [
        ({0: "nothate", 1: "hate"}, "", 1),
        ({0: "Toxic", 1: "non-toxic"}, "", 0),
        ({0: "not_offensive", 1: "offensive"}, "", 1),
        ({0: "LABEL_0", 1: "LABEL_1"}, "", 1),
        ({0: "toxic", 1: "severe_toxic", 2: "insult"}, "", 0),
        ({0: "kind", 1: "rude"}, "RUDE", 1),
        ({0: "LABEL_0"}, "LABEL_0", 0),
    ],
)
def test_the_toxic_label_is_found(labels: dict[int, str], wanted: str, index: int) -> None:
    assert toxic_label(labels, wanted) == index


@pytest.mark.parametrize(
    ("labels", "wanted", "message"),
    [
        ({0: "kind", 1: "rude"}, "", "cannot be told from kind, rude; wanted toxicity.toxic_label"),
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, "", "cannot be told from LABEL_0, LABEL_1, LABEL_2"),
        ({0: "hate", 1: "offensive", 2: "neither"}, "", "cannot be told from hate, offensive, neither"),
        (
            {0: "kind", 1: "rude"},
            "toxic",
            "toxicity.toxic_label is 'toxic'; wanted one of the classifier's labels kind, rude",
        ),
    ],
)
def test_a_label_that_cannot_be_told_is_asked_for(labels: dict[int, str], wanted: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toxic_label(labels, wanted)


def test_the_lexicon_score_is_a_share_of_words_by_hand() -> None:
    assert lexicon_score("That damn cat, the DAMN cat!", lambda word: word.lower() == "damn") == pytest.approx(2 / 6)
    assert lexicon_score("... !!", lambda word: True) == 0.0
    assert lexicon_score("sh1t don't", lambda word: word == "sh1t") == 0.5


def test_the_summary_by_hand_and_by_the_restatement() -> None:
    scores = [0.5, 0.75, 0.0, 0.25]
    assert summary(scores) == {"min": 0.0, "max": 0.75, "mean": 0.375, "ratio_over_0.5": 0.25}
    drawn = torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist()
    assert summary(drawn) == pytest.approx(reference.summary(drawn))
    with pytest.raises(ValueError, match="wanted at least one"):
        summary([])


@pytest.mark.parametrize("setting", [{"scorer": "both"}, {"classifier": " "}, {"batch_size": 0}, {"max_tokens": 4}])
def test_bad_settings_are_named(setting: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"toxicity.{next(iter(setting))} is"):
        ToxicityConfig(**setting)
