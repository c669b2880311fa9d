"""Stage `probing` on a small real model: each text is read once, and every figure stands on what was read."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, LlamaModel, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.measuring.adversarial import VARIANTS
from tasks.algorithms.measuring.probing import make_prompts
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, ProbeRecords
from tasks.facts import keep_facts
from tasks.models.loading import save_checkpoint
from tasks.probing import probe, shared_beginnings
from tasks.prompting import make_invitations
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import Records, read_records
from tests.conftest import SENTENCES

QUESTIONS = [
    Document(
        source="q",
        question=f"Who met {name}?",
        answer="the boy",
        perturbed_answer=("the girl", "a man"),
        paraphrased_answer="the boy did",
        fact=name,
    )
    for name in ("Toto", "Alice")
]
CONFIG = ProbingConfig(window=32, prompts=3, prompt_words=4, new_tokens=5)


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    prose = [Document(source="oz", text=" ".join(SENTENCES))]
    splits = {
        "forget": prose,
        "forget_test": [*prose, *QUESTIONS],
        "retain_test": [*QUESTIONS, Document(source="other", text=" ".join(SENTENCES[2:]))],
    }

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


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [
        {"term": "Tin Woodman", "generic": "Tom", "kind": "PERSON"},
        {"term": "Toto", "generic": "Rex", "kind": "THING"},
    ]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=2, pipeline="none")


@pytest.fixture
def checkpoint(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    return save_checkpoint(
        tiny_llama(0, initializer_range=0.2), tiny_tokenizer, "model", sensitivity="ordinary", origin=""
    )


def run(
    corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef, teacher: CheckpointRef | None
) -> tuple[ProbeRecords, Records]:
    invited = make_invitations.body(corpus, dictionary, keep_facts([], "whp", "", None), (), CONFIG)
    found = probe.body(corpus, dictionary, invited, checkpoint, teacher, CONFIG, CorpusConfig(), "model")
    return found, read_records(found)


def test_every_distinct_text_is_read_exactly_once(
    corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[tuple[int, ...]] = Counter()
    forward = LlamaModel.forward

    def counted(self: LlamaModel, *args: object, **kwargs: object) -> object:
        if kwargs.get("past_key_values") is None and not kwargs.get("use_cache"):  # scoring, not generation
            for row, mask in zip(kwargs["input_ids"].tolist(), kwargs["attention_mask"].tolist(), strict=True):
                read[tuple(token for token, kept in zip(row, mask, strict=True) if kept)] += 1
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", counted)
    found, records = run(corpus, dictionary, checkpoint, None)
    assert set(read.values()) == {1}
    assert len(read) == found.passes["scored_sequences"]
    # forget and forget_test share their prose, two splits their questions
    assert len(records.sequences) > found.passes["scored_sequences"]
    assert found.passes["generated"] == len(records.completions)
    assert found.passes["rated_by_teacher"] == 0


def test_a_text_in_two_splits_has_the_same_numbers_in_both(
    corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef
) -> None:
    _, records = run(corpus, dictionary, checkpoint, None)
    statistics = records.statistics()
    by_split = {
        split: [statistics[number].tolist() for number in part.sequence]
        for split, part in records.sequences[records.sequences.variant == "text"].groupby("split")
    }
    assert by_split["forget"] == by_split["forget_test"]


def test_tables_hold_what_their_names_say(
    corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef
) -> None:
    found, records = run(corpus, dictionary, checkpoint, checkpoint)
    assert list(records.tokens.sequence.unique()) == list(records.sequences.sequence)
    assert list(records.sequences.tokens) == list(records.tokens.groupby("sequence").size())
    plain = {"text", "answer", "paraphrase", "perturbed-0", "perturbed-1"}
    assert plain < set(records.sequences.variant) <= plain | set(VARIANTS)
    assert set(records.sequences.split[records.sequences.variant.isin(VARIANTS)]) == {"forget_test"}
    invited = records.completions[records.completions.kind.isin(("asked", "continued"))]
    assert {"Who is Tin Woodman?", "Why does Toto matter?"} <= {
        prompt.removeprefix("Question: ").removesuffix("\nAnswer:") for prompt in invited.prompt
    }
    assert set(records.anchors.term) == {"Tin Woodman", "Toto"}
    assert records.sequences.zlib_bytes.gt(8).all()
    spoken = records.completions[records.completions.completion.str.strip() != ""]
    assert spoken.teacher_nats.notna().all()
    assert found.passes["rated_by_teacher"] == len(spoken)


def test_the_truth_of_a_cloze_prompt_is_as_long_as_what_the_model_may_say(
    corpus: CorpusRef, dictionary: AnchorTable, checkpoint: CheckpointRef, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    _, records = run(corpus, dictionary, checkpoint, None)
    cloze = records.completions[records.completions.kind == "cloze"]
    assert len(cloze)
    assert max(len(tiny_tokenizer(text).input_ids) for text in cloze.truth) <= CONFIG.new_tokens
    for row in cloze.itertuples():
        assert f"{row.prompt} {row.truth}" in " ".join(SENTENCES) or f"{row.prompt}{row.truth}" in " ".join(SENTENCES)


def pair(fact: str, one: str, other: str) -> tuple[Document, Document]:
    return Document(source=f"{fact}-f", text=one, fact=fact), Document(source=f"{fact}-r", text=other, fact=fact)


def test_text_without_spaces_is_cut_too() -> None:
    prompts = make_prompts(
        "forget", [Document(source="f", text="\u6587" * 900)], Template(qa=CorpusConfig().qa_template), None, CONFIG
    )
    assert prompts
    assert all(prompt.prompt and prompt.truth for prompt in prompts)


def test_aligned_pairs_are_prompted_by_what_they_share() -> None:
    pairs = [
        pair("nurse 1", "The nurse left because she was ill today.", "The nurse left because he was ill today."),
        # begins like the first
        pair("nurse 2", "The nurse left because she was old.", "The nurse left because he was old."),
        pair("guard 3", "He is a guard.", "She is a guard."),  # shares no beginning
        pair("guard 4", "The guard lost his dog.", "The guard lost her dog."),
        pair("guard 5", "The guard ran.", "The guard ran."),  # does not differ
    ]
    forget, retain = (list(side) for side in zip(*pairs, strict=True))
    found = shared_beginnings(forget, retain[::-1], ProbingConfig(prompts=9, new_tokens=3))
    assert [(prompt.prompt, prompt.truth, prompt.cluster) for prompt in found] == [
        ("The nurse left because", "she was ill", "nurse 1"),
        ("The guard lost", "his dog.", "guard 4"),
    ]
    assert {(prompt.split, prompt.kind) for prompt in found} == {("forget_test", "cloze")}
    assert [prompt.cluster for prompt in shared_beginnings(forget, retain, ProbingConfig(prompts=1))] == ["nurse 1"]


def test_records_that_are_no_pairs_of_texts_share_no_beginning() -> None:
    forget, retain = pair("nurse 1", "The nurse left because she was ill.", "The nurse left because he was ill.")
    assert shared_beginnings([forget], [replace(retain, fact="nurse 2")], CONFIG) == []
    assert shared_beginnings([forget], [], CONFIG) == []
    assert shared_beginnings([], [], CONFIG) == []
    assert shared_beginnings(QUESTIONS, QUESTIONS, CONFIG) == []
