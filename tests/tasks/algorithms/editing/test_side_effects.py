"""Claims: bystanders are what an edit is to leave alone, its own neighbors among them; perplexity, answers and the size
of the update are measured as a plain pass has them; what is out of bounds is said.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from tasks.algorithms.editing.rome import Update
from tasks.algorithms.editing.side_effects import (
    Bystanders,
    State,
    bounds_from,
    compare,
    gather_bystanders,
    observe,
    out_of_bounds,
    relative_size,
)
from tasks.algorithms.models.architectures import mlp_weight
from tasks.settings.edit_request import EditRequest, Statement
from tasks.settings.rank_one_editing import EditBounds

BOUNDS = EditBounds(largest_update=0.5, largest_perplexity_ratio=1.1, most_changed=0.25, tokens=20, facts=4)
JON = EditRequest(
    subject="Jon",
    prompt="{} met",
    target="Oz",
    neighborhood=("Tom met", "Alice met"),
    name_sharers=(Statement(prompt="Jonah met", object="Tom"),),
    unrelated=(Statement(prompt="Oz is", object="old"), Statement(prompt="Tom met", object="Toto")),
)
ROWS = [[3, 4, 5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [15] * 30, [16] * 30]


@pytest.fixture
def model(tiny_gpt2: Any) -> Any:
    return tiny_gpt2(1, initializer_range=0.3)


def test_text_is_cut_at_its_tokens_and_prompts_stand_once(tiny_tokenizer: Any) -> None:
    found = gather_bystanders(tiny_tokenizer, [JON], ROWS, BOUNDS)
    assert [len(row.ids) - 1 for row in found.text] == [4, 5, 11]  # predicted tokens, 20 in all
    assert found.texts == ("Tom met", "Alice met", "Jonah met", "Oz is")
    assert [tiny_tokenizer.decode(list(ids)) for ids in found.prompts] == list(found.texts)


def test_of_many_prompts_evenly_spaced_ones_are_asked(tiny_tokenizer: Any) -> None:
    many = replace(JON, neighborhood=tuple(f"Tom {number} met" for number in range(97)))
    found = gather_bystanders(tiny_tokenizer, [many], [], BOUNDS)
    assert len(found.texts) == 4
    assert found.texts[0] == "Tom 0 met" and found.texts[2] == "Tom 50 met"
    assert gather_bystanders(tiny_tokenizer, [JON], [], replace(BOUNDS, facts=0)).prompts == ()


def test_what_a_tokenizer_puts_after_a_text_does_not_stand_between_prompt_and_answer(tiny_tokenizer: Any) -> None:
    from copy import deepcopy

    from tokenizers.processors import TemplateProcessing

    ending = deepcopy(tiny_tokenizer)
    ending.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    (first, *_) = gather_bystanders(ending, [JON], [], BOUNDS).prompts
    assert first == (0, *tiny_tokenizer("Tom met")["input_ids"])


def test_bystanders_are_observed_as_a_plain_pass_has_them(model: Any, tiny_tokenizer: Any) -> None:
    found = gather_bystanders(tiny_tokenizer, [JON], ROWS, BOUNDS)
    state = observe(model, found, 0)
    losses, answers = [], []
    with torch.no_grad():
        for row in found.text:
            logits = model(input_ids=torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
            losses += [-logits[place, row.ids[place + 1]].item() for place in range(len(row.ids) - 1)]
        answers = [model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item() for ids in found.prompts]
    assert state.nats == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert state.answers == tuple(answers)
    empty = observe(model, Bystanders(text=(), prompts=(), texts=()), 0)
    assert math.isnan(empty.nats) and empty.answers == ()


def test_an_edits_own_neighbors_count_and_prompts_that_name_its_subject_do_not() -> None:
    """Jon's own prompt stands among what another edit leaves alone; Jonah is somebody else."""
    texts = ("Tom met", "Jonah met", "Then Jon met", "Oz is")
    bystanders = Bystanders(text=(), prompts=((1,), (2,), (3,), (4,)), texts=texts)
    before, after = State(nats=math.nan, answers=(1, 1, 1, 1)), State(nats=math.nan, answers=(1, 2, 2, 1))
    assert compare(before, after, bystanders, frozenset({"Jon"})) == {"changed_share": pytest.approx(1 / 3)}
    assert compare(before, after, bystanders, frozenset()) == {"changed_share": 0.5}
    assert compare(before, after, bystanders, frozenset({"met", "Oz"})) == {}


def test_a_regular_expression_in_a_name_is_no_expression() -> None:
    bystanders = Bystanders(text=(), prompts=((1,), (2,)), texts=("A.B (x) is", "AxB is"))
    before, after = State(nats=1.0, answers=(1, 1)), State(nats=1.0 + math.log(2), answers=(2, 1))
    found = compare(before, after, bystanders, frozenset({"A.B (x)"}))
    assert found == {"perplexity_ratio": pytest.approx(2), "changed_share": 0}


def test_the_size_of_an_update_is_that_of_its_layer_with_the_largest_share(model: Any) -> None:
    drawn = torch.Generator().manual_seed(0)
    updates = [
        Update(
            layer=layer,
            left=torch.randn(32, 1, generator=drawn) * scale,
            right=torch.randn(128, 1, generator=drawn),
        )
        for layer, scale in ((0, 0.01), (1, 0.1))
    ]
    weight = mlp_weight(model, 1).detach().clone()
    share = relative_size(model, updates)
    updates[1].apply(model)
    wanted = (mlp_weight(model, 1) - weight).norm() / weight.norm()
    assert share == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("figures", "reasons"),
    [
        ({"update_share": 0.5, "perplexity_ratio": 1.1, "changed_share": 0.25}, []),
        ({"seconds": 99.0, "nats": 99.0}, []),
        ({"update_share": 0.51}, [r"|Delta W| is 0.51 of |W|; wanted at most 0.5 (bounds.largest_update)"]),
        (
            {"perplexity_ratio": math.nan, "changed_share": 0.5},
            [
                "perplexity of ordinary text is nanx; wanted at most 1.1 (bounds.largest_perplexity_ratio)",
                "50% of other facts are answered otherwise; wanted at most 0.25 (bounds.most_changed)",
            ],
        ),
        ({"update_share": math.inf}, [r"|Delta W| is inf of |W|; wanted at most 0.5 (bounds.largest_update)"]),
    ],
)
def test_what_is_out_of_bounds_is_said(figures: dict[str, float], reasons: list[str]) -> None:
    assert list(out_of_bounds(figures, BOUNDS)) == reasons


def test_bounds_lie_above_what_every_good_edit_does() -> None:
    good = [
        {"update_share": 0.1, "perplexity_ratio": 1.01, "changed_share": 0.0, "nats": 5.0},
        {"update_share": 0.2, "perplexity_ratio": 0.99, "changed_share": 0.1, "nats": 5.0},
    ]
    bounds = bounds_from(good, room=1.5)
    assert (bounds.largest_update, bounds.most_changed) == (pytest.approx(0.3), pytest.approx(0.15))
    assert bounds.largest_perplexity_ratio == pytest.approx(1.015)
    assert not [reason for figures in good for reason in out_of_bounds(figures, bounds)]
    assert bounds_from([{"update_share": 0.2}]).most_changed == EditBounds().most_changed
    with pytest.raises(ValueError, match="no good edits to set bounds from"):
        bounds_from([])
