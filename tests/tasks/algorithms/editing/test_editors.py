"""Claims: every editor of the settings is there, makes each edit alone so that its target becomes likelier, leaves the
model as it was, and does what its own function does; a layer that is not there is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
import torch

from tasks.algorithms.editing.changes import Change, edited
from tasks.algorithms.editing.editors import EditorInputs, single_changes
from tasks.algorithms.editing.finetuning import finetune
from tasks.algorithms.editing.mend import mend_updates, train_mend
from tasks.algorithms.editing.mend_examples import mend_examples
from tasks.algorithms.editing.prompts import statement_rows
from tasks.algorithms.measuring.metrics import score_sequences
from tasks.settings.edit_baselines import (
    EditBaselinesConfig,
    EditFinetuningConfig,
    KnowledgeNeuronConfig,
    MendConfig,
)
from tasks.settings.rank_one_editing import Algorithm, EditConfig
from tests.stand_ins.scored_edits import REQUESTS

EVERY = get_args(Algorithm)
CONFIG = EditConfig(short_contexts=2, long_contexts=1, memit_layers=2, decay=0.0, kl_weight=0.0, clamp=50.0)
BASELINES = EditBaselinesConfig(
    finetuning=EditFinetuningConfig(learning_rate=1e-2),
    constrained=EditFinetuningConfig(learning_rate=1e-2, largest_change=5e-3),
    knowledge_neurons=KnowledgeNeuronConfig(target_weight=8.0),
    mend=MendConfig(steps=30, batch=4, rank=8),
)
FACTS = [
    replace(REQUESTS[number % 3], subject=subject, target=object_, object=object_, paraphrases=())
    for number, (subject, object_) in enumerate(
        zip(
            ("Tom", "Mary Ann", "José", "Toto", "Alice", "the boy"),
            ("the Scarecrow", "André", "Oz") * 2,
            strict=True,
        )
    )
]


@pytest.fixture(scope="module")
def asked(tiny_gpt2, word_tokenizer):
    model = tiny_gpt2(0, vocab_size=len(word_tokenizer), initializer_range=0.2, n_layer=3)
    return model, word_tokenizer


def given(editor: Algorithm, **changes: object) -> EditorInputs:
    return EditorInputs(
        **{
            "config": replace(CONFIG, algorithm=editor),
            "baselines": BASELINES,
            "layer": 1,
            "solve": lambda layer: lambda key: key.double() * (layer + 1),
            "facts": FACTS,
            **changes,
        }
    )


def changes_of(asked, editor: Algorithm, **more: object) -> list[Sequence[Change]]:
    return [made for made, _ in single_changes(*asked, REQUESTS, given(editor, **more))]


def target_nats(model, tokenizer, request) -> float:
    (row,) = statement_rows(tokenizer, [request.question], [request.target])
    return -float(score_sequences(model, [row], 0)[0][:, 0].mean())


@pytest.mark.parametrize("editor", EVERY)
def test_every_editor_makes_each_target_likelier_and_leaves_the_model(asked, editor: Algorithm) -> None:
    model, tokenizer = asked
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gained, seconds = [], []
    made = single_changes(model, tokenizer, REQUESTS, given(editor))
    for request, (changes, took) in zip(REQUESTS, made, strict=True):
        before = target_nats(model, tokenizer, request)
        with edited(model, changes):
            gained.append(before - target_nats(model, tokenizer, request))
        seconds.append(took)
    assert sum(gained) > 0.1
    assert all(took > 0 for took in seconds)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def same(first: Sequence[Change], second: Sequence[Change], model) -> bool:
    def held(changes: Sequence[Change]) -> dict[str, torch.Tensor]:
        with edited(model, changes):
            return {name: value.clone() for name, value in model.state_dict().items()}

    one, other = held(first), held(second)
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_fine_tuning_is_that_of_its_settings_at_its_layer(asked) -> None:
    model, tokenizer = asked
    (row,) = statement_rows(tokenizer, [REQUESTS[0].question], [REQUESTS[0].target])
    bounded, free = BASELINES.constrained, BASELINES.finetuning
    assert same(changes_of(asked, "ft-l")[0], [finetune(model, [row], 1, bounded).change], model)
    elsewhere = replace(BASELINES, finetuning=replace(free, layer=0))
    assert same(changes_of(asked, "ft", baselines=elsewhere)[0], [finetune(model, [row], 0, free).change], model)
    assert not same(changes_of(asked, "ft")[0], changes_of(asked, "ft-l")[0], model)


def test_memit_makes_each_edit_as_if_there_were_no_other(asked) -> None:
    model, tokenizer = asked
    alone = next(single_changes(model, tokenizer, REQUESTS[2:], given("memit")))[0]
    assert [update.layer for update in alone] == [0, 1]
    assert same(changes_of(asked, "memit")[2], alone, model)


def test_mend_learns_from_the_facts_and_says_how_far_it_is(asked) -> None:
    model, tokenizer = asked
    seen: list[tuple[int, int]] = []
    made = changes_of(asked, "mend", on_step=lambda done, of: seen.append((done, of)))
    subjects = [request.subject for request in REQUESTS]
    mend = train_mend(model, mend_examples(tokenizer, FACTS, subjects, 64, BASELINES.mend), BASELINES.mend)
    (row,) = statement_rows(tokenizer, [REQUESTS[1].question], [REQUESTS[1].target])
    assert same(made[1], mend_updates(mend, model, [row]), model)
    assert seen == [(step, 30) for step in range(1, 31)]


def test_a_fact_without_an_object_has_no_neurons_and_stays(asked) -> None:
    model, tokenizer = asked
    ((changes, _),) = single_changes(model, tokenizer, [replace(REQUESTS[0], object=" ")], given("kn"))
    assert list(changes) == []


@pytest.mark.parametrize("editor", ["rome", "ft"])
def test_a_layer_that_is_not_there_is_refused(asked, editor: Algorithm) -> None:
    with pytest.raises(ValueError, match="layer is 9; wanted 0 to 2, the model's layers"):
        changes_of(asked, editor, layer=9)
