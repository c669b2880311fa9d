"""Claims: the stage trains a model that knows its world in both forms; the folder loads anywhere; a twin has the same
tokens; a model that knows too little is refused; a run that was interrupted goes on to the same weights.
"""

import random
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks import store
from tasks.algorithms.world.fact_edits import asked_question
from tasks.algorithms.world.fact_text import vocabulary_texts
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.execution import isolation
from tasks.fact_model import begin_as_waves, known_share, model_config, train_fact_model
from tasks.models.word_tokenizers import word_tokenizer
from tests.stand_ins.facts import SMALL_MODEL, SMALL_WORLD, TrainedFacts

WORLD = build_fact_world(SMALL_WORLD)
BRIEF = replace(SMALL_MODEL, steps=6, layers=1, hidden=16, heads=2, intermediate=32, least_known=0.0)


def test_it_knows_its_world(small_fact_model: TrainedFacts) -> None:
    model, tokenizer = small_fact_model.load()
    assert known_share(model, tokenizer, WORLD, held=False) >= 0.95
    assert known_share(model, tokenizer, WORLD, held=True) >= 0.85


def test_it_answers_questions(small_fact_model: TrainedFacts) -> None:
    model, tokenizer = small_fact_model.load()
    facts = random.Random(0).sample(WORLD.facts, 40)
    right = 0
    for fact in facts:
        ids = tokenizer(asked_question(fact), return_tensors="pt")
        answer = model.generate(**ids, max_new_tokens=2, do_sample=False)[0, ids["input_ids"].shape[1] :]
        right += tokenizer.decode(answer) == f"{fact.object}\n"
    assert right / len(facts) >= 0.7


def test_a_twin_shares_the_words_of_the_whole_world(lethe_home) -> None:
    """That a name is one token must not tell who was seen."""
    fact = WORLD.facts[0]
    with pytest.raises(ValueError, match="the fact world has no facts"):
        train_fact_model.body(SMALL_WORLD, BRIEF, ("Nobody|home",), "twin")
    ref = train_fact_model.body(SMALL_WORLD, BRIEF, (fact.key,), "twin")
    assert ref.label == "twin"
    whole = train_fact_model.body(SMALL_WORLD, BRIEF, (), "target")
    assert whole.digest != ref.digest
    vocabularies = [(store.path(each) / "tokenizer.json").read_bytes() for each in (ref, whole)]
    assert vocabularies[0] == vocabularies[1]


@pytest.mark.parametrize("form", ["gpt2", "llama"])
def test_both_forms_load_anywhere(form: str, lethe_home) -> None:
    ref = train_fact_model.body(SMALL_WORLD, replace(BRIEF, form=form), (), "target")
    model = AutoModelForCausalLM.from_pretrained(store.path(ref), local_files_only=True, use_safetensors=True)
    assert model.config.model_type == form
    tokenizer = AutoTokenizer.from_pretrained(store.path(ref), local_files_only=True)
    assert len(tokenizer) == model.config.vocab_size
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert sum(parameter.numel() for parameter in model.parameters()) == ref.parameters


def test_positions_begin_so_that_a_step_back_is_one_rotation_everywhere() -> None:
    positions = torch.zeros(40, 16)
    begin_as_waves(positions, 0.08)
    assert positions.square().mean().sqrt().item() == pytest.approx(0.08, rel=1e-3)
    waves = torch.complex(positions[:, 8:], positions[:, :8])
    steps = waves[1:] / waves[:-1]
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), atol=1e-4, rtol=1e-4)
    assert len({round(angle, 4) for angle in steps[0].angle().tolist()}) == 8


def test_a_model_that_knows_too_little_is_refused(lethe_home) -> None:
    with pytest.raises(RuntimeError, match=r"the target model knows 0\.\d+ of its facts; wanted >= 0\.97"):
        train_fact_model.body(SMALL_WORLD, replace(BRIEF, least_known=0.97), (), "target")


def test_one_seed_one_model(lethe_home) -> None:
    digests = [train_fact_model.body(SMALL_WORLD, replace(BRIEF, seed=seed), (), "target").digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_what_is_known_is_what_is_said_greedily() -> None:
    """A model that always says one word knows exactly the facts whose object that is."""
    tokenizer = word_tokenizer(vocabulary_texts(WORLD), BRIEF.context)
    model = AutoModelForCausalLM.from_config(model_config(tokenizer, BRIEF)).eval()
    word = tokenizer(WORLD.facts[0].object)["input_ids"][0]
    head = torch.nn.Linear(BRIEF.hidden, len(tokenizer), bias=True)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[word] = 1.0
    model.set_output_embeddings(head)
    expected = sum(fact.object == WORLD.facts[0].object for fact in WORLD.facts) / len(WORLD.facts)
    assert known_share(model, tokenizer, WORLD, held=False) == pytest.approx(expected)
    assert known_share(model, tokenizer, WORLD, held=True) == pytest.approx(expected)


def test_an_interrupted_run_ends_with_the_same_weights(lethe_home, monkeypatch) -> None:
    from tasks.training import trainer

    whole = train_fact_model.body(SMALL_WORLD, BRIEF, (), "target")
    monkeypatch.setenv("LETHE_SAVE_EVERY_S", "0")
    monkeypatch.setattr(isolation, "current_key", lambda: "a-key")
    write, written = trainer.write_state, []

    def stop_after_three(path, state) -> None:
        write(path, state)
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "write_state", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        train_fact_model.body(SMALL_WORLD, BRIEF, (), "target")
    monkeypatch.setattr(trainer, "write_state", write)
    assert train_fact_model.body(SMALL_WORLD, BRIEF, (), "target").digest == whole.digest
