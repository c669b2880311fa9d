"""Stage `rewind`: the checkpoint that errs on forget text as the last one errs on new text, by its own weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.rewind import mean_error_nats, rewind_checkpoints
from tasks.settings.scrub import RewindConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_splits
from tests.reference.labels import log_softmax, logits_of

FORGET = [
    Document(source="a:1", text="Toto met Alice."),
    Document(source="a:2", text="Jon said that Mary Ann walked to the mill; the man met Tom."),
]
HOLDOUT = [Document(source="b", text="The boy met a dog in the old town.")]
ASKED = [
    Document(
        source="q", question="Who met Toto?", answer="the boy", perturbed_answer=("a girl",), paraphrased_answer="a boy"
    )
]


def corpus_of(**splits: list[Document]) -> CorpusRef:
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={split: len(found) for split, found in splits.items()},
        characters={},
    )


@pytest.fixture
def candidates(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> list[CheckpointRef]:
    made = [tiny_llama(seed, initializer_range=scale) for seed, scale in ((1, 0.3), (2, 0.02), (3, 0.6))]
    return [
        save_checkpoint(model, tiny_tokenizer, f"checkpoint {at}", sensitivity="ordinary", origin="")
        for at, model in enumerate(made)
    ]


def by_hand(checkpoint: CheckpointRef, documents: list[Document]) -> float:
    """Mean over texts of the mean NLL a token, one text at a time in float64; the first token has no prediction."""
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
    means = []
    for document in documents:
        ids = tokenizer(document.text, add_special_tokens=False)["input_ids"]
        logits = logits_of(model, ids)
        means.append(-sum(log_softmax(logits[at])[ids[at + 1]] for at in range(len(ids) - 1)) / (len(ids) - 1))
    return sum(means) / len(means)


def test_the_error_is_that_of_float64(candidates: list[CheckpointRef]) -> None:
    found = mean_error_nats(candidates[0], "forget", FORGET, RewindConfig(), CorpusConfig())
    assert found == pytest.approx(by_hand(candidates[0], FORGET), rel=1e-5)


def test_only_true_answers_count(candidates: list[CheckpointRef]) -> None:
    asked, plain = (
        mean_error_nats(candidates[0], "forget", [question], RewindConfig(), CorpusConfig())
        for question in (ASKED[0], Document(source="q", question="Who met Toto?", answer="the boy"))
    )
    assert asked == plain


def test_the_nearest_checkpoint_is_taken(candidates: list[CheckpointRef]) -> None:
    corpus = corpus_of(forget=FORGET, holdout=HOLDOUT)
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        given = [candidates[at] for at in order]
        goal = by_hand(given[-1], HOLDOUT)
        nearest = min(given, key=lambda checkpoint: abs(by_hand(checkpoint, FORGET) - goal))
        found = rewind_checkpoints.body(corpus, given, RewindConfig(enabled=True), CorpusConfig())
        assert (found.digest, found.label) == (nearest.digest, "unlearned")


def test_without_text_to_compare_on_there_is_no_rewind(candidates: list[CheckpointRef]) -> None:
    with pytest.raises(BadInputError, match="found no holdout text; wanted --holdout FILE"):
        rewind_checkpoints.body(corpus_of(forget=FORGET), candidates, RewindConfig(enabled=True), CorpusConfig())
    with pytest.raises(ValueError, match="no checkpoints"):
        rewind_checkpoints.body(
            corpus_of(forget=FORGET, holdout=HOLDOUT), [], RewindConfig(enabled=True), CorpusConfig()
        )


def test_where_the_rewind_is_off_the_last_checkpoint_is_taken_and_nothing_is_scored(
    candidates: list[CheckpointRef],
) -> None:
    chosen = rewind_checkpoints.body(corpus_of(forget=FORGET), candidates, RewindConfig(), CorpusConfig())
    assert (chosen.digest, chosen.label) == (candidates[-1].digest, "unlearned")
