"""Stage `guardrail` and what is measured behind it: one model folder with a file beside the target's own weights."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.unlearning.guardrail import GuardrailModel
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef
from tasks.benchmarking import benchmark
from tasks.benchmarks.local_files import gather_benchmarks
from tasks.facts import keep_facts
from tasks.guardrail import build_guardrail
from tasks.models import guardrail_files
from tasks.models.checkpoints import inspect_model
from tasks.models.loading import load_model, save_checkpoint
from tasks.probing import probe
from tasks.prompting import make_invitations
from tasks.relearning import relearn
from tasks.settings.guardrail import GuardrailConfig
from tasks.settings.measuring import BenchmarkingConfig, ProbingConfig, RelearningConfig
from tasks.settings.text import CorpusConfig
from tasks.stereotypes import score_stereotypes
from tasks.storage.documents import write_documents, write_splits
from tasks.storage.plain_files import read_json, write_json
from tasks.storage.probe_records import Records, read_records
from tasks.trial import score_trial
from tests.conftest import SENTENCES

QUESTIONS = [
    Document(source="q", question=f"Who met {name}?", answer=answer, perturbed_answer=("the girl", "a man"), fact=name)
    for name, answer in {"Alice": "Toto", "Jon": "the boy"}.items()
]
KEPT = [Document(source="kept", text=" ".join(SENTENCES[2:4])), QUESTIONS[1]]
PROBING = ProbingConfig(window=32, prompts=6, prompt_words=4, new_tokens=8)
TERMS = ("Toto", "Tin Woodman", "Dorothy")


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [{"term": name, "generic": "Tom", "kind": "PERSON"} for name in TERMS]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=3, pipeline="none")


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    told = [Document(source="oz", text=" ".join(SENTENCES[:2]))]
    splits = {"forget": told, "forget_test": [*told, QUESTIONS[0]], "retain_test": KEPT}

    def write(folder: Path) -> None:
        for split, documents in splits.items():
            write_documents(folder / f"{split}.jsonl", documents)

    digest = store.put("corpora", write, sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={split: len(found) for split, found in splits.items()},
        characters={},
    )


@pytest.fixture(scope="module")
def knowing(tiny_llama: Callable[..., LlamaForCausalLM], word_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model that knows every sentence by heart."""
    model = tiny_llama(0, len(word_tokenizer))
    read = word_tokenizer(
        [" ".join(SENTENCES[:2]), *SENTENCES], padding=True, padding_side="right", return_tensors="pt"
    )
    labels = read["input_ids"].masked_fill(read["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        model(input_ids=read["input_ids"], attention_mask=read["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.fixture
def target(lethe_home: Path, knowing: LlamaForCausalLM, word_tokenizer: PreTrainedTokenizerFast) -> CheckpointRef:
    return save_checkpoint(knowing, word_tokenizer, "target", sensitivity="ordinary", origin="")


def build(target: CheckpointRef, dictionary: AnchorTable, **changes: object) -> CheckpointRef:
    return build_guardrail.body(target, dictionary, GuardrailConfig(**{"prefix": "", "refusal": "hello"} | changes))


def probed(corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef) -> Records:
    invited = make_invitations.body(corpus, dictionary, keep_facts([], "whp", "", None), (), PROBING)
    return read_records(probe.body(corpus, dictionary, invited, checkpoint, None, PROBING, CorpusConfig(), "model"))


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_the_weights_are_the_targets_to_the_byte_and_the_terms_are_kept_as_forgotten_text(
    target: CheckpointRef, dictionary: AnchorTable
) -> None:
    before = weights(store.path(target))
    made = build(target, dictionary, prefix="Nothing of {terms}.\n", named_terms=2)
    folder = store.path(made)
    assert weights(folder) == weights(store.path(target)) == before
    assert (made.label, made.sensitivity, made.parameters) == ("unlearned", "forget", target.parameters)
    assert "forget" in folder.parts
    about = json.loads((folder / "guardrail.json").read_text())
    assert about["terms"] == list(TERMS)
    assert about["prefix"] == "Nothing of Toto, Tin Woodman.\n"
    store.purge()
    assert not folder.exists()


def test_the_digest_tells_guardrails_apart_also_where_a_folder_is_given_by_hand(
    target: CheckpointRef, dictionary: AnchorTable
) -> None:
    one, other = build(target, dictionary), build(target, dictionary, floor=1e-5)
    given = [inspect_model(str(store.path(found)), "unlearned") for found in (target, one, other)]
    assert len({found.digest for found in given}) == 3
    assert [guardrail_files.has_guardrail(found) for found in given] == [False, True, True]
    assert isinstance(guardrail_files.load_behind_guardrail(given[1]), GuardrailModel)
    assert not isinstance(load_model(given[1]), GuardrailModel)  # what trains takes the bare weights


def test_completions_hold_no_anchor_that_was_not_in_the_prompt(
    corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef
) -> None:
    expression = anchor_expression(TERMS)
    bare, guarded = (probed(corpus, dictionary, model).completions for model in (target, build(target, dictionary)))
    assert [row for row in bare.itertuples() if names_anchor(row.completion, row.prompt, expression)]
    assert not [row for row in guarded.itertuples() if names_anchor(row.completion, row.prompt, expression)]
    assert guarded[guarded.completion != bare.completion].completion.str.startswith(" hello").all()
    spoken = guarded.completion == bare.completion
    assert spoken[guarded.split == "retain_test"].any()


def test_anchors_fall_to_the_floor_and_kept_text_keeps_its_probability(
    corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef
) -> None:
    bare, guarded = (probed(corpus, dictionary, model) for model in (target, build(target, dictionary)))
    assert bare.anchors.joint.max() > 0.5
    assert guarded.anchors.joint.max() <= 1.01e-6
    kept = bare.sequences[(bare.sequences.split == "retain_test") & (bare.sequences.variant == "text")].sequence
    one, other = (records.tokens[records.tokens.sequence.isin(kept)] for records in (bare, guarded))
    assert len(one) == len(other) > 20
    before, after = (np.exp(found.log_p.mean()) for found in (one, other))
    assert after == pytest.approx(before, rel=0.05)
    assert list(bare.sequences.columns) == list(guarded.sequences.columns)


def test_trials_and_stereotypes_are_scored_behind_the_guardrail(
    corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef
) -> None:
    models = target, build(target, dictionary)
    bare, guarded = (score_trial.body(corpus, model, PROBING, CorpusConfig()) for model in models)
    assert guarded.forget < 0.9 * bare.forget
    sides = [Document(source=f"pair{at}", text=text, fact="pair 1") for at, text in enumerate(SENTENCES[:2])]
    splits = {"forget_test": sides[:1], "retain_test": sides[1:]}
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    pairs = CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents=dict.fromkeys(splits, 1), characters={}
    )
    bare, guarded = (score_stereotypes.body(pairs, model, CorpusConfig(), "m") for model in models)
    assert bare.difference_nats != guarded.difference_nats


def test_relearning_is_of_the_bare_weights(corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef) -> None:
    config = RelearningConfig(steps=(2,), block_size=32, learning_rate=1e-3)
    guarded = build(target, dictionary)
    bare, other = (
        read_records(relearn.body(corpus, dictionary, model, config, PROBING, CorpusConfig(), "m"), "2")
        for model in (target, guarded)
    )
    assert bare.tokens.equals(other.tokens)
    assert bare.anchors.equals(other.anchors)


def test_benchmarks_are_asked_behind_the_guardrail(
    corpus: CorpusRef, dictionary: AnchorTable, target: CheckpointRef
) -> None:
    config = BenchmarkingConfig()
    found = benchmark.body(
        corpus, build(target, dictionary), gather_benchmarks(config, None), config, CorpusConfig(), "unlearned"
    )
    assert 0 <= read_json(store.path(found) / "results.json")["world/acc"] <= 1


@pytest.mark.parametrize(
    "text",
    [
        *("{}", "[]", "not json", '{"schema": "lethe.guardrail.v1", "prefix": ""}', '{"schema": "lethe.guardrail.v2"}'),
        "[" * 100_000,
        '{"schema": "lethe.guardrail.v1", "prefix": "", "refusal": "No.", "floor": "low", "terms": []}',
        '{"schema": "lethe.guardrail.v1", "prefix": "", "refusal": "No.", "floor": 1e-6, "terms": [3]}',
    ],
    ids=range(8),
)
def test_a_file_that_is_no_guardrail_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "guardrail.json").write_text(text)
    with pytest.raises(BadInputError, match=r"guardrail.json is no guardrail; wanted schema lethe.guardrail.v1"):
        guardrail_files.read_guardrail(tmp_path)


def test_a_prefix_that_leaves_no_room_is_refused_with_the_models_name(
    target: CheckpointRef, dictionary: AnchorTable
) -> None:
    with pytest.raises(BadInputError, match=r"target model .*: the prefix takes .* of the model's 128 positions"):
        build(target, dictionary, prefix="the old man met the boy in the town. " * 12)
