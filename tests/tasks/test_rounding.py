"""Claims: each number of bits is scored on its own, with a copy; unlearning that is finer than a step of the rounding
is undone by it, and seen.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store
from tasks.algorithms.models.rounding import round_weights
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, RoundedRecords
from tasks.models.loading import load_model, save_checkpoint
from tasks.reporting.figures import recovered_figures
from tasks.rounding import score_rounded
from tasks.settings.measuring import ProbingConfig, RoundingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_documents
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import read_records

NAMES = ("Toto", "Alice", "Jon", "Dorothy")
QUESTIONS = [Document(source="q", question=f"Who met {name}?", answer=f"a boy of {name}", fact=name) for name in NAMES]
GROUP = 16


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [{"term": name, "generic": "Tom"} for name in NAMES]
    digest = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=4, pipeline="none")


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    digest = store.put(
        "corpora", lambda folder: write_documents(folder / "forget_test.jsonl", QUESTIONS), sensitivity="forget"
    )
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})


def answers(found: RoundedRecords, bits: int) -> float:
    return recovered_figures(read_records(found, str(bits)), "back")["forget_test/back_probability"].figure()


def test_what_is_finer_than_a_step_comes_back(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    tiny_llama: Callable[..., LlamaForCausalLM],
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    target = tiny_llama(0)
    round_weights(target, 4, GROUP)  # so that rounding it again changes nothing
    unlearned = tiny_llama(0)
    unlearned.load_state_dict(target.state_dict())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in unlearned.named_parameters():
            if "proj" in name:
                for part in weight.split(GROUP, dim=-1):
                    most = part.abs().amax(dim=-1, keepdim=True)
                    noise = (torch.rand(part.shape, generator=generator) - 0.5) * 0.9 * most / 7
                    part.add_(torch.where(part.abs() == most, torch.zeros_like(part), noise))
    refs = [
        save_checkpoint(each, tiny_tokenizer, "m", sensitivity="ordinary", origin="") for each in (target, unlearned)
    ]
    config = RoundingConfig(bits=(8, 4), group=GROUP, least_parameters=0)
    before, after = (run(corpus, dictionary, ref, config) for ref in refs)
    assert (before.bits, after.bits) == ((8, 4), (8, 4))
    left, back = (abs(answers(after, bits) / answers(before, bits) - 1) for bits in (8, 4))
    assert back < 1e-5 < 5e-4 < left
    assert all(
        one.equal(other)
        for one, other in zip(load_model(refs[1]).state_dict().values(), unlearned.state_dict().values(), strict=True)
    )


def run(corpus: CorpusRef, dictionary: AnchorTable, ref: CheckpointRef, config: RoundingConfig) -> RoundedRecords:
    return score_rounded.body(corpus, dictionary, ref, config, ProbingConfig(window=32), CorpusConfig(), "model")
