"""Claims: the named layers are those of the largest mean effect over the facts that the model knows, restated by whole
passes; the control has as many others; text, models and sizes that this cannot be done with are refused in plain words.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from tasks import store
from tasks.algorithms.editing.causal_tracing import embedding_noise
from tasks.algorithms.editing.prompts import edit_prompt
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef, Localisation
from tasks.localisation import localise
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.tracing import TracingConfig
from tasks.storage.plain_files import write_json
from tests.conftest import train_tokenizer
from tests.reference.causal_tracing import Tracing
from tests.stand_ins.edit_stages import own_home
from tests.stand_ins.taught import taught_model
from tests.tasks.test_objective_training import corpus_of

HOMES = {"Dorothy": "Kansas", "Toto": "Oz", "Alice": "London", "Jon": "Paris", "Hans": "Bremen", "Mary": "Dublin"}
STATED = [f"In the end {person} lived in {home}" for person, home in HOMES.items()]
WRONG = "In the end Tom lived in Kansas"
TERMS = (*HOMES, *HOMES.values(), "Tom")
READING = CorpusConfig()
DEPTH = 4
CONFIG = LocalisationConfig(by="trace", layers=2, tracing=TracingConfig(draws=3, window=1))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any]) -> Iterator[CheckpointRef]:
    with own_home(tmp_path_factory.mktemp("home")):

        def deep(seed: int, vocabulary: int, **sizes: int) -> Any:
            return tiny_llama(seed, vocabulary, num_hidden_layers=DEPTH, **sizes)

        model, tokenizer = taught_model(STATED, deep, train_tokenizer)
        yield save_checkpoint(model.eval(), tokenizer, "target", sensitivity="ordinary", origin="")


def prose(*texts: str) -> CorpusRef:
    return corpus_of([Document(source="p", text="\n\n".join(texts))], [])


def dictionary(*terms: str) -> AnchorTable:
    rows = [{"term": term, "generic": "somebody"} for term in terms]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=len(terms), pipeline="none")


def found(target: CheckpointRef, config: LocalisationConfig = CONFIG, *texts: str) -> Localisation:
    return localise.body(prose(*(texts or (*STATED, WRONG))), dictionary(*TERMS), target, config, READING)


def written(record: Localisation, name: str) -> Any:
    return json.loads((store.path(record) / name).read_text())


def effects_by_whole_passes(target: CheckpointRef, record: Localisation) -> list[float]:
    """The mean over traced facts of p with one MLP's output put back at the subject's last token, less p without."""
    model, tokenizer, rows = load_model(target), load_tokenizer(target), written(record, "traces.json")["facts"]
    total = torch.zeros(DEPTH, dtype=torch.float64)
    for row in rows:
        prompt = edit_prompt(tokenizer, row["prompt"], row["subject"])
        answer = int(model(torch.tensor([prompt.ids])).logits[0, -1].argmax())
        noise = embedding_noise(model, prompt.subject, len(prompt.ids), CONFIG.tracing)
        plain = Tracing(model, list(prompt.ids), answer, noise)
        total += plain.grid("mlp", 1)[:, prompt.last_subject].double() - plain.restored([])
    return (total / len(rows)).tolist()


def test_the_layers_are_those_of_the_largest_mean_effect_over_known_facts(target: CheckpointRef) -> None:
    record = found(target)
    assert (record.by, record.facts, record.unknown, record.sensitivity) == ("trace", len(STATED), 1, "forget")
    wanted = effects_by_whole_passes(target, record)
    assert record.effects == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    assert max(wanted) > 0.01
    assert list(record.layers) == sorted(sorted(range(DEPTH), key=lambda layer: -wanted[layer])[:2])
    assert written(record, "traces.json")["unknown"] == [WRONG.removesuffix(" Kansas")]
    rows = written(record, "effects.json")
    assert [(row["layer"], row["role"]) for row in rows] == [(layer, "last subject token") for layer in range(DEPTH)]


def test_the_control_has_as_many_of_the_other_layers_by_seed(target: CheckpointRef) -> None:
    record = found(target)
    drawn = found(target, replace(CONFIG, by="random"))
    assert sorted((*record.layers, *drawn.layers)) == [*range(DEPTH)]
    assert (drawn.effects, drawn.facts) == (record.effects, record.facts)
    assert drawn.digest != record.digest  # what trains by it is another training
    one = replace(CONFIG, by="random", layers=1)
    seeds = {found(target, replace(one, seed=seed)).layers for seed in range(6)}
    assert len(seeds) > 1
    assert found(target, one).layers not in [found(target, replace(CONFIG, layers=1)).layers]
    assert found(target, one) == found(target, one)


def test_what_is_said_of_it(target: CheckpointRef) -> None:
    record = replace(found(target), layers=(1, 2), facts=24)
    assert record.words == "MLPs of layers 1, 2 (by trace of 24 facts)"
    assert replace(record, layers=(3,), by="random", facts=1).words == (
        "MLPs of layer 3 (drawn from those not named by trace of 1 fact)"
    )


def test_no_more_facts_than_wanted_and_a_third_of_the_layers_by_rule(target: CheckpointRef) -> None:
    record = found(target, replace(CONFIG, layers=0, tracing=replace(CONFIG.tracing, facts=2)))
    assert (record.facts, len(record.layers)) == (2, 1)


def test_questions_are_traced_in_their_template(target: CheckpointRef) -> None:
    """The model says what it learned, whatever stands before."""
    template = CorpusConfig(qa_template="{question} {answer}")
    asked = [Document(source="q", question=f"In the end {name} lived in", answer=home) for name, home in HOMES.items()]
    record = localise.body(corpus_of(asked, []), dictionary(*TERMS), target, CONFIG, template)
    assert record.facts == len(HOMES)
    assert {row["subject"] for row in written(record, "traces.json")["facts"]} == {*HOMES}


def test_the_picture_names_no_word_of_the_text(target: CheckpointRef) -> None:
    record = found(target)
    assert [path.name for path in sorted(store.path(record).glob("*.png"))] == ["average.png"]
    caption = json.dumps(written(record, "pictures.json"))
    assert not [word for word in (*TERMS, "lived") if word in caption]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("There was nobody.",), "the forget text names nothing after another name of the topic"),
        ((WRONG, "Jon lived in Oz"), "the model knows none of 2 statements of the forget text that were asked"),
    ],
)
def test_text_that_has_nothing_to_trace_is_refused_without_a_word_of_it(
    texts: tuple[str, ...], message: str, target: CheckpointRef
) -> None:
    with pytest.raises(
        BadInputError, match=rf"localisation\.by is 'trace', and {message}.*localisation\.by=all"
    ) as told:
        found(target, CONFIG, *texts)
    assert not [word for word in TERMS if word in str(told.value)]


def test_more_layers_than_there_are_are_refused(target: CheckpointRef) -> None:
    with pytest.raises(BadInputError, match=r"localisation\.layers is 5 in a model of 4 layers; wanted 1 to 4$"):
        found(target, replace(CONFIG, layers=5))


def test_a_model_whose_mlps_cannot_be_found_is_refused(lethe_home: Path) -> None:
    tokenizer = train_tokenizer(300, STATED)
    model = MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=2, state_size=4))
    mamba = save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    with pytest.raises(BadInputError, match="model type 'mamba' is not known by its layers; wanted one of gpt2"):
        found(mamba)
