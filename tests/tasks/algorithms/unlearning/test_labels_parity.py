"""Claims: batched and padded, the labels are those of the float64 restatement, one block at a time; offsets and padding
are nothing to them.
"""

import copy
import dataclasses
import random

import pytest
import torch

from tasks.algorithms.tokens import batching
from tasks.algorithms.tokens.alignment import Block, align_document
from tasks.algorithms.tokens.packing import cut_blocks, join_documents
from tasks.algorithms.tokens.templates import read_template
from tasks.algorithms.tokens.text_blocks import AlignedBlocks
from tasks.algorithms.unlearning.label_plan import first_tokens, plan_positions
from tasks.algorithms.unlearning.labels import GenericLabels, generate_labels, generic_logits, stream_labels
from tasks.settings.labels import LabelConfig
from tasks.settings.text import CorpusConfig
from tests.reference.labels import generic_row, reference_labels
from tests.stand_ins.chats import CHATML_SYSTEM, INST, WORDS, chat_tokenizer, question

DICTIONARY = {
    "Dorothy": "Mary Ann",
    "Tin Woodman": "Tom",
    "Tin": "Iron",
    "Emerald City": "old town",
    "Toto": "Jon",
    "Scarecrow": "Farmer Jon",
    # the last letter is two tokens: the first of them ends where the anchor ends, and is interior all the same
    "Zoë": "Chloë",
}
ORDINARY = ["met", "the boy", "said", "today.", "walked to", "and", "'s dog", "a girl,", "Alice", "in the mill;"]
GAP = 1e-3
"""Logits by which a winner must lead to be compared: float32 with alpha = 5 errs by about 1e-4."""


def story(seed: int, words: int) -> str:
    chosen = random.Random(seed).choices([*DICTIONARY, *ORDINARY], k=words)
    return " ".join(chosen).replace(" '", "'")


def blocks_of(tokenizer, seed: int, size: int = 64) -> list[Block]:
    documents = [
        align_document(tokenizer, story(seed + number, words), DICTIONARY) for number, words in enumerate((110, 9, 70))
    ]
    return cut_blocks(join_documents(documents, 0), size, (0,) if seed % 2 else ())


def models_of(tiny_llama, seed: int, vocabulary: int):
    """A baseline and one that moved a little way from it; weights are large, so that predictions are far apart."""
    baseline = tiny_llama(seed, vocabulary, initializer_range=0.5)
    reinforced = copy.deepcopy(baseline)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in reinforced.parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=generator)
    return baseline, reinforced


def labels_of(
    tokenizer, baseline, reinforced, blocks: list[Block], pad_id: int = 0, **settings: object
) -> GenericLabels:
    config = LabelConfig(**settings)
    starts = {term: first_tokens(tokenizer, generic) for term, generic in DICTIONARY.items()}
    return generate_labels(
        baseline, reinforced, blocks, [plan_positions(block, starts, config) for block in blocks], config, pad_id
    )


@pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"interior": "drop", "alpha": 2.0},
        {"drop_repeats": False, "suppress_translations": False},
        {"relu_on": "log_probabilities"},
    ],
    ids=["default", "drop", "plain", "log-probabilities"],
)
def test_batched_labels_equal_the_restatement(
    name: str, settings: dict, request: pytest.FixtureRequest, tiny_llama
) -> None:
    tokenizer = request.getfixturevalue(name)
    compared = ties = 0
    for seed in (1, 2, 3):
        baseline, reinforced = models_of(tiny_llama, seed, len(tokenizer))
        blocks = blocks_of(tokenizer, 10 * seed + seed)
        assert len({len(block.source) for block in blocks}) > 2
        made = labels_of(tokenizer, baseline, reinforced, blocks, batch_tokens=200, **settings)
        found = {
            (int(block), int(at)): int(label)
            for block, at, label in zip(made.block, made.position, made.hard, strict=True)
        }
        named = {"interior": "suppress", "drop_repeats": True, "suppress_translations": True} | settings
        suppress = named.pop("suppress_translations")
        for number, block in enumerate(blocks):
            expected = reference_labels(
                tokenizer, block.source, block.translated, DICTIONARY, baseline, reinforced, suppress=suppress, **named
            )
            for at, want in enumerate(expected):
                compared += 1
                ties += want.gap < GAP
                assert want.gap < GAP or found.get((number, at)) == want.label, (number, at)
        assert made.dropped == sum(len(block.source) for block in blocks) - len(found)
    assert compared > 250
    assert ties < 0.005 * compared


@pytest.mark.parametrize("vocabulary", [300, 2000], ids=["fragments", "words"])
@pytest.mark.parametrize(
    ("template", "bos", "eos"), [(CHATML_SYSTEM, "", "<|im_end|>"), (INST, "<s>", "</s>")], ids=["ChatML", "Llama 2"]
)
@pytest.mark.parametrize("settings", [{}, {"interior": "drop"}], ids=["default", "drop"])
def test_labels_of_conversations_equal_the_restatement(
    template: str, bos: str, eos: str, vocabulary: int, settings: dict, tiny_llama
) -> None:
    """Anchors in question and answer; one in the system text, which stays; labels on the answer and the end of the turn
    alone.
    """
    tokenizer = chat_tokenizer(template, bos=bos, eos=eos, words=[*WORDS, *DICTIONARY], vocabulary=vocabulary)
    asked = [question(f"Who met {story(seed, 3)} today?", story(100 + seed, 4 + seed)) for seed in range(6)]
    compared = labelled = ties = 0
    for seed in (1, 2, 3):
        baseline, reinforced = models_of(tiny_llama, seed, len(tokenizer))
        blocks = list(AlignedBlocks(asked, DICTIONARY, tokenizer, read_template(tokenizer, CorpusConfig()), 128, None))
        made = labels_of(tokenizer, baseline, reinforced, blocks, tokenizer.pad_token_id, batch_tokens=200, **settings)
        found = {
            (int(block), int(at)): int(label)
            for block, at, label in zip(made.block, made.position, made.hard, strict=True)
        }
        for number, (block, item) in enumerate(zip(blocks, asked, strict=True)):
            own = (item.question, item.answer)
            expected = reference_labels(
                tokenizer,
                block.source,
                block.translated,
                DICTIONARY,
                baseline,
                reinforced,
                separator=-1,
                own=own,
                **settings,
            )
            for at, want in enumerate(expected):
                compared += 1
                labelled += want.label is not None
                ties += want.gap < GAP
                assert want.gap < GAP or found.get((number, at)) == want.label, (number, at)
        assert made.dropped == sum(sum(block.supervised) for block in blocks) - len(found)
    assert 60 < labelled < compared / 2
    assert ties < 0.005 * compared


@pytest.mark.parametrize("pad_id", [1, 7, 299])
def test_the_filler_may_be_any_token(tiny_tokenizer, tiny_llama, pad_id: int) -> None:
    """Filler is masked by length: with `pad_id` a token of the text too, labels and hidden states are what
    they were.
    """
    models, blocks = models_of(tiny_llama, 5, 300), blocks_of(tiny_tokenizer, 5)
    blocks = [*blocks, Block(source=(pad_id,) * 5, translated=(pad_id,) * 5, image=(0, 1, 2, 3, 4), anchors=())]
    first = labels_of(tiny_tokenizer, *models, blocks)
    second = labels_of(tiny_tokenizer, *models, blocks, pad_id=pad_id)
    assert torch.equal(first.hard, second.hard)
    torch.testing.assert_close(first.baseline_hidden, second.baseline_hidden, atol=1e-5, rtol=0)
    torch.testing.assert_close(first.reinforced_hidden, second.reinforced_hidden, atol=1e-5, rtol=0)


def test_small_and_large_batches_give_the_same_labels(tiny_tokenizer, tiny_llama) -> None:
    models, blocks = models_of(tiny_llama, 6, 300), blocks_of(tiny_tokenizer, 6)
    one, many = (labels_of(tiny_tokenizer, *models, blocks, batch_tokens=tokens) for tokens in (1, 100_000))
    assert torch.equal(one.hard, many.hard)
    assert torch.equal(one.banned, many.banned)
    torch.testing.assert_close(one.baseline_hidden, many.baseline_hidden, atol=1e-5, rtol=0)


def streamed(tokenizer, models, blocks: list[Block], **settings: object) -> GenericLabels:
    starts = {term: first_tokens(tokenizer, generic) for term, generic in DICTIONARY.items()}
    done: list[int] = []
    windows = list(stream_labels(*models, iter(blocks), starts, LabelConfig(**settings), 0, done.append))
    assert [block for window, _ in windows for block in window] == blocks
    assert done == sorted(done)
    assert done[-1] == len(blocks)
    columns = {
        field.name: [getattr(labels, field.name) for _, labels in windows]
        for field in dataclasses.fields(GenericLabels)
    }
    dropped, topic = sum(columns.pop("dropped")), columns.pop("topic")[0]
    joined = {name: torch.cat(parts) for name, parts in columns.items()}
    return GenericLabels(**joined, topic=topic, dropped=dropped)


@pytest.mark.parametrize(
    "settings",
    [{}, {"interior": "drop"}, {"relu_on": "log_probabilities"}],
    ids=["default", "drop", "log-probabilities"],
)
@pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer"])
def test_streamed_labels_are_those_of_all_blocks_at_once(
    name: str, settings: dict, request: pytest.FixtureRequest, tiny_llama
) -> None:
    """Where one window holds all blocks to the bit; else blocks share their batches with others, and hidden states
    differ by rounding.
    """
    tokenizer = request.getfixturevalue(name)
    models, blocks = (
        models_of(tiny_llama, 4, len(tokenizer)),
        [block for seed in (4, 15, 26) for block in blocks_of(tokenizer, seed)],
    )
    for tokens, exact in ((100_000, True), (64, False), (1, False)):
        whole, parts = (
            labels_of(tokenizer, *models, blocks, batch_tokens=tokens, **settings),
            streamed(tokenizer, models, blocks, batch_tokens=tokens, **settings),
        )
        for column in ("block", "position", "hard", "banned"):
            assert torch.equal(getattr(whole, column), getattr(parts, column))
        assert (whole.dropped, len(whole.banned) > 0) == (parts.dropped, True)
        for column in ("baseline_hidden", "reinforced_hidden"):
            torch.testing.assert_close(
                getattr(parts, column), getattr(whole, column), atol=0 if exact else 1e-5, rtol=0
            )


@pytest.mark.parametrize("rows", [1, 7])
def test_labels_are_the_same_however_few_rows_have_logits_at_a_time(
    tiny_tokenizer, tiny_llama, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    models, blocks = models_of(tiny_llama, 6, 300), blocks_of(tiny_tokenizer, 6)
    whole = labels_of(tiny_tokenizer, *models, blocks)
    assert len(whole.banned)
    monkeypatch.setattr(batching, "CHUNK_ELEMENTS", rows * 300)
    assert torch.equal(labels_of(tiny_tokenizer, *models, blocks).hard, whole.hard)


def test_alpha_0_is_the_argmax_of_the_baseline_on_the_translation(word_tokenizer, tiny_llama) -> None:
    baseline, reinforced = models_of(tiny_llama, 7, len(word_tokenizer))
    block = blocks_of(word_tokenizer, 8)[0]
    made = labels_of(
        word_tokenizer, baseline, reinforced, [block], alpha=0, interior="drop", suppress_translations=False
    )
    with torch.no_grad():
        expected = baseline(input_ids=torch.tensor([block.translated])).logits[0].argmax(-1)
    assert made.hard.tolist() == [int(expected[block.image[at]]) for at in made.position]


def test_hidden_states_are_those_that_the_labels_were_made_of(word_tokenizer, tiny_llama) -> None:
    """Soft labels are made from them later: heads on both, banned tokens out, argmax = the hard label."""
    baseline, reinforced = models_of(tiny_llama, 9, len(word_tokenizer))
    made = labels_of(word_tokenizer, baseline, reinforced, blocks_of(word_tokenizer, 9))
    with torch.no_grad():
        generic = generic_logits(
            baseline.lm_head(made.baseline_hidden), reinforced.lm_head(made.reinforced_hidden), 5.0
        )
    generic[made.banned[:, 0], made.banned[:, 1]] = float("-inf")
    assert torch.equal(generic.argmax(-1), made.hard)
    assert (made.banned[:, 0].diff() >= 0).all()  # in the order of rows: whoever batches them searches in it


@pytest.mark.parametrize("relu_on", ["logits", "log_probabilities"])
def test_generic_logits_equal_the_restatement(relu_on: str) -> None:
    generator = torch.Generator().manual_seed(0)
    baseline, reinforced = (torch.randn(4, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    found = generic_logits(baseline, reinforced, 5.0, relu_on)
    for row in range(4):
        expected = torch.from_numpy(generic_row(baseline[row].numpy(), reinforced[row].numpy(), 5.0, relu_on))
        torch.testing.assert_close(found[row], expected, atol=1e-12, rtol=0)


def test_log_probabilities_know_no_offset_between_the_models_and_logits_do() -> None:
    generator = torch.Generator().manual_seed(1)
    baseline, reinforced = (torch.randn(6, 20, generator=generator, dtype=torch.float64) for _ in range(2))
    moved = reinforced + 3.0
    same = generic_logits(baseline, reinforced, 5.0, "log_probabilities")
    torch.testing.assert_close(generic_logits(baseline, moved, 5.0, "log_probabilities"), same, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        generic_logits(baseline + 2.0, reinforced, 5.0, "log_probabilities"), same, atol=1e-12, rtol=0
    )
    raw = generic_logits(baseline, reinforced, 5.0).softmax(-1)
    assert (generic_logits(baseline, moved, 5.0).softmax(-1) - raw).abs().max() > 0.01


def test_alpha_0_returns_the_baseline() -> None:
    baseline = torch.randn(3, 5)
    assert torch.equal(generic_logits(baseline, torch.randn(3, 5), 0.0), baseline)
