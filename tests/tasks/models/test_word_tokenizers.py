"""Claims: what is read is written back; every word of the world is one token, wherever it stands; offsets and the
folder work as those of any tokenizer.
"""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, GPT2Config, PreTrainedTokenizerFast

from tasks.algorithms.tokens.alignment import encode
from tasks.algorithms.world.fact_edits import edit_requests
from tasks.algorithms.world.fact_text import FactText, vocabulary_texts
from tasks.algorithms.world.fact_world import build_fact_world
from tasks.models.word_tokenizers import END, word_tokenizer
from tests.stand_ins.facts import SMALL_WORLD

WORLD = build_fact_world(SMALL_WORLD)
BYTES = 256


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return word_tokenizer(vocabulary_texts(WORLD), context=64)


def texts() -> list[str]:
    text = FactText(WORLD)
    asked = [prompt for request in edit_requests(WORLD, 20) for prompt in (request.question, *request.paraphrases)]
    return [*(text.document(number).text for number in range(500)), *asked]


def test_the_worlds_text_is_read_and_written_back(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in texts():
        assert tokenizer.decode(encode(tokenizer, text)[0]) == text


def test_every_word_of_the_world_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in texts():
        ids, spans = encode(tokenizer, text)
        pieces = [text[start:end] for start, end in spans]
        assert "".join(pieces) == text
        assert all(
            token > BYTES or not text[start:end].strip().isalnum()
            for token, (start, end) in zip(ids, spans, strict=True)
        )


def test_a_word_is_one_token_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    for fact in WORLD.facts:
        assert len(encode(tokenizer, fact.object)[0]) == 1
        assert encode(tokenizer, fact.object)[0] == encode(tokenizer, f" {fact.object}")[0]
        assert len(encode(tokenizer, fact.subject.name)[0]) == len(fact.subject.name.split())


def test_other_text_is_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Zoë saw 12 zebras, ok?\n\n  Ω"
    assert tokenizer.decode(encode(tokenizer, text)[0]) == text


def test_it_has_an_end_of_text_that_no_text_holds(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token == tokenizer.pad_token == END
    assert tokenizer.eos_token_id == 0
    assert not any(0 in encode(tokenizer, text)[0] for text in texts())


def test_a_folder_gives_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    GPT2Config().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in texts()[:100]:
        assert encode(again, text) == encode(tokenizer, text)
        assert again.decode(encode(again, text)[0]) == text
    assert again.model_max_length == 64
