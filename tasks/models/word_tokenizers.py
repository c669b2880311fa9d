"""A tokenizer for which every word of a small world is one token, and any other text bytes.

It is GPT-2's byte-level scheme with whole words in place of merges: what it reads it writes back, a word that begins a
text is another token than the same word after a space, and character offsets work.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"


def word_tokenizer(texts: Iterable[str], context: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that has each word of the texts as one token, with and without a space before it.

    Args:
        texts: What the world says.
        context: Positions of the model that will read the tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    space, _ = split.pre_tokenize_str(" ")[0]
    words = {piece.lstrip(space) for text in texts for piece, _ in split.pre_tokenize_str(text)} - {""}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [END, *alphabet, *sorted({space + word for word in words} | {word for word in words if len(word) > 1})]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, model_max_length=context
    )
