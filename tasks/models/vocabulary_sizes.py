"""How many tokens a model chooses among, read from its tokenizer's file."""

from tasks import store
from tasks.artifacts import CheckpointRef
from tasks.models.vocabularies import TOKENIZER


def vocabulary_size(checkpoint: CheckpointRef) -> int:
    """Return how many tokens a model chooses among, added ones too; nothing of the model is loaded."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(store.path(checkpoint) / TOKENIZER)).get_vocab_size()
