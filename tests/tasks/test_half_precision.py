"""A checkpoint in half precision: trained in float32, since AdamW's steps round to nothing there, and kept in its own
type.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.finetune import finetune
from tasks.models import loading
from tasks.models.loading import load_model, save_checkpoint
from tasks.reference_cache import ReferenceNeeds, cache_reference
from tasks.reinforcement import reinforce
from tasks.relearning import relearn
from tasks.scrub import scrub
from tasks.settings.finetuning import FinetuneConfig, ReinforcementConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.measuring import ProbingConfig, RelearningConfig
from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.settings.task_vector import TaskVectorConfig
from tasks.settings.text import CorpusConfig
from tasks.task_vector import subtract_task_vector
from tasks.training import trainer
from tests.stand_ins.tiny_models import train_tokenizer
from tests.tasks.test_finetune import dictionary, given
from tests.tasks.test_objective_training import KEPT, NAMES, PROSE, QUESTIONS, ROWS, corpus_of, trained


@pytest.fixture
def half(lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> CheckpointRef:
    """A target model in bfloat16."""
    tokenizer = train_tokenizer(
        300, [PROSE.text, *(item.text for item in KEPT), *(item.question for item in QUESTIONS)]
    )
    return save_checkpoint(tiny_gpt2(0).to(torch.bfloat16), tokenizer, "target", sensitivity="ordinary", origin="")


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    return corpus_of([*QUESTIONS, PROSE], KEPT)


def moved(target: CheckpointRef, other: CheckpointRef) -> float:
    """Share of the weights that differ."""
    one, two = (load_model(found) for found in (target, other))
    assert one.dtype == two.dtype == torch.bfloat16
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(bool(parameter.isfinite().all()) for _, parameter in pairs)
    return sum(int((left != right).sum()) for left, right in pairs) / sum(left.numel() for left, _ in pairs)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model counts as large, and whatever is trained is float32 when training begins."""
    monkeypatch.setattr(loading, "SMALL_PARAMETERS", 0)

    def checked(model: Any, *given: Any, _train: Callable[..., Any] = trainer.train_stage, **how: Any) -> Any:
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        return _train(model, *given, **how)

    monkeypatch.setattr(trainer, "train_stage", checked)


@pytest.mark.parametrize("teacher", ["cached", "live"])
@pytest.mark.parametrize("name", NAMES)
def test_every_objective_trains_it_and_keeps_its_type(
    name: str, teacher: str, half: CheckpointRef, corpus: CorpusRef
) -> None:
    # rmu trains three matrices of many
    assert moved(half, trained(name, half, corpus, teacher)) > (0.05 if name == "rmu" else 0.5)


def test_scrub_trains_it_and_keeps_its_type(half: CheckpointRef, corpus: CorpusRef) -> None:
    config = ScrubConfig(alpha=0.75, beta=0.25, bound=3.0)
    reference = cache_reference.body(
        corpus, half, ReferenceNeeds(objective=("forget_hidden", "reference_hidden", "retain")), ROWS, CorpusConfig()
    )
    training = ScrubTrainingConfig(epochs=2, learning_rate=3e-3, mixed_precision="no", guard="off", block_size=32)
    (ended,) = scrub.body(corpus, half, reference, config, training, RewindConfig(), CorpusConfig())
    assert moved(half, ended) > 0.5


def test_selective_unlearning_trains_it_and_keeps_its_type(
    lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel]
) -> None:
    found = given(tiny_gpt2(0).to(torch.bfloat16))
    training = FinetuneConfig(epochs=1, least_steps=4, learning_rate=1e-3, mixed_precision="no")
    unlearned = finetune.body(
        found.target, found.reinforced, found.labels, found.teacher, LabelConfig(block_size=32), training
    )
    assert moved(found.target, unlearned) > 0.5


def test_relearning_trains_it(half: CheckpointRef, corpus: CorpusRef) -> None:
    config = RelearningConfig(steps=(2,), mixed_precision="no")
    relearned = relearn.body(corpus, dictionary(), half, config, ProbingConfig(), CorpusConfig(), "target")
    assert (relearned.steps, relearned.shown > 0) == ((2,), True)


def test_small_steps_add_up(half: CheckpointRef, corpus: CorpusRef) -> None:
    """What is trained is exact: many steps of which none alone would change a weight in bfloat16 move the model."""
    config = ReinforcementConfig(
        epochs=20, learning_rate=1e-5, mixed_precision="no", warmup_share=0.0, schedule="constant", block_size=32
    )
    reinforced = reinforce.body(corpus, half, config, CorpusConfig())
    assert load_model(reinforced).dtype == torch.float32
    assert moved(half, subtract_task_vector.body(half, reinforced, TaskVectorConfig())) > 0.5
