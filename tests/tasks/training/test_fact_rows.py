"""Claims: any batch can be made by itself; rows are whole documents; exactly the earlier words of a share of the
mentions are hidden.
"""

from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.world.fact_text import FactText, vocabulary_texts
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.models.word_tokenizers import word_tokenizer
from tasks.settings.fact_model import FactModelConfig
from tasks.training.fact_rows import FactRows, span_tokens
from tests.stand_ins.facts import SMALL_WORLD

WORLD = build_fact_world(SMALL_WORLD)
CONFIG = FactModelConfig(steps=20, batch_blocks=4, mask_share=0.5)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return word_tokenizer(vocabulary_texts(WORLD), context=64)


def rows(tokenizer: PreTrainedTokenizerFast, **changes: object) -> FactRows:
    return FactRows(FactText(WORLD), tokenizer, replace(CONFIG, **changes), torch.device("cpu"))


def same(one: FactRows, other: FactRows, index: int) -> bool:
    return all(torch.equal(value, other[index].tensors[name]) for name, value in one[index].tensors.items())


def test_a_batch_needs_none_before_it(tokenizer: PreTrainedTokenizerFast) -> None:
    one = rows(tokenizer)
    for index in range(5):
        _ = one[index]
    assert same(one, rows(tokenizer), 7)
    assert not same(one, rows(tokenizer, seed=1), 7)
    assert not torch.equal(one[6].tensors["ids"], one[7].tensors["ids"])
    assert len(one) == 20
    assert len(rows(tokenizer, accumulation=3)) == 60
    with pytest.raises(IndexError, match="there is no batch 20; wanted 0 to 19"):
        _ = one[20]


def test_a_row_is_documents_in_order(tokenizer: PreTrainedTokenizerFast) -> None:
    text, batch = FactText(WORLD), rows(tokenizer)[2]
    assert batch.tensors["ids"].shape == (4, 48)
    assert batch.weight == 4 * 47
    for number, ids in enumerate(batch.tensors["ids"].tolist(), 2 * 4):
        documents = [text.document(48 * number + at).text for at in range(48)]
        assert tokenizer.decode(ids) == "<|endoftext|> ".join(documents)[: len(tokenizer.decode(ids))]


def test_a_mention_is_hidden_but_for_its_last_word_or_not_at_all(tokenizer: PreTrainedTokenizerFast) -> None:
    names = {fact.subject.name for fact in WORLD.facts} | set(WORLD.strangers)
    shares, one = [], rows(tokenizer)
    for batch in (one[index].tensors for index in range(20)):
        for ids, mention, hidden in zip(batch["ids"], batch["mention"], batch["hidden"], strict=True):
            assert not hidden[mention == 0].any()
            for number in range(1, int(mention.max())):  # the last one may be cut
                inside = mention == number
                assert tokenizer.decode(ids[inside]) in names
                veils = hidden[inside].tolist()
                assert not veils[-1]
                assert len(set(veils[:-1])) <= 1
                shares += veils[:1] if len(veils) > 1 else []
    assert 0.4 < sum(shares) / len(shares) < 0.6
    assert len(shares) > 100


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_that_is_hidden_may_be_none_or_all(tokenizer: PreTrainedTokenizerFast, share: float) -> None:
    batch = rows(tokenizer, mask_share=share)[0].tensors
    assert bool(batch["hidden"].any()) == bool(share)


def test_tokens_of_a_span_are_those_that_have_a_character_of_it() -> None:
    # "Yes, Orla Hale of" and offsets that hold the space before a word, as some tokenizers give them
    spans = [(5, 14)]
    assert span_tokens(spans, [(0, 3), (3, 4), (4, 9), (9, 14), (14, 17)]) == [(2, 4)]
    assert span_tokens(spans, [(0, 3), (3, 4), (5, 9), (10, 12), (12, 14), (15, 17)]) == [(2, 5)]
    assert span_tokens([(0, 4), (5, 9)], [(0, 4), (4, 9)]) == [(0, 1), (1, 2)]


def test_objects_weigh_more_than_other_words(tokenizer: PreTrainedTokenizerFast) -> None:
    objects = {fact.object for fact in WORLD.facts}
    batch = rows(tokenizer, object_weight=3.0)[1].tensors
    words = [tokenizer.decode(ids) for ids in batch["ids"][batch["weights"] == 3.0].unsqueeze(-1)]
    assert len(words) > 10
    assert set(words) <= objects
    assert set(batch["weights"].unique().tolist()) == {1.0, 3.0}
