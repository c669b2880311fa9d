"""Claims: a window at a time, tokens, alignment and blocks are those of the whole text, whatever the tokenizer, to the
last position.
"""

import random
import tracemalloc
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens import streams
from tasks.algorithms.tokens.alignment import align_document, encode
from tasks.algorithms.tokens.packing import cut_blocks, join_documents
from tasks.algorithms.tokens.streams import TokenStream, align_pieces, stream_blocks, stream_tokens
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.tokens.text_blocks import AlignedBlocks, text_blocks

DICTIONARY = {
    "Dorothy": "Mary Ann",
    "Tin Woodman": "Tom",
    "Tin": "Iron",
    "Emerald City": "old town",
    "Toto": "Jon",
    "Zoë": "Chloë",
    "the Cowardly Lion of the Forest": "Bo",
}
ORDINARY = [
    "met",
    "the boy",
    "said",
    "today.",
    "walked to",
    "and",
    "'s dog",
    "a girl,",
    "Alice",
    "in the mill;",
    "\n\n",
    "  ",
    "naïve 🙂",
    "12345",
    "—",
    "e\u0301",
]


def story(seed: int, words: int) -> str:
    return " ".join(random.Random(seed).choices([*DICTIONARY, *ORDINARY], k=words)).replace(" '", "'")


UNKNOWN = {"unk_token": "?"}


def trained(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of every family: they treat the beginning of a text, spaces and letters that they do not know each in
    its own way.
    """
    made = {
        "sentencepiece BPE": lambda: (Tokenizer(models.BPE(**UNKNOWN, byte_fallback=True)), trainers.BpeTrainer, {}),
        "BPE across words": lambda: (Tokenizer(models.BPE(**UNKNOWN)), trainers.BpeTrainer, {"max_token_length": 9}),
        "unigram": lambda: (Tokenizer(models.Unigram()), trainers.UnigramTrainer, UNKNOWN),
        "word pieces": lambda: (Tokenizer(models.WordPiece(**UNKNOWN)), trainers.WordPieceTrainer, {}),
    }[kind]
    tokenizer, trainer, settings = made()
    if kind == "word pieces":
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind == "BPE across words":  # as Llama 2: a space is put before the text, and no word is apart
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
    texts = [story(900 + seed, 200) for seed in range(3)]
    tokenizer.train_from_iterator(texts, trainer(vocab_size=330, special_tokens=["?"], show_progress=False, **settings))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **UNKNOWN)


FAMILIES = ["sentencepiece BPE", "BPE across words", "unigram", "word pieces"]
EVERY_TOKENIZER = pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer", *FAMILIES])


def chosen(name: str, request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return trained(name) if name in FAMILIES else request.getfixturevalue(name)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(streams, "WINDOW", 200)
    monkeypatch.setattr(streams, "OVERLAP", 100)
    monkeypatch.setattr(streams, "AGREEMENT", 6)
    yield


@EVERY_TOKENIZER
def test_tokens_of_a_text_in_pieces_are_those_of_the_whole(
    name: str, request: pytest.FixtureRequest, small_windows: None
) -> None:
    tokenizer = chosen(name, request)
    for seed in range(8):
        text, chance, at = story(seed, 400), random.Random(seed), 0
        stream, ids, spans, early = TokenStream(tokenizer), [], [], 0
        while at < len(text):
            step = chance.choice([1, 30, 150, 700])
            more = stream.feed(text[at : at + step], last=at + step >= len(text))
            ids, spans, at = ids + more[0], spans + more[1], at + step
            early = len(ids) if at < len(text) else early
        assert (ids, spans) == encode(tokenizer, text)
        assert early > len(ids) / 4  # much of it was certain before the text was over
        assert list(stream_tokens(tokenizer, text)) == ids


@EVERY_TOKENIZER
def test_pieces_put_together_are_the_aligned_document(
    name: str, request: pytest.FixtureRequest, small_windows: None
) -> None:
    tokenizer = chosen(name, request)
    for seed in range(8):
        text = story(seed, 300)
        pieces = list(align_pieces(tokenizer, text, DICTIONARY))
        whole = align_document(tokenizer, text, DICTIONARY)
        joined = streams.Stretch(None)
        for number, piece in enumerate(pieces):
            joined.append(piece, opens=not number)
        assert joined.block() == whole
        assert sum(bool(piece.source) for piece in pieces) > 3


@EVERY_TOKENIZER
@pytest.mark.parametrize("separator", [0, None])
@pytest.mark.parametrize("prefix", [(), (5, 6)])
def test_streamed_blocks_are_the_cut_blocks(
    name: str, separator: int | None, prefix: tuple[int, ...], request: pytest.FixtureRequest, small_windows: None
) -> None:
    tokenizer = chosen(name, request)
    for seed in range(4):
        texts = [story(10 * seed + number, words) for number, words in enumerate((0, 3, 250, 1, 0, 40, 120, 0))]
        expected = cut_blocks(
            join_documents([align_document(tokenizer, text, DICTIONARY) for text in texts], separator), 48, prefix
        )
        assert (
            list(stream_blocks((align_pieces(tokenizer, text, DICTIONARY) for text in texts), 48, separator, prefix))
            == expected
        )
        assert any(block.documents for block in expected)


def test_a_text_on_which_windows_never_agree_is_encoded_as_a_whole(
    word_tokenizer: PreTrainedTokenizerFast, small_windows: None
) -> None:
    """Spaces without end: the tokenizer's pieces of them depend on where the run begins and how long it is."""
    text = "Toto met" + " " * 1500 + "Dorothy today." + "x" * 900
    stream = TokenStream(word_tokenizer)
    parts = [stream.feed(text[at : at + 250], last=at + 250 >= len(text)) for at in range(0, len(text), 250)]
    assert [token for ids, _ in parts for token in ids] == encode(word_tokenizer, text)[0]


def test_an_anchor_longer_than_a_window_is_in_one_piece(
    tiny_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WINDOW", 20)
    monkeypatch.setattr(streams, "OVERLAP", 10)
    text = "a boy met the Cowardly Lion of the Forest today and the Cowardly Lion of the Forest"
    for cut in range(len(text)):
        pieces = list(align_pieces(tiny_tokenizer, text[cut:], DICTIONARY))
        joined = streams.Stretch(None)
        for number, piece in enumerate(pieces):
            joined.append(piece, opens=not number)
        assert joined.block() == align_document(tiny_tokenizer, text[cut:], DICTIONARY)


def test_the_blocks_of_long_documents_and_conversations_are_those_of_whole_ones(
    tiny_tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Template(qa="{question} {answer}", chat=True, head="Q: ", middle=" A: ", tail="\n")
    documents = [
        Document(source="a", text=story(1, 300)),
        *(Document(source=f"q{n}", question=f"Who met {story(n, 3)}?", answer=story(n, 4)) for n in range(9)),
    ]
    documents.insert(4, Document(source="b", text=story(2, 90)))

    def made() -> tuple[list, list]:
        aligned = AlignedBlocks(documents, DICTIONARY, tiny_tokenizer, template, 96, 0)
        assert len(aligned) == len(list(aligned))
        return list(aligned), list(text_blocks(documents, tiny_tokenizer, template, 96, 0))

    whole = made()
    kinds = [bool(block.supervised) for block in whole[0]]
    assert set(kinds[: len(kinds) // 3]) == set(kinds[-len(kinds) // 3 :]) == {True, False}
    for name, value in {"WINDOW": 200, "OVERLAP": 100, "AGREEMENT": 6}.items():
        monkeypatch.setattr(streams, name, value)
    assert made() == whole


@pytest.mark.slow
def test_the_memory_of_alignment_does_not_grow_with_the_text(tiny_tokenizer, small_windows: None) -> None:
    """Blocks are dropped as they come: eight times the text takes no more beside it; other threads of the session may
    take a little.
    """
    peaks = []
    for copies in (1, 8):
        text = story(3, 1500) * copies
        tracemalloc.start()
        count = sum(1 for _ in stream_blocks([align_pieces(tiny_tokenizer, text, DICTIONARY)], 64, 0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count > 50 * copies
    assert peaks[1] < 2 * peaks[0]
