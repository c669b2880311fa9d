"""Text that is to be kept, with what the target model writes itself where there is little of it: what training holds on
to beyond the user's own words.
"""

from collections.abc import Mapping
from typing import Any

from flows.steps.outcome import StageOf
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.self_written import write_text
from tasks.settings.text import CorpusConfig

MOST_CHARACTERS = 8
"""Characters of a token at most, on the average of any text: with as many, enough tokens are there for sure."""


def widened(
    corpus: CorpusRef, target: CheckpointRef, blocks: int, block_size: int, seed: int, reading: CorpusConfig
) -> CorpusRef | Call:
    """Return the corpus, or the call that brings what is to be kept up to `blocks` blocks of `block_size` tokens, where
    it may have fewer; the stage counts them.
    """
    if corpus.characters.get("retain", 0) >= blocks * block_size * MOST_CHARACTERS:
        return corpus
    # two trainings of one run may want different amounts
    amount = f"{blocks} blocks of {block_size}"
    return Call(write_text, corpus, DICTIONARY, target, blocks, block_size, seed, reading, model=amount)


def account(records: Mapping[StageOf, Any]) -> dict[str, str]:
    """Return in words, for card and log, how much of what a run holds on to the target model wrote; nothing where it
    wrote none.
    """
    texts = {key.model: record.self_written for key, record in records.items() if key.stage == write_text.name}
    words = [
        f"{pieces} pieces by the target model, up to {amount} tokens" for amount, pieces in texts.items() if pieces
    ]
    return {"self-written text": "; ".join(words)} if words else {}
