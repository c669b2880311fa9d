"""Rows of selective unlearning's finetuning: which retain blocks are shown, which are held back, and what a validation
makes of them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from tasks import store
from tasks.algorithms.models.heads import output_head
from tasks.algorithms.objectives.generic_labels import GenericLabelLoss, GenericLabelLossConfig
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.spacing import spaced
from tasks.algorithms.training import loop
from tasks.artifacts import AnchorTable, BelowFloorError, CheckpointRef, LabelSet, TeacherCache
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.models.loading import load_model, save_checkpoint
from tasks.reinforcement import reinforce
from tasks.settings.finetuning import FinetuneConfig, ReinforcementConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.plain_files import write_json
from tasks.storage.teacher_files import TeacherRows
from tasks.teacher_cache import cache_teacher
from tasks.training import label_validation
from tasks.training.label_validation import validation, with_retain_ratio
from tasks.training.labelled_blocks import LabelledBlocks
from tests.stand_ins.localised import check_mlps_alone, localisation
from tests.stand_ins.tiny_models import train_tokenizer
from tests.tasks.test_objective_training import corpus_of

NAMES = ("Toto", "Alice", "Jon", "Dorothy", "Hans")
PROSE = Document(
    source="p",
    text="\n\n".join(f"{one} met {other} in the old town, and {one} said hello." for one in NAMES for other in NAMES),
)
READING = CorpusConfig()
BRIEF = ReinforcementConfig(
    block_size=32, learning_rate=5e-4, batch_blocks=2, least_steps=2, epochs=1, mixed_precision="no"
)
TUNING = FinetuneConfig(batch_blocks=4, validation_share=0.2)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What finetuning gets."""

    target: CheckpointRef
    reinforced: CheckpointRef
    labels: LabelSet
    teacher: TeacherCache


def dictionary() -> AnchorTable:
    """A dictionary of the names."""
    rows = [{"term": name, "generic": "Tom"} for name in NAMES]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=len(NAMES), pipeline="none")


def given(model: GPT2LMHeadModel) -> Given:
    """Run the stages before finetuning on a forget text and twenty retain questions."""
    kept = [
        Document(source="k", question="Who?", answer=f"{'a b ' * (1 + number % 3)}{number}") for number in range(20)
    ]
    tokenizer = train_tokenizer(300, [PROSE.text, *(item.text for item in kept)])
    target = save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    corpus = corpus_of([PROSE], kept)
    reinforced = reinforce.body(corpus, target, BRIEF, READING)
    labels = make_labels.body(corpus, dictionary(), target, reinforced, LabelConfig(block_size=32), READING)
    return Given(
        target=target, reinforced=reinforced, labels=labels, teacher=cache_teacher.body(corpus, target, 32, READING)
    )


@pytest.fixture
def stages(lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> Given:
    return given(tiny_gpt2(0))


def blocks(found: Given, config: FinetuneConfig) -> tuple[LabelledBlocks, TeacherRows, GPT2LMHeadModel]:
    """Blocks of the forget text beside those of the retain text, the teacher's rows, and the target model."""
    model = load_model(found.target)
    heads = {
        "baseline_head": output_head(load_model(found.target)),
        "reinforced_head": output_head(load_model(found.reinforced)),
    }
    return (
        LabelledBlocks(found.labels, found.teacher, heads, 0, model.device, config),
        TeacherRows(found.teacher),
        model,
    )


def test_retain_blocks_that_are_validated_on_come_from_everywhere_and_are_not_trained_on(stages: Given) -> None:
    data, retain, _ = blocks(stages, TUNING)
    assert (len(retain), data.held) == (22, [0, 5, 11, 16])
    every = [tuple(retain.ids(number).tolist()) for number in range(len(retain))]
    shown = []
    for step in range(9):  # two rounds of the other 18
        tensors = data.batch([0, 1, 2, 3], step).tensors
        shown += [
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(tensors["retain_ids"], tensors["retain_mask"], strict=True)
        ]
    assert sorted(shown) == sorted(2 * [ids for number, ids in enumerate(every) if number not in data.held])


@pytest.mark.parametrize(("share", "forget", "kept"), [(0.2, 3, 18), (0.5, 1, 11), (0.2, 9, 18)])
def test_every_retain_block_comes_round_before_any_comes_twice(
    share: float, forget: int, kept: int, stages: Given
) -> None:
    """Whatever number of forget blocks a batch has, and where fewer retain blocks are kept than a batch wants."""
    data, retain, _ = blocks(stages, replace(TUNING, validation_share=share, batch_blocks=12))
    every = [tuple(retain.ids(number).tolist()) for number in range(len(retain))]
    shown: Counter[tuple[int, ...]] = Counter()
    for step in range(6):
        tensors = data.batch(list(range(forget)), step).tensors
        shown.update(
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(tensors["retain_ids"], tensors["retain_mask"], strict=True)
        )
        times = [shown[ids] for number, ids in enumerate(every) if number not in data.held]
        assert len(times) == kept
        assert max(times) - min(times) <= 1


def test_a_validation_looks_at_every_held_block_and_counts_what_is_lost_beyond_the_floor(stages: Given) -> None:
    data, retain, model = blocks(stages, TUNING)
    # a single forget block, and still all that are held
    tuning = replace(TUNING, batch_blocks=3, utility_floor=1e-4, validation_share=0.01)
    validate = validation(data, GenericLabelLoss(GenericLabelLossConfig(retain_weight=4.0)), model, tuning)
    untouched = validate(model)
    assert untouched.acceptable
    assert untouched.metrics["validation/retain_kl_nats"] == pytest.approx(0.0, abs=1e-6)
    assert untouched.score == untouched.metrics["validation/label_loss_nats"] > 0
    before = [logprobs(model, retain, number) for number in data.held]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    after = [logprobs(model, retain, number) for number in data.held]
    divergences = [(one.exp() * (one - two)).sum(-1) for one, two in zip(before, after, strict=True)]
    found = validate(model)
    assert found.metrics["validation/retain_kl_nats"] == pytest.approx(float(torch.cat(divergences).mean()), rel=1e-4)
    assert not found.acceptable
    assert found.score == pytest.approx(
        found.metrics["validation/label_loss_nats"] + found.metrics["validation/retain_kl_nats"] - tuning.utility_floor
    )


def test_a_validation_says_what_is_left_of_the_topics_own_tokens(
    stages: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _, model = blocks(stages, TUNING)
    part, chosen = data.forget_part, spaced(range(data.forget_blocks), 2)
    topic = torch.tensor(sorted({int(token) for number in chosen for token in part([number])[0]["ids"][0, 4:7]}))
    monkeypatch.setattr(data, "forget_part", lambda numbers: with_topic(part(numbers), topic))
    tuning = replace(TUNING, validation_share=2 / data.forget_blocks, wanted_left=0.5)
    validate = validation(data, GenericLabelLoss(GenericLabelLossConfig()), model, tuning)
    assert validate(model).metrics["validation/topic_left"] == pytest.approx(1.0)
    assert not validate(model).enough
    before = topic_by_hand(model, [part([number])[0] for number in chosen], topic)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    expected = topic_by_hand(model, [part([number])[0] for number in chosen], topic) / before
    found = validate(model)
    assert found.metrics["validation/topic_left"] == pytest.approx(expected, rel=1e-4)
    assert found.enough == (expected <= 0.5)
    assert abs(expected - 1.0) > 0.01


def with_topic(found: Any, topic: torch.Tensor) -> Any:
    tensors, cached, count = found
    return tensors, cached | {"topic": topic}, count


def topic_by_hand(model: torch.nn.Module, blocks: list[dict[str, torch.Tensor]], topic: torch.Tensor) -> float:
    """One block and one position at a time, in float64, from the first label on."""
    found = []
    with torch.no_grad():
        for tensors in blocks:
            ids = tensors["ids"][0].tolist()
            probabilities = model(input_ids=tensors["ids"]).logits[0].double().softmax(-1)
            first = int(tensors["rows"][:, 1].min())
            found += [
                float(probabilities[at, ids[at + 1]])
                for at in range(first, len(ids) - 1)
                if ids[at + 1] in topic.tolist()
            ]
    return sum(found) / len(found)


def test_a_validation_of_a_large_text_looks_at_so_many_blocks_and_no_more(
    stages: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (label_validation, loop):
        monkeypatch.setattr(module, "MOST_VALIDATED", 2)
    data, _, model = blocks(stages, TUNING)
    assert data.held == [0, 11]
    looked: list[list[int]] = []
    part = data.forget_part
    monkeypatch.setattr(data, "forget_part", lambda numbers: looked.append(numbers) or part(numbers))
    validation(data, GenericLabelLoss(GenericLabelLossConfig()), model, replace(TUNING, validation_share=0.5))(model)
    assert looked == 3 * [[0, data.forget_blocks // 2]]  # before training; label loss, and what is left of the topic


def test_what_is_kept_is_the_held_blocks_probability_as_a_share_of_the_target_models(stages: Given) -> None:
    data, retain, model = blocks(stages, TUNING)
    tuning, before = (
        replace(TUNING, stop_below=0.5, batch_blocks=3),
        [block_probability(model, retain, number) for number in data.held],
    )
    look = with_retain_ratio(
        validation(data, GenericLabelLoss(GenericLabelLossConfig()), model, tuning), model, data, tuning
    )
    assert look(model).retain_ratio == pytest.approx(1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    after, found = [block_probability(model, retain, number) for number in data.held], look(model)
    assert (
        found.retain_ratio
        == found.metrics["validation/retain_ratio"]
        == pytest.approx(sum(after) / sum(before), rel=1e-4)
    )
    assert abs(found.retain_ratio - 1.0) > 0.01


def test_without_a_floor_or_a_held_block_no_look_costs_more(stages: Given) -> None:
    data, _, model = blocks(stages, TUNING)
    look = validation(data, GenericLabelLoss(GenericLabelLossConfig()), model, TUNING)
    assert with_retain_ratio(look, model, data, TUNING) is look
    data.held = []
    assert with_retain_ratio(look, model, data, replace(TUNING, stop_below=0.5)) is look


def test_finetuning_that_keeps_less_than_the_floor_is_given_up_and_any_other_ends_where_it_would(stages: Given) -> None:
    brief = replace(TUNING, learning_rate=1e-3, least_steps=8, validate_every=2, patience=9, mixed_precision="no")

    def tuned(**changes: float) -> CheckpointRef:
        config = replace(brief, **changes)
        return finetune.body(
            stages.target, stages.reinforced, stages.labels, stages.teacher, LabelConfig(block_size=32), config
        )

    with pytest.raises(BelowFloorError, match=r"given up after step 2 of \d+"):
        tuned(stop_below=0.9, learning_rate=1.0)
    assert tuned(stop_below=0.1).digest == tuned().digest


@torch.no_grad()
def block_probability(model: GPT2LMHeadModel, retain: TeacherRows, number: int) -> float:
    """The geometric mean of the probabilities of the tokens that a block's supervised positions are followed by."""
    ids, counted = retain.ids(number), retain.supervised(number)[:-1].bool()
    log_p = model(input_ids=ids[None]).logits[0].double().log_softmax(-1)[:-1][counted]
    return float(log_p.gather(1, ids[1:][counted][:, None]).mean().exp())


@torch.no_grad()
def logprobs(model: GPT2LMHeadModel, retain: TeacherRows, number: int) -> torch.Tensor:
    """Log-probabilities of every next token at a block's supervised positions, (positions, vocab), float64."""
    logits = model(input_ids=retain.ids(number)[None]).logits[0].double()
    return logits[retain.supervised(number).bool()].log_softmax(-1)


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)], ids=["whole", "adapter"])
@pytest.mark.parametrize("layers", [(0,), (1,)])
def test_where_a_trace_names_layers_their_mlps_alone_are_trained(
    layers: tuple[int, ...], lora: LoraConfig, stages: Given
) -> None:
    config = replace(TUNING, least_steps=4, epochs=1, learning_rate=1e-3, mixed_precision="no")
    before = load_model(stages.target).state_dict()
    unlearned = finetune.body(
        stages.target,
        stages.reinforced,
        stages.labels,
        stages.teacher,
        LabelConfig(block_size=32),
        config,
        lora,
        localisation(*layers),
    )
    check_mlps_alone(before, load_model(unlearned).state_dict(), *layers, biases=not lora.rank)
