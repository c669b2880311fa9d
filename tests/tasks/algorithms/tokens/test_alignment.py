"""Claims: source and translation are aligned by what has been read; cutting loses nothing and cuts no anchor."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.text.anchors import AnchorMatch
from tasks.algorithms.tokens.alignment import (
    AnchorSpan,
    Block,
    align_document,
    encode,
    prefix_ids,
    require_offsets,
    token_spans,
    translate_text,
)
from tasks.algorithms.tokens.packing import cut_blocks, join_documents, pack_tokens, pack_whole
from tests.reference.labels import anchor_tokens, bytes_read, occurrences, reference_image

DICTIONARY = {
    "Dorothy": "Mary Ann",
    "Tin": "Iron",
    "Tin Woodman": "Farmer",
    "Oz": "日本",
    "José": "Tom",
    "André": "Zoë",
    "Zoë": "José Luis",
    "Mr.": "é",
    "Emerald City": "x",
}
WORDS = st.sampled_from(
    [*DICTIONARY, "met", "the boy", "Tina", "naïve", "🙂", "日", "—", "é", "John", "Ozma", "\u0301", "ß."]
)
GAPS = st.sampled_from([" ", "\n", "\n\n", "-", "'s ", ". ", " — ", "“", "  ", "é ", ""])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=24).map(lambda pairs: "".join(word + gap for word, gap in pairs))
TOKENIZERS = pytest.mark.parametrize("name", ["tiny_tokenizer", "word_tokenizer", "trimmed_tokenizer"])


@TOKENIZERS
def test_mapped_positions_have_read_the_same_text(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)

    @given(text=TEXTS)
    def check(text: str) -> None:
        block = align_document(tokenizer, text, DICTIONARY)
        expected = reference_image(tokenizer, block.source, block.translated, DICTIONARY)
        assert len(block.image) == len(block.source)
        for found, wanted, read in zip(block.image, expected, bytes_read(tokenizer, block.source), strict=True):
            assert found in (-1, wanted)
            if whole_letters(read):
                assert (None if found < 0 else found) == wanted

    check()


def whole_letters(read: bytes) -> bool:
    return read.decode("utf-8", "ignore").encode() == read


@TOKENIZERS
def test_the_translated_side_is_the_text_with_its_anchors_replaced(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)

    @given(text=TEXTS)
    def check(text: str) -> None:
        block = align_document(tokenizer, text, DICTIONARY)
        expected, at = "", 0
        for start, stop in occurrences(text, DICTIONARY):
            expected += text[at:start] + DICTIONARY[text[start:stop]]
            at = stop
        assert tokenizer.decode(block.source) == text
        assert tokenizer.decode(block.translated) == expected + text[at:]

    check()


@TOKENIZERS
def test_anchor_tokens_cover_their_anchor_and_no_other_word(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)

    @given(text=TEXTS.filter(bool))
    def check(text: str) -> None:
        block = align_document(tokenizer, text, DICTIONARY)
        assert [(span.start, span.end, span.term) for span in block.anchors] == anchor_tokens(
            tokenizer, block.source, DICTIONARY
        )

    check()


@TOKENIZERS
def test_cut_blocks_put_together_are_the_stream_and_cut_no_anchor(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)

    @given(texts=st.lists(TEXTS, max_size=4), size=st.integers(40, 90), prefix=st.sampled_from([(), (0,), (0, 7)]))
    def check(texts: list[str], size: int, prefix: tuple[int, ...]) -> None:
        stream = join_documents([align_document(tokenizer, text, DICTIONARY) for text in texts], separator=0)
        blocks = cut_blocks(stream, size, prefix)
        lead = len(prefix)
        assert sum((block.source[lead:] for block in blocks), ()) == stream.source
        assert sum((block.translated[lead:] for block in blocks), ()) == stream.translated
        image, anchors, at, shift = [], [], 0, 0
        for block in blocks:
            assert lead < len(block.source) <= size
            assert len(block.translated) <= size
            assert block.source[:lead] == block.translated[:lead] == prefix
            assert block.image[:lead] == tuple(range(lead))
            image += [to - lead + shift if to >= 0 else -1 for to in block.image[lead:]]
            anchors += [
                AnchorSpan(start=span.start - lead + at, end=span.end - lead + at, term=span.term)
                for span in block.anchors
            ]
            at, shift = at + len(block.source) - lead, shift + len(block.translated) - lead
        assert tuple(image) == stream.image
        assert tuple(anchors) == stream.anchors

    check()


@TOKENIZERS
@pytest.mark.parametrize("text", ["José", "met José", "Oz", "André met Oz", "Oz—Dorothy—Zoë"])
def test_the_last_token_of_an_anchor_maps_to_the_last_of_its_translation(
    name: str, text: str, request: pytest.FixtureRequest
) -> None:
    """Letters of two bytes too: their first token has not read the letter, their last one has."""
    block = align_document(request.getfixturevalue(name), text, DICTIONARY)
    assert block.image[-1] == len(block.translated) - 1
    assert all(block.image[span.end - 1] >= 0 for span in block.anchors)


def test_a_longer_and_a_shorter_translation_by_hand(word_tokenizer: PreTrainedTokenizerFast) -> None:
    # source      Toto Ġmet ĠDorothy Ġtoday .        ->  Toto Ġmet ĠMary ĠAnn Ġtoday .
    longer = align_document(word_tokenizer, "Toto met Dorothy today.", {"Dorothy": "Mary Ann"})
    assert longer.image == (0, 1, 3, 4, 5)
    assert longer.anchors == (AnchorSpan(start=2, end=3, term="Dorothy"),)
    # source      Toto Ġmet ĠTin ĠWoodman Ġtoday .   ->  Toto Ġmet ĠTom Ġtoday .
    shorter = align_document(word_tokenizer, "Toto met Tin Woodman today.", {"Tin Woodman": "Tom"})
    assert shorter.image == (0, 1, -1, 2, 3, 4)
    assert shorter.anchors == (AnchorSpan(start=2, end=4, term="Tin Woodman"),)


def test_images_of_character_boundaries_by_hand() -> None:
    #                     a b _ c      ->  XYZ _ c, with "ab" -> "XYZ"
    assert translate_text("ab c", [AnchorMatch(0, 2, "ab")], {"ab": "XYZ"}) == ("XYZ c", [0, -1, 3, 4, 5])
    assert translate_text("c ab", [AnchorMatch(2, 4, "ab")], {"ab": "x"}) == ("c x", [0, 1, 2, -1, 3])
    assert translate_text("", [], {}) == ("", [0])


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("met Tin-Woodman today.", "met Tom today."),
        ("met Tin\nWoodman today.", "met Tom today."),
        ("the Tin Woodmans\u2019 hut.", "the Toms\u2019 hut."),
    ],
    ids=["hyphen", "line break", "plural and possessive"],
)
def test_every_spelling_of_a_term_has_its_translation(
    tiny_tokenizer: PreTrainedTokenizerFast, text: str, image: str
) -> None:
    block = align_document(tiny_tokenizer, text, {"Tin Woodman": "Tom"})
    assert tiny_tokenizer.decode(block.translated) == image
    assert [span.term for span in block.anchors] == ["Tin Woodman"]


def test_an_empty_text_is_an_empty_block(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    block = align_document(tiny_tokenizer, "", DICTIONARY)
    assert block == Block(source=(), translated=(), image=(), anchors=())
    assert cut_blocks(join_documents([], separator=0), 16) == []
    assert list(pack_tokens([], 16, 0)) == []


def test_a_token_of_no_characters_belongs_to_no_anchor() -> None:
    # "a ab": a white-space token whose trimmed offsets are empty, (2, 2), stands right before the anchor [2, 4)
    assert token_spans([(0, 1), (2, 2), (2, 4)], [AnchorMatch(2, 4, "ab")]) == [AnchorSpan(start=2, end=3, term="ab")]
    assert token_spans([(0, 2), (2, 2), (2, 3)], [AnchorMatch(0, 2, "ab")]) == [AnchorSpan(start=0, end=1, term="ab")]


def test_an_anchor_longer_than_a_block_is_refused(word_tokenizer: PreTrainedTokenizerFast) -> None:
    long_term = " ".join(["Dorothy"] * 20)
    with pytest.raises(ValueError, match="no place to cut within 16 tokens"):
        cut_blocks(align_document(word_tokenizer, f"Toto met {long_term}.", {long_term: "Jon"}), 16)


def test_a_translation_longer_than_a_block_is_refused(word_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="no place to cut within 16 tokens"):
        cut_blocks(align_document(word_tokenizer, "Toto met Dorothy.", {"Dorothy": " ".join(["Mary"] * 20)}), 16)


def test_longer_translations_make_source_blocks_shorter(word_tokenizer: PreTrainedTokenizerFast) -> None:
    stream = align_document(word_tokenizer, "Dorothy met " * 20, {"Dorothy": "Mary Ann the girl"})
    blocks = cut_blocks(stream, 16)
    # 2 source tokens a round are 5 translated ones: 3 rounds are 15, and the next anchor alone is 4 more than the
    # 16 allow
    assert [len(block.source) for block in blocks[:3]] == [6, 6, 6]
    assert [len(block.translated) for block in blocks[:3]] == [15, 15, 15]


def test_a_cut_falls_neither_where_nothing_is_mapped_nor_inside_an_anchor() -> None:
    tokens = tuple(range(8))
    # at size 4, position 3 would be the last of the first block
    unmapped = Block(source=tokens, translated=tokens, image=(0, 1, 2, -1, 4, 5, 6, 7), anchors=())
    assert [block.source for block in cut_blocks(unmapped, 4)] == [(0, 1, 2), (3, 4, 5, 6), (7,)]
    inside = Block(source=tokens, translated=tokens, image=tokens, anchors=(AnchorSpan(start=2, end=5, term="x"),))
    assert [block.source for block in cut_blocks(inside, 4)] == [(0, 1), (2, 3, 4, 5), (6, 7)]


def test_a_separator_stands_between_documents_on_both_sides(word_tokenizer: PreTrainedTokenizerFast) -> None:
    first = align_document(word_tokenizer, "Dorothy met", {"Dorothy": "Mary Ann"})
    stream = join_documents([first, first], separator=0)
    # source  Dorothy Ġmet | Dorothy Ġmet      translated  Mary ĠAnn Ġmet | Mary ĠAnn Ġmet
    assert stream.source == (*first.source, 0, *first.source)
    assert stream.translated == (*first.translated, 0, *first.translated)
    assert stream.image == (1, 2, 3, 5, 6)
    assert [span.start for span in stream.anchors] == [0, 3]
    assert join_documents([first, first], separator=None).image == (1, 2, 4, 5)


def test_prefix_tokens_are_those_before_the_first_word(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert prefix_ids(tiny_tokenizer) == ()
    with_start = copy.deepcopy(tiny_tokenizer)
    start = with_start.bos_token_id
    template = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", start)])
    with_start.backend_tokenizer.post_processor = template
    assert prefix_ids(with_start) == (start,)
    assert encode(with_start, "a") == encode(tiny_tokenizer, "a")


def test_a_tokenizer_without_offsets_is_refused(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    class Slow:
        is_fast = False

    require_offsets(tiny_tokenizer)
    with pytest.raises(ValueError, match="Slow gives no character offsets"):
        require_offsets(Slow())


@given(
    documents=st.lists(st.lists(st.integers(1, 99), max_size=9), max_size=6),
    size=st.integers(3, 12),
    prefix=st.sampled_from([(), (7,), (7, 8)]),
)
def test_packed_blocks_put_together_are_the_documents(
    documents: list[list[int]], size: int, prefix: tuple[int, ...]
) -> None:
    blocks = list(pack_tokens(documents, size, 0, prefix))
    body = [token for block in blocks for token in block[len(prefix) :]]
    assert [token for token in body if token] == [token for document in documents for token in document]
    assert all(block[: len(prefix)] == prefix and len(prefix) < len(block) <= size for block in blocks)
    assert all(len(block) == size for block in blocks[:-1])


@given(
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=12),
    size=st.integers(6, 16),
    open_blocks=st.integers(1, 4),
)
def test_whole_documents_stay_whole_in_their_blocks(lengths: list[int], size: int, open_blocks: int) -> None:
    documents = [[number + 1] * length for number, length in enumerate(lengths)]
    blocks = pack_whole(documents, list(reversed(range(len(documents)))), size, 0, open_blocks)
    assert all(0 < len(block) <= size for block in blocks)
    for name, length in enumerate(lengths, 1):
        homes = [block for block in blocks if name in block]
        assert len(homes) == (length > 0)
        if homes:
            assert homes[0].count(name) == min(length, size)
        if homes and length < size:
            assert homes[0][homes[0].index(name) + length] == 0  # the separator follows
