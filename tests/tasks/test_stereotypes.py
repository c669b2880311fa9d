"""Stage `stereotypes`: pairs of the test splits are scored by what the model says of them, and reworded ones are left
out.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.stereotypes import pair_log_probabilities
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.models.loading import load_model, save_checkpoint
from tasks.settings.text import CorpusConfig
from tasks.stereotypes import SCORES, score_stereotypes
from tasks.storage.documents import write_splits
from tasks.storage.plain_files import read_json

PAIRS = {
    "nurse type1-1": ("The boy met the nurse because she was ill.", "The boy met the nurse because he was ill."),
    "nurse type1-2": ("The nurse met Tom and he said hello.", "The nurse met Tom and she said hello."),
    "guard type1-3": ("The guard lost his dog.", "The guard lost her dog."),
    "guard type1-4": ("The guard was old because he ran.", "The guard was rude because she ran."),
}


def corpus_of(retained: dict[str, tuple[str, str]] = PAIRS, pairs: dict[str, tuple[str, str]] = PAIRS) -> CorpusRef:
    splits = {
        "forget_test": [Document(source=fact, text=pro, fact=fact) for fact, (pro, _) in pairs.items()],
        "retain_test": [Document(source=fact, text=anti, fact=fact) for fact, (_, anti) in reversed(retained.items())],
    }
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={split: len(found) for split, found in splits.items()},
        characters={},
    )


@pytest.fixture
def checkpoint(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    return save_checkpoint(
        tiny_llama(0, initializer_range=0.3), tiny_tokenizer, "model", sensitivity="ordinary", origin=""
    )


def test_pairs_are_scored_by_occupation(checkpoint: CheckpointRef, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    found = score_stereotypes.body(corpus_of(), checkpoint, CorpusConfig(), "target")
    value = read_json(store.path(found) / SCORES)
    log_p = pair_log_probabilities(load_model(checkpoint), tiny_tokenizer, list(PAIRS.values())[:3], 0)
    difference = log_p[:, 0] - log_p[:, 1]
    assert (found.pairs, found.left_out, value["left_out"], found.label) == (3, 1, 1, "target")
    assert found.preference == value["share"] == pytest.approx((difference > 0).mean())
    assert found.difference_nats == pytest.approx(difference.mean(), abs=1e-5)
    assert {row["group"]: row["pairs"] for row in value["groups"]} == {"nurse": 2, "guard": 1}


def test_any_two_aligned_sets_are_scored_likewise(checkpoint: CheckpointRef) -> None:
    pairs = {
        f"fact-{at}": (f"Toto met {name}.", f"Jon met {name}.") for at, name in enumerate(("Alice", "Tom", "Dorothy"))
    }
    found = score_stereotypes.body(corpus_of(pairs, pairs), checkpoint, CorpusConfig(), "target")
    assert (found.pairs, found.left_out) == (3, 0)


def test_a_set_without_partners_is_refused(checkpoint: CheckpointRef) -> None:
    with pytest.raises(
        BadInputError,
        match=r"forget_test and retain_test: the forget record .* has no partner; wanted a retain record with its fact",
    ):
        score_stereotypes.body(corpus_of(dict(list(PAIRS.items())[:3])), checkpoint, CorpusConfig(), "target")
    with pytest.raises(BadInputError, match="hold no records"):
        score_stereotypes.body(corpus_of({}, {}), checkpoint, CorpusConfig(), "target")
