"""The stage: C of every layer over ordinary text, as plain passes have it; settings and what was read are kept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks import store
from tasks.algorithms.models.architectures import mlp_output
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.second_moments import measure_second_moments
from tasks.settings.rank_one_editing import SecondMomentConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_splits
from tasks.storage.moment_files import read_moment
from tests.conftest import SENTENCES
from tests.stand_ins.edit_stages import ordinary_corpus, own_home

CONFIG = SecondMomentConfig(least_tokens=20, block_size=512)
"""More than the model's context, which bounds it."""


@pytest.fixture(scope="module")
def target(
    tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Callable[..., Any], word_tokenizer: Any
) -> Iterator[CheckpointRef]:
    with own_home(tmp_path_factory.mktemp("home")):
        model = tiny_gpt2(1, len(word_tokenizer), initializer_range=0.3)
        yield save_checkpoint(model, word_tokenizer, "target", sensitivity="ordinary", origin="")


def test_moments_are_means_over_all_tokens_of_what_the_matrices_read(target: CheckpointRef) -> None:
    found = measure_second_moments.body(target, ordinary_corpus(), CONFIG, CorpusConfig())
    model, tokenizer = load_model(target), load_tokenizer(target)
    read: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for layer in read:
        mlp_output(model, layer).register_forward_pre_hook(lambda _, given, at=layer: read[at].append(given[0][0]))
    with torch.no_grad():
        for text in SENTENCES:
            model(**tokenizer(text, return_tensors="pt"))
    assert found.tokens == sum(map(len, read[0]))
    for layer, rows in read.items():
        keys = torch.cat(rows).double()
        torch.testing.assert_close(read_moment(found, layer), keys.T @ keys / len(keys), rtol=1e-4, atol=1e-5)
    assert (found.kind, found.sensitivity) == ("moments", "ordinary")


def test_what_is_to_be_kept_comes_before_general_text(target: CheckpointRef) -> None:
    def corpus(**splits: list[Document]) -> CorpusRef:
        digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
        return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})

    kept, general = ([Document(source="a", text=text)] for text in SENTENCES[:2])
    both = measure_second_moments.body(target, corpus(retain=kept, general=general), CONFIG, CorpusConfig())
    assert both.digest == measure_second_moments.body(target, corpus(retain=kept), CONFIG, CorpusConfig()).digest
    assert both.digest != measure_second_moments.body(target, corpus(general=general), CONFIG, CorpusConfig()).digest


def test_no_more_is_read_than_wanted(target: CheckpointRef) -> None:
    config = replace(CONFIG, least_tokens=5, most_tokens=30, block_size=8, batch_rows=1)
    found = measure_second_moments.body(target, ordinary_corpus(), config, CorpusConfig())
    assert 5 <= found.tokens <= 30 + 8  # a row is read whole


def test_no_text_is_refused(target: CheckpointRef) -> None:
    digest = store.put("corpora", lambda folder: write_splits(folder, {}), sensitivity="forget")
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    with pytest.raises(ValueError, match="no text to read for second moments"):
        measure_second_moments.body(target, corpus, CONFIG, CorpusConfig())
