"""A tokenizer for which every word of a small world is one token, and any other text bytes.

It is GPT-2's byte-level scheme with whole words in place of merges: what it reads it writes back, and character offsets
work. As with Llama's tokenizer, a text is read as if a space stood before it: a word is the same token wherever it
stands, and of a text that begins with a space that space is lost.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"


def word_tokenizer(texts: Iterable[str], context: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that has each word of the texts as one token.

    Args:
        texts: What the world says.
        context: Positions of the model that will read the tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=True)
    pieces = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [END, *alphabet, *sorted(pieces - set(alphabet))]
    tokenizer = Tokenizer(
        models.BPE(vocab={entry: at for at, entry in enumerate(entries)}, merges=[], ignore_merges=True)
    )
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, model_max_length=context
    )
