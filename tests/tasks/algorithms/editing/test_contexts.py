"""Claims: rows are laid so that their subjects end at one position; what many begin with alike is parted from the rest;
the model's own beginnings are seeded, follow its distribution and hold no end of text.
"""

import pytest
import torch
from torch import nn

from tasks.algorithms.editing.contexts import Rewrite, Row, aligned, parted, sample_beginnings
from tests.stand_ins.architectures import tiny


def test_subjects_end_at_one_position() -> None:
    ids, mask, split = aligned([Row(ids=(5, 6, 7), at=1), Row(ids=(3, 4, 8, 9), at=3), Row(ids=(2,), at=0)])
    assert split == 3
    assert ids.tolist() == [[5, 5, 5, 6, 7], [3, 4, 8, 9, 9], [2, 2, 2, 2, 2]]
    assert mask.tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 0], [0, 0, 0, 1, 0]]


def test_contexts_are_all_rows_but_the_bare_subject() -> None:
    row = Row(ids=(5, 6), at=0)
    assert Rewrite(rows=(row, row, row), target=(7,)).contexts == 2


def test_beginnings_are_seeded_and_as_many_and_as_long_as_wanted() -> None:
    model = tiny("gpt2")
    texts = sample_beginnings(model, 0, [(3, 5), (0, 4), (2, 7)], 1)
    assert [len(text) for text in texts] == [5, 5, 5, 7, 7]
    assert texts == sample_beginnings(model, 0, [(3, 5), (0, 4), (2, 7)], 1)
    assert texts != sample_beginnings(model, 0, [(3, 5), (0, 4), (2, 7)], 2)
    assert len({*texts}) == 5
    assert sample_beginnings(model, 0, [(0, 5)], 1) == []


def test_the_libraries_own_draws_are_left_alone() -> None:
    before = torch.random.get_rng_state()
    sample_beginnings(tiny("gpt2"), 0, [(2, 5)], 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def eager_to_end(*ends: int, **config: object) -> nn.Module:
    """A model that would end its texts at once."""
    model = tiny("llama", tie_word_embeddings=False, **config)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.lm_head.register_forward_hook(lambda module, given, made: made.index_fill(-1, torch.tensor(ends), 50.0))
    return model


@pytest.mark.parametrize("ends", [3, [3, 4]])
def test_no_end_of_text_is_drawn(ends: int | list[int]) -> None:
    model = eager_to_end(0, 3, 4, eos_token_id=ends, bos_token_id=0)
    drawn = {token for text in sample_beginnings(model, 0, [(5, 8)], 0) for token in text}
    assert not drawn & {0, 3, *(ends if isinstance(ends, list) else [])}
    assert len(drawn) > 10 or drawn == {4}


def test_a_model_without_an_end_of_text_draws_all_but_the_start() -> None:
    model = eager_to_end(0, eos_token_id=None, bos_token_id=0)
    assert 0 not in {token for text in sample_beginnings(model, 0, [(5, 8)], 0) for token in text}


def test_tokens_follow_the_models_distribution() -> None:
    """The first token of 4,000 texts: each share within four standard errors of its probability."""
    model = tiny("gpt2")
    first = torch.tensor([text[0] for text in sample_beginnings(model, 0, [(4000, 1)], 0)])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[0]])).logits[0, -1]
    logits[0] = -torch.inf
    p = logits.softmax(-1)
    share = first.bincount(minlength=60) / 4000
    assert ((share - p).abs() <= 4 * (p * (1 - p) / 4000).sqrt() + 1e-6).all()


def rewrite(*rows: tuple[tuple[int, ...], int]) -> Rewrite:
    return Rewrite(rows=tuple(Row(ids=ids, at=at) for ids, at in rows), target=(9,))


def test_what_many_rows_begin_with_is_parted_from_the_rest() -> None:
    begun = [(1, 2, 3), (4, 5, 6, 7), ()]
    requests = [
        rewrite(*(((*ids, *own, 8), len(ids) + len(own) - 1) for ids in begun)) for own in ((20,), (21,), (22, 23))
    ]
    found, rest = parted([rewrite(((30, 31), 1), *((row.ids, row.at) for row in each.rows)) for each in requests])
    assert found == [(), (1, 2), (4, 5, 6), ()] * 2 + [(), (1, 2, 3), (4, 5, 6, 7), ()]
    assert [row.ids for row in rest[:4]] == [(30, 31), (3, 20, 8), (7, 20, 8), (20, 8)]
    assert {row.at for row, ids in zip(rest, found, strict=True) if ids} == {1}


def test_of_one_request_nothing_is_parted() -> None:
    one = rewrite(((30, 31), 1), ((1, 2, 3, 30, 31), 4), ((4, 5, 6, 30, 31), 4))
    assert parted([one]) == ([()] * 3, list(one.rows))
