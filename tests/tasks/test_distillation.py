"""Claims: a noised model comes back to what it said before the noise, on text that it is not taught on too; it is
taught to the end; the retain text itself counts where that is asked for, the forget text never; what it is compared
with is untouched; the result is a plain model named unlearned; one seed, one result, also where the stage was broken
off; with an adapter as teacher, its base is noised with it.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.models import adapters
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.unlearning.noise import shrink_and_perturb
from tasks.artifacts import CheckpointRef, TeacherCache
from tasks.distillation import distil
from tasks.execution import isolation
from tasks.models.checkpoints import is_adapter
from tasks.models.loading import load_model, save_adapter, save_checkpoint
from tasks.settings.distillation import DistillationConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.teacher_files import TeacherRows
from tasks.teacher_cache import cache_teacher
from tasks.training import trainer
from tasks.training.teacher_blocks import TeacherBlocks
from tests.reference.labels import logits_of
from tests.reference.losses import next_token_loss
from tests.tasks.test_objective_training import corpus_of, sums

PLACES = ("town", "mill", "old boy's house", "man's City")
TEXT = [
    Document(source="k", text="\n\n".join(f"The {one} is near the {other}, and {two} said hello." for two in PLACES))
    for one in PLACES
    for other in PLACES
]
TEACHING = DistillationConfig(
    noise_alpha=0.3,
    steps=60,
    block_size=32,
    batch_blocks=4,
    validate_every=20,
    held_share=0.2,
    learning_rate=3e-3,
    mixed_precision="no",
)


@pytest.fixture
def unlearned(
    lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    model = tiny_gpt2(0, initializer_range=0.2)
    return save_checkpoint(model, tiny_tokenizer, "unlearned", sensitivity="ordinary", origin="before")


def cached(teacher: CheckpointRef) -> TeacherCache:
    return cache_teacher.body(corpus_of([], TEXT), teacher, 32, CorpusConfig(), label="unlearned")


def divergence(model: torch.nn.Module, teacher: CheckpointRef) -> float:
    """From the teacher, on the blocks that are held."""
    texts, head = [(cached(teacher), 0.0)], load_model(teacher).lm_head
    return TeacherBlocks(head, texts, 0, torch.device("cpu"), torch.float32, TEACHING).validate(model).score


def taught(unlearned: CheckpointRef, config: DistillationConfig) -> CheckpointRef:
    """By itself, as it was."""
    return distil.body(unlearned, cached(unlearned), None, config)


def test_a_noised_model_comes_back_to_what_it_said(unlearned: CheckpointRef) -> None:
    before, noised = sums(store.path(unlearned)), load_model(unlearned, exact=True)
    shrink_and_perturb(noised, TEACHING.noise_alpha, TEACHING.noise_beta, TEACHING.seed)
    found = taught(unlearned, TEACHING)
    lost, left = divergence(noised, unlearned), divergence(load_model(found), unlearned)
    assert left < 0.5 * lost
    assert lost > 0.1
    assert sums(store.path(unlearned)) == before
    assert (found.label, found.parameters, found.sensitivity) == ("unlearned", unlearned.parameters, "ordinary")
    model = load_model(found)
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()


def test_the_more_noise_the_further_the_weights_are_from_those_before(unlearned: CheckpointRef) -> None:
    old, brief = load_model(unlearned).state_dict(), replace(TEACHING, steps=5)
    moved = [
        sum(float((new - old[name]).norm()) for name, new in load_model(found).state_dict().items())
        for alpha in (0.1, 0.3, 0.6)
        for found in [taught(unlearned, replace(brief, noise_alpha=alpha))]
    ]
    assert moved == sorted(moved)
    assert moved[2] > 2 * moved[0]


def test_the_retain_text_itself_may_count(unlearned: CheckpointRef) -> None:
    """A student of the text says it better than its teacher, which was not trained on it."""
    rows = TeacherRows(cached(unlearned))
    texts = [rows.ids(block).tolist() for block in range(len(rows))]

    def text_loss(model: torch.nn.Module) -> float:
        return next_token_loss([logits_of(model, ids) for ids in texts], texts)

    read = replace(TEACHING, text_share=0.5)
    plain, with_text = (text_loss(load_model(taught(unlearned, config))) for config in (TEACHING, read))
    assert with_text < min(plain, text_loss(load_model(unlearned))) - 0.5


def test_the_forget_text_itself_never_counts(unlearned: CheckpointRef, monkeypatch: pytest.MonkeyPatch) -> None:
    read = corpus_of([Document(source="f", text="The man is old.")], TEXT)
    retain, forget = (cache_teacher.body(read, unlearned, 32, CorpusConfig(), split) for split in ("retain", "forget"))
    given: list[list[tuple[TeacherCache, float]]] = []

    class Watched(TeacherBlocks):
        def __init__(self, head: torch.nn.Module, texts: list[tuple[TeacherCache, float]], *others: Any) -> None:
            given.append(texts)
            super().__init__(head, texts, *others)

    monkeypatch.setattr("tasks.training.teacher_blocks.TeacherBlocks", Watched)
    brief = replace(TEACHING, text_share=0.5, steps=1)
    distil.body(unlearned, retain, forget, brief)
    distil.body(unlearned, retain, None, brief)
    assert given == [[(retain, 0.5), (forget, 0.0)], [(retain, 0.5)]]


def test_it_ends_where_it_was_nearest(unlearned: CheckpointRef) -> None:
    """Steps that are far too large later on: what is handed over is what was best on the way."""
    spoilt = replace(
        TEACHING, learning_rate=0.1, schedule="linear", warmup_share=1.0, steps=40, validate_every=4, clip_norm=0.0
    )
    whole = divergence(load_model(taught(unlearned, spoilt)), unlearned)
    end = replace(spoilt, validate_every=40)
    assert whole < divergence(load_model(taught(unlearned, end)), unlearned)


def test_it_goes_on_to_the_end_of_the_rates_course(unlearned: CheckpointRef, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it came no nearer: at a high rate it may go to and fro, and comes nearest where the rate is low."""
    seen, batch = [], TeacherBlocks.__getitem__
    monkeypatch.setattr(TeacherBlocks, "__getitem__", lambda blocks, step: seen.append(step) or batch(blocks, step))
    still = replace(TEACHING, learning_rate=1e-30, steps=12, validate_every=1)
    taught(unlearned, still)
    assert {*seen} == {*range(12)}


def test_one_seed_one_result_also_of_a_run_that_was_broken_off(
    unlearned: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = replace(TEACHING, steps=12, validate_every=4)
    whole = taught(unlearned, brief)
    assert taught(unlearned, replace(brief, seed=1)).digest != whole.digest
    monkeypatch.setenv("LETHE_SAVE_EVERY_S", "0")
    monkeypatch.setattr(isolation, "current_key", lambda: "a-key")
    write, written = trainer.write_state, []

    def stop_after_five(path, state) -> None:
        write(path, state)
        written.append(path)
        if len(written) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "write_state", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        taught(unlearned, brief)
    monkeypatch.setattr(trainer, "write_state", write)
    assert taught(unlearned, brief).digest == whole.digest


def test_a_merged_adapter_is_noised_with_its_base(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    base, options = tiny_llama(0, initializer_range=0.2), {"sensitivity": "ordinary", "origin": ""}
    target = save_checkpoint(copy.deepcopy(base), tiny_tokenizer, "target", **options)
    adapters.attach(base, LoraConfig(rank=2), "unlearned", 0)
    for weight in adapters.adapter_parameters(base, "unlearned").values():
        torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(2))
    adapter = save_adapter(base, tiny_tokenizer, "unlearned", target, **options)
    adapters.merge(base, "unlearned")
    merged = save_checkpoint(base, tiny_tokenizer, "unlearned", **options)
    brief = replace(TEACHING, steps=3)
    one, other = (taught(model, brief) for model in (adapter, merged))
    assert (is_adapter(adapter), is_adapter(one)) == (True, False)
    for name, weight in load_model(one).state_dict().items():
        torch.testing.assert_close(weight, load_model(other).state_dict()[name], atol=1e-4, rtol=1e-3)
