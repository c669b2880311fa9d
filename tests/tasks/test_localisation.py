"""Claims: the named layers are those of the largest mean effect over the facts that the model knows, restated by whole
passes; the control has as many others; text, models and sizes that this cannot be done with are refused in plain words.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from tasks import store
from tasks.algorithms.editing.causal_tracing import embedding_noise
from tasks.algorithms.editing.prompts import edit_prompt
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, Localisation
from tasks.localisation import localise
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.tracing import TracingConfig
from tasks.storage.plain_files import write_json
from tests.reference.causal_tracing import Tracing
from tests.stand_ins.edit_stages import own_home
from tests.tasks.test_objective_training import corpus_of

LEADS = ("hello", "today", "the girl", "the boy met", "the old man walked to", "in the mill")
NAMES = ("Dorothy", "Toto", "Alice", "Jon", "Tom", "Oz")
READING = CorpusConfig()
DEPTH = 4
REFUSED = r"localisation\.by is 'trace', and "
CONFIG = LocalisationConfig(by="trace", layers=2, tracing=TracingConfig(draws=3, window=1))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model of random weights, and statements that it makes itself: a lead, a name, the word that it says next."""

    target: CheckpointRef
    stated: tuple[tuple[str, str, str], ...]

    @property
    def texts(self) -> list[str]:
        return [" ".join(words) for words in self.stated]

    @property
    def wrong(self) -> str:
        """What it does not say."""
        lead, name, said = self.stated[0]
        return f"{lead} {name} {next(other for _, _, other in self.stated if other != said)}"

    @property
    def terms(self) -> set[str]:
        return {*NAMES, *(said for _, _, said in self.stated)}

    def found(self, config: LocalisationConfig = CONFIG, *texts: str) -> Localisation:
        text = "\n\n".join(texts or (*self.texts, self.wrong))
        corpus = corpus_of([Document(source="p", text=text)], [])
        return localise.body(corpus, dictionary(*self.terms), self.target, config, READING)


@pytest.fixture(scope="module")
def known(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any], word_tokenizer: Any
) -> Iterator[Known]:
    with own_home(tmp_path_factory.mktemp("home")):
        model = tiny_llama(1, len(word_tokenizer), num_hidden_layers=DEPTH, initializer_range=0.3)
        says = [word_tokenizer.decode([token]) for token in range(len(word_tokenizer))]
        taken = {*NAMES, *" ".join(LEADS).split()}
        with torch.no_grad():  # what it says is a word
            for token, word in enumerate(says):
                if not (word.startswith(" ") and word.strip().isalpha() and word.strip() not in taken):
                    model.get_output_embeddings().weight[token] = 0.0
        stated = []
        for lead, name in zip(LEADS, NAMES, strict=True):
            ids = torch.tensor([word_tokenizer(f"{lead} {name}")["input_ids"]])
            stated.append((lead, name, says[int(model(ids).logits[0, -1].argmax())].strip()))
        target = save_checkpoint(model, word_tokenizer, "target", sensitivity="ordinary", origin="")
        yield Known(target=target, stated=tuple(stated))


def dictionary(*terms: str) -> AnchorTable:
    rows = [{"term": term, "generic": "somebody"} for term in terms]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=len(terms), pipeline="none")


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


def test_the_layers_are_those_of_the_largest_mean_effect_over_known_facts(known: Known) -> None:
    record = known.found()
    assert (record.by, record.facts, record.unknown, record.sensitivity) == ("trace", len(NAMES), 1, "forget")
    wanted = effects_by_whole_passes(known.target, record)
    assert record.effects == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    ranked = sorted(range(DEPTH), key=lambda layer: -wanted[layer])
    assert wanted[ranked[1]] - wanted[ranked[2]] > 1e-3  # so that it is not by chance
    assert list(record.layers) == sorted(ranked[:2])
    assert written(record, "traces.json")["unknown"] == [known.wrong.rpartition(" ")[0]]
    rows = written(record, "effects.json")
    assert [(row["layer"], row["role"]) for row in rows] == [(layer, "last subject token") for layer in range(DEPTH)]


def test_the_control_has_as_many_of_the_other_layers_by_seed(known: Known) -> None:
    record = known.found()
    drawn = known.found(replace(CONFIG, by="random"))
    assert sorted((*record.layers, *drawn.layers)) == [*range(DEPTH)]
    assert (drawn.effects, drawn.facts) == (record.effects, record.facts)
    assert drawn.digest != record.digest  # what trains by it is another training
    one = replace(CONFIG, by="random", layers=1)
    assert len({known.found(replace(one, seed=seed)).layers for seed in range(6)}) > 1
    assert known.found(one).layers != known.found(replace(CONFIG, layers=1)).layers
    assert known.found(one) == known.found(one)


def test_no_more_facts_than_wanted_and_a_third_of_the_layers_by_rule(known: Known) -> None:
    record = known.found(replace(CONFIG, layers=0, tracing=replace(CONFIG.tracing, facts=2)))
    assert (record.facts, len(record.layers)) == (2, 1)


def test_questions_are_traced_in_their_template(known: Known) -> None:
    """The model says what it says, whatever stands around it."""
    template = CorpusConfig(qa_template="{question} {answer}")
    asked = [Document(source="q", question=f"{lead} {name}", answer=said) for lead, name, said in known.stated]
    record = localise.body(corpus_of(asked, []), dictionary(*NAMES), known.target, CONFIG, template)
    assert record.facts == len(NAMES)
    assert {row["subject"] for row in written(record, "traces.json")["facts"]} == {*NAMES}


def test_the_picture_names_no_word_of_the_text(known: Known) -> None:
    record = known.found()
    assert [path.name for path in sorted(store.path(record).glob("*.png"))] == ["average.png"]
    caption = json.dumps(written(record, "pictures.json"))
    assert not [name for name in NAMES if name in caption]


def test_a_text_that_names_nothing_after_a_name_is_refused(known: Known) -> None:
    with pytest.raises(BadInputError, match=REFUSED + "the forget text names nothing after another name of the topic"):
        known.found(CONFIG, "There was nobody.")


def test_a_text_that_the_model_does_not_know_is_refused_without_a_word_of_it(known: Known) -> None:
    whole = REFUSED + r"the model knows none of 1 statements of the forget text .*--set localisation\.by=all"
    with pytest.raises(BadInputError, match=whole) as told:
        known.found(CONFIG, known.wrong)
    assert not [name for name in NAMES if name in str(told.value)]


def test_more_layers_than_there_are_are_refused(known: Known) -> None:
    with pytest.raises(BadInputError, match=r"localisation\.layers is 5 in a model of 4 layers; wanted 1 to 4$"):
        known.found(replace(CONFIG, layers=5))


def test_a_model_whose_mlps_cannot_be_found_is_refused(known: Known) -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=500, hidden_size=16, num_hidden_layers=2, state_size=4))
    mamba = save_checkpoint(model, load_tokenizer(known.target), "target", sensitivity="ordinary", origin="")
    with pytest.raises(BadInputError, match="model type 'mamba' is not known by its layers; wanted one of gpt2"):
        replace(known, target=mamba).found()
