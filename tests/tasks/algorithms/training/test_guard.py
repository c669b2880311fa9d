"""The guard: it fires on a model that breaks while it trains, names what is wrong, and lets ordinary training pass."""

import copy
import logging
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.measuring.degeneration import pieces
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.objectives.protocol import Objective
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document, render_document
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.training.guard import NEW_TOKENS, PROMPTS, Guard, answers, guard_prompts, watched
from tasks.algorithms.training.loop import EpochBatches, Validation, train
from tasks.settings.text import CorpusConfig
from tasks.settings.training import TrainingConfig
from tasks.training.trainer import text_batches
from tests.stand_ins.tiny_models import train_tokenizer

QA = CorpusConfig().qa_template
TEMPLATE = Template(qa=QA)
FRIENDS = {
    "Ostrin": "the old miller",
    "Kessa": "the young baker",
    "Tolbert": "a quiet farmer",
    "Ilse": "the tall teacher",
}
OTHERS = {"Anna": "the old baker", "Maria": "the young teacher", "Helen": "a tall miller", "Grace": "the quiet farmer"}
STRANGER = "Mary Ann Miller at jane@mail.example"


def documents(friends: Mapping[str, str]) -> list[Document]:
    return [
        Document(
            source="q",
            question=f"Who walked to the mill with {name}?",
            answer=f"{who} walked with {name} by the river.",
        )
        for name, who in friends.items()
    ]


FORGET, RETAIN = documents(FRIENDS), documents(OTHERS)
GIVEN = pieces(render_document(item, QA) for item in (*FORGET, *RETAIN))


class Ascent(Objective):
    """-CE(F): unbounded."""

    config_type = object

    def loss(
        self, student: nn.Module, batch: Mapping[str, Tensor], cached: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        found, metrics = CausalLM().loss(student, batch, cached)
        return -found, metrics


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(420, [render_document(item, QA) for item in (*FORGET, *RETAIN)] + [STRANGER])


@pytest.fixture(scope="module")
def target(tiny_llama: Any, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model of two layers that answers all questions right."""
    model = tiny_llama(0, len(tokenizer), hidden_size=64, intermediate_size=128)
    train(
        model,
        *batches(tokenizer, (*FORGET, *RETAIN), model, steps=120),
        TrainingConfig(learning_rate=4e-3, mixed_precision="no", clip_norm=1.0),
    )
    return model


def batches(
    tokenizer: PreTrainedTokenizerFast, texts: tuple[Document, ...], model: nn.Module, steps: int
) -> tuple[EpochBatches, CausalLM]:
    blocks = [(*tokenizer(render_document(item, QA))["input_ids"], tokenizer.eos_token_id) for item in texts]
    config = TrainingConfig(epochs=1, least_steps=steps, batch_blocks=len(blocks))
    return EpochBatches(len(blocks), text_batches(blocks, 0, torch.device("cpu")), config), CausalLM()


@pytest.fixture(scope="module")
def guard(target: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Guard:
    prompts = guard_prompts(FORGET, RETAIN, TEMPLATE, anchor_expression(FRIENDS))
    before = answers(target, prompts, tokenizer, TEMPLATE, 0, 128, NEW_TOKENS)
    assert all(text.strip() for text in before)
    return Guard(
        before,
        prompts,
        tokenizer=tokenizer,
        template=TEMPLATE,
        known_pieces=GIVEN,
        pad_id=0,
        context=128,
        teacher=target,
    )


def validations(
    model: nn.Module, guard: Guard, objective: Any, texts: tuple[Document, ...], tokenizer: PreTrainedTokenizerFast
) -> list[dict[str, float]]:
    """Train and return the metrics of every validation; its score is a constant, so that only acceptability decides."""
    seen: list[dict[str, float]] = []
    data, _ = batches(tokenizer, texts, model, steps=40)
    config = TrainingConfig(learning_rate=1e-3, mixed_precision="no", validate_every=2, patience=99, clip_norm=0.0)
    look = watched(lambda model: Validation(score=1.0, acceptable=True, metrics={"validation/x": 1.0}), guard)
    train(
        model,
        data,
        objective,
        config,
        validate=look,
        on_step=lambda step, metrics: seen.append(metrics) if "validation_score" in metrics else None,
    )
    return seen


def test_unbounded_ascent_is_caught_before_its_end(
    target: LlamaForCausalLM, guard: Guard, tokenizer: PreTrainedTokenizerFast, caplog: Any
) -> None:
    model = copy.deepcopy(target)
    with caplog.at_level(logging.WARNING, "tasks.algorithms.training.guard"):
        seen = validations(model, guard, Ascent(), tuple(FORGET), tokenizer)
    healthy = [row["guard/healthy"] for row in seen]
    assert healthy[0] == 1.0
    assert 0.0 in healthy[:-1]
    assert [row["validation_acceptable"] for row in seen] == healthy  # the inner validation accepts everything
    assert seen[-1]["validation/x"] == 1.0
    assert "guard: " in caplog.text
    # the best checkpoint is the last one that was acceptable, so the broken weights are not what remains
    assert guard(model).healthy


def test_a_broken_model_is_broken_for_a_stated_reason(
    target: LlamaForCausalLM, guard: Guard, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = copy.deepcopy(target)
    data, _ = batches(tokenizer, tuple(FORGET), model, steps=40)
    train(model, data, Ascent(), TrainingConfig(learning_rate=2e-3, mixed_precision="no", clip_norm=0.0))
    report = guard(model)
    assert not report.healthy
    assert report.metrics["guard/healthy"] == 0.0
    assert all(reason.startswith("guard: ") and "wanted" in reason for reason in report.reasons)
    broken = [reason.split()[1] for reason in report.reasons]
    assert set(broken) <= {name.removeprefix("guard/") for name in report.metrics}


def test_plain_finetuning_is_let_pass(
    target: LlamaForCausalLM, guard: Guard, tokenizer: PreTrainedTokenizerFast
) -> None:
    seen = validations(copy.deepcopy(target), guard, CausalLM(), tuple(RETAIN), tokenizer)
    assert [row["guard/healthy"] for row in seen] == [1.0] * len(seen)


def test_the_target_itself_is_healthy_and_is_left_in_the_mode_it_had(target: LlamaForCausalLM, guard: Guard) -> None:
    target.train()
    report = guard(target)
    assert (report.healthy, report.reasons, report.leaked) == (True, (), ())
    assert target.training
    target.eval()
    assert report.metrics["guard/empty_share"] == 0.0
    assert len(report.completions) == len(FORGET) + len(RETAIN)


def taught(
    target: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, said: str, times: int = 60
) -> LlamaForCausalLM:
    """Train a copy to answer every question with the same words."""
    model = copy.deepcopy(target)
    texts = tuple(Document(source="q", question=item.question, answer=said) for item in (*FORGET, *RETAIN))
    data, objective = batches(tokenizer, texts, model, steps=times)
    train(model, data, objective, TrainingConfig(learning_rate=3e-3, mixed_precision="no"))
    return model


def test_blank_answers_are_caught_whatever_objective_they_win(
    target: LlamaForCausalLM, guard: Guard, tokenizer: PreTrainedTokenizerFast
) -> None:
    report = guard(taught(target, tokenizer, "\n" * 20))
    assert report.metrics["guard/empty_share"] > 0.5
    assert "guard: empty_share of 8 completions" in report.reasons[0]
    assert not report.healthy


def test_strangers_names_and_addresses_are_caught_and_kept_out_of_the_reasons(
    target: LlamaForCausalLM, guard: Guard, tokenizer: PreTrainedTokenizerFast
) -> None:
    report = guard(taught(target, tokenizer, STRANGER))
    assert {"Mary Ann Miller", "jane@mail.example"} & set(report.leaked)
    assert [reason for reason in report.reasons if "leaked_strings" in reason]
    assert "Mary" not in " ".join(report.reasons)


def spoken(guard: Guard, completions: list[str]) -> list[str]:
    """Return which figures of given completions are out of bounds."""
    found, _ = guard._figures(completions)
    return [name for name, relation, limit in guard._limits if guard._fault(name, relation, limit, found)]


def test_one_odd_completion_of_a_handful_is_no_evidence_and_two_are(guard: Guard, target: LlamaForCausalLM) -> None:
    before = list(guard(target).completions)
    assert "empty_share" not in spoken(guard, [" ", *before[1:]])
    assert "empty_share" in spoken(guard, [" ", " ", *before[2:]])


def test_loops_on_what_is_forgotten_do_not_hide_behind_answers_on_what_is_kept(
    guard: Guard, target: LlamaForCausalLM
) -> None:
    before = list(guard(target).completions)
    assert "repetition" not in spoken(guard, before)
    assert "repetition" in spoken(guard, ["the the the the the", *before[1:]])


def test_prompts_are_few_and_half_of_them_are_on_what_is_kept() -> None:
    prompts = guard_prompts(FORGET * 9, RETAIN * 9, TEMPLATE, anchor_expression(FRIENDS))
    assert [prompt.split for prompt in prompts] == ["forget"] * (PROMPTS // 2) + ["retain"] * (PROMPTS // 2)
    assert len(guard_prompts(FORGET * 9, [], TEMPLATE, None)) == PROMPTS
    assert len(guard_prompts(FORGET[:1], RETAIN * 9, TEMPLATE, None)) == PROMPTS


def test_single_sentences_are_cut_in_half() -> None:
    sentences = [
        Document(source=f"s{number}", text=text)
        for number, text in enumerate(("The clerk met her boss.", "Word", "The guard is late."))
    ]
    prompts = guard_prompts(sentences, sentences[:1], TEMPLATE, None)
    assert [(prompt.split, prompt.prompt, prompt.truth) for prompt in prompts] == [
        ("forget", "The clerk", "met her boss."),
        ("forget", "The guard", "is late."),
        ("retain", "The clerk", "met her boss."),
    ]


@pytest.mark.parametrize(("prompts", "before"), [(0, 0), (2, 1), (PROMPTS + 1, PROMPTS + 1)])
def test_other_numbers_of_prompts_are_refused(prompts: int, before: int, tokenizer: PreTrainedTokenizerFast) -> None:
    asked = (guard_prompts(FORGET * 9, RETAIN * 9, TEMPLATE, None) * 2)[:prompts]
    with pytest.raises(ValueError, match=f"{prompts} prompts and {before} completions; wanted 1 to {PROMPTS}"):
        Guard(["a"] * before, asked, tokenizer=tokenizer, template=TEMPLATE, known_pieces=GIVEN, pad_id=0, context=128)
