"""The size of a vocabulary, against the tokenizer as it is loaded."""

from pathlib import Path

from tasks.models.checkpoints import inspect_model
from tasks.models.vocabulary_sizes import vocabulary_size
from tests.stand_ins.chats import chat_tokenizer


def test_a_vocabulary_counts_words_that_were_added(tmp_path: Path, tiny_llama) -> None:
    """Claims: a model chooses among as many tokens as its tokenizer has."""
    tokenizer = chat_tokenizer(None)
    sizes = []
    for name in ("before", "after"):
        folder = tmp_path / name
        tiny_llama(0).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        sizes.append(vocabulary_size(inspect_model(str(folder), name)))
        assert sizes[-1] == len(tokenizer)
        tokenizer.add_tokens(["<new>"])
    assert sizes[1] == sizes[0] + 1
