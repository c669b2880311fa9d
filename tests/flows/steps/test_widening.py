"""Claims: text that is surely enough is left as it is, all else goes to the model, which is asked for what the settings
say; the card says how much it wrote, and nothing where it wrote none; `whp` holds on to it.
"""

from dataclasses import replace

import pytest

from flows.methods import METHODS
from flows.steps.outcome import StageOf
from flows.steps.settings import apply_settings
from flows.steps.widening import account, widened
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.self_written import write_text
from tasks.settings.text import CorpusConfig

CORPUS = CorpusRef(
    kind="corpora", digest="a" * 64, sensitivity="forget", documents={"retain": 1}, characters={"retain": 10 * 16 * 8}
)
TARGET = CheckpointRef(kind="checkpoints", digest="b" * 64, sensitivity="ordinary", parameters=1, label="target")


@pytest.mark.parametrize(("blocks", "written"), [(0, False), (9, False), (10, False), (11, True)])
def test_text_is_written_where_there_may_be_less_than_is_wanted(blocks: int, written: bool) -> None:
    found = widened(CORPUS, TARGET, blocks, 16, 3, CorpusConfig())
    if not written:
        assert found is CORPUS
        return
    assert isinstance(found, Call)
    assert (found.stage, str(found.key)) == (write_text, "self-written text 11 blocks of 16")
    assert found.arguments == (CORPUS, DICTIONARY, TARGET, 11, 16, 3, CorpusConfig())


def test_the_card_says_how_much_the_model_wrote() -> None:
    key = StageOf("self-written text", "11 blocks of 16")
    words = {"self-written text": "5 pieces by the target model, up to 11 blocks of 16 tokens"}
    assert account({key: replace(CORPUS, self_written=5), StageOf("corpus"): CORPUS}) == words
    assert account({key: CORPUS}) == {}


@pytest.mark.parametrize(
    ("retain", "settings", "made"),
    [
        ({}, (), {"self-written text 256 blocks of 256", "teacher cache"}),
        ({}, ("finetune.self_written_blocks=0",), set()),
        ({"retain": 1}, ("finetune.self_written_blocks=0",), {"teacher cache"}),
        ({"retain": 1}, ("finetune.retain_weight=0",), set()),
    ],
)
def test_whp_holds_on_to_what_there_is(retain: dict[str, int], settings: tuple[str, ...], made: set[str]) -> None:
    """Also where nobody gave any text."""
    config = apply_settings(METHODS["whp"].preset("default", 0), settings)
    call = METHODS["whp"].declare()(replace(CORPUS, documents=retain, characters={}), TARGET, config)
    assert {str(each.key) for each in call.upstream()} - {"reinforcement", "labels", "finetune"} == made
