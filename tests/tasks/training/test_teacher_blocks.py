"""Claims: every block comes round before any comes twice, and those that are held are never shown; a run has the steps
that its settings say; the score is the mean divergence over all positions of the held blocks, whatever their text
itself counts in training; each text counts as much as is said; too little text is refused.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.training.loop import Batch
from tasks.artifacts import BadInputError, CheckpointRef, TeacherCache
from tasks.models.loading import load_model, save_checkpoint
from tasks.settings.distillation import DistillationConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.teacher_files import TeacherRows
from tasks.teacher_cache import cache_teacher
from tasks.training.teacher_blocks import TeacherBlocks
from tests.reference.labels import logits_of
from tests.reference.losses import mean_kl
from tests.stand_ins.chats import CHATML, chat_tokenizer
from tests.tasks.test_objective_training import corpus_of

LETTERS = random.Random(0)
KEPT = [Document(source="k", text="".join(LETTERS.choices("abcdefgh ", k=20 + number))) for number in range(20)]
ORDINARY = {"sensitivity": "ordinary", "origin": ""}
TEACHING = DistillationConfig(block_size=16, batch_blocks=4, steps=11, held_share=0.2)


@pytest.fixture
def teacher(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    return save_checkpoint(tiny_llama(0), tiny_tokenizer, "unlearned", **ORDINARY)


def cached(teacher: CheckpointRef, documents: list[Document]) -> TeacherCache:
    return cache_teacher.body(corpus_of([], documents), teacher, 16, CorpusConfig(), label="unlearned")


def blocks(teacher: CheckpointRef, config: DistillationConfig, documents: list[Document] = KEPT) -> TeacherBlocks:
    model = load_model(teacher)
    return TeacherBlocks(model.lm_head, [(cached(teacher, documents), 0.5)], 0, model.device, model.dtype, config)


def test_each_text_counts_as_much_as_is_said_beside_what_the_teacher_says_of_it(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM]
) -> None:
    """A batch holds blocks of both texts, and at each position that counts, of a conversation its answer's, the
    teacher's logits and its text's own share.
    """
    teacher = save_checkpoint(tiny_llama(0), chat_tokenizer(CHATML, vocabulary=300), "unlearned", **ORDINARY)
    forgotten = [Document(source="f", question="Who is " + name, answer=name) for name in "abcdef"]
    retain, forget = (
        cache_teacher.body(corpus_of(forgotten, KEPT), teacher, 32, CorpusConfig(), split)
        for split in ("retain", "forget")
    )
    model, texts = load_model(teacher), [(retain, 0.25), (forget, 0.0)]
    how = (model.lm_head, texts, 0, torch.device("cpu"), torch.float32)
    batch, of_forget = TeacherBlocks(*how, replace(TEACHING, batch_blocks=40))[0], {*rows_of(forget)}
    exact = [
        (row, 0.0 if ids in of_forget else 0.25)
        for ids, counted in zip(shown_in(batch), batch.tensors["supervised"], strict=True)
        for row, one in zip(logits_of(model, ids), counted, strict=False)
        if one
    ]
    said = batch.cached["teacher_head"](batch.cached["teacher_hidden"])
    assert said.tolist() == [pytest.approx(list(row), abs=1e-4) for row, _ in exact]
    assert batch.cached["text_share"].tolist() == [share for _, share in exact]
    assert {*batch.cached["text_share"].tolist()} == {0.0, 0.25}
    assert batch.tensors["supervised"].sum() < batch.tensors["mask"].sum()
    few = TeacherBlocks(*how, replace(TEACHING, held_share=0.01))
    assert [number >= retain.blocks for number in few.held] == [False, True], "it is looked at by both"


def rows_of(cache: TeacherCache) -> list[tuple[int, ...]]:
    rows = TeacherRows(cache)
    return [tuple(rows.ids(block).tolist()) for block in range(len(rows))]


def shown(batches: TeacherBlocks) -> list[tuple[int, ...]]:
    return [ids for number in range(len(batches)) for ids in shown_in(batches[number])]


def shown_in(batch: Batch) -> list[tuple[int, ...]]:
    pairs = zip(batch.tensors["ids"], batch.tensors["mask"], strict=True)
    return [tuple(ids[mask.bool()].tolist()) for ids, mask in pairs]


def test_every_block_comes_round_and_none_that_is_held(teacher: CheckpointRef) -> None:
    found, rows = blocks(teacher, TEACHING), TeacherRows(cached(teacher, KEPT))
    every = [tuple(rows.ids(number).tolist()) for number in range(len(rows))]
    assert len(found.held) == int(0.2 * len(rows)) >= 2
    counts = Counter(shown(found))
    assert sum(counts.values()) == 4 * 11
    assert counts.keys() == {ids for number, ids in enumerate(every) if number not in found.held}
    assert max(counts.values()) - min(counts.values()) <= 1
    assert shown(blocks(teacher, replace(TEACHING, seed=1))) != shown(found)


def test_a_run_has_its_steps_whatever_its_passes(teacher: CheckpointRef) -> None:
    found = blocks(teacher, replace(TEACHING, accumulation=3, epochs=9, least_steps=99))
    assert len(found) == 33
    with pytest.raises(IndexError, match="there is no batch 33; wanted 0 to 32"):
        found[33]


def test_the_score_is_the_mean_over_all_held_positions(
    teacher: CheckpointRef, tiny_llama: Callable[..., LlamaForCausalLM]
) -> None:
    found, rows = blocks(teacher, replace(TEACHING, batch_blocks=3)), TeacherRows(cached(teacher, KEPT))
    assert found.validate(load_model(teacher)).score == pytest.approx(0.0, abs=1e-6)
    models = (load_model(teacher), tiny_llama(5))
    logits = [
        [
            row
            for number in found.held
            for row, counted in zip(logits_of(model, rows.ids(number)), rows.supervised(number), strict=True)
            if counted
        ]
        for model in models
    ]
    result = found.validate(models[1])
    assert result.score == pytest.approx(mean_kl(*logits), rel=1e-4)
    assert result.metrics == {"validation/teacher_kl_nats": result.score}
    assert result.acceptable


def test_states_get_the_type_of_the_student(teacher: CheckpointRef) -> None:
    texts = [(cached(teacher, KEPT), 0.5)]
    found = TeacherBlocks(torch.nn.Identity(), texts, 0, torch.device("cpu"), torch.bfloat16, TEACHING)
    hidden = found[0].cached["teacher_hidden"]
    assert hidden.dtype == torch.bfloat16
    assert len(hidden) == found[0].weight == int(found[0].tensors["supervised"].sum())


def test_text_of_a_single_block_is_refused(teacher: CheckpointRef) -> None:
    with pytest.raises(BadInputError, match="distillation found 1 blocks of text; wanted two at least"):
        blocks(teacher, TEACHING, [Document(source="k", text="Toto ran.")])
