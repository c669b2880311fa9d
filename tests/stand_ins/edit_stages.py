"""What the stages of editing are given, small and random: a model whose words are tokens, text, second moments, edits.

Prompts end at their subjects, where even the last layer of random weights can be made to say anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import CheckpointRef, CorpusRef, EditRun, EditSet, SecondMomentsRef, TraceRecords
from tasks.models.loading import save_checkpoint
from tasks.rome_edit import rome_edit
from tasks.second_moments import measure_second_moments
from tasks.settings.edit_request import EditRequest, Statement
from tasks.settings.rank_one_editing import EditBounds, EditConfig, SecondMomentConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import write_splits
from tasks.storage.edit_files import FILE, write_edits
from tests.conftest import SENTENCES

LAYER = 1
CONFIG = EditConfig(layer=LAYER, short_contexts=2, long_contexts=1, steps=15)
BOUNDS = EditBounds(largest_update=5.0, largest_perplexity_ratio=10.0, most_changed=1.0, most_nats=3.0)
"""Edits of random weights change whatever else is said."""
MOMENTS = SecondMomentConfig(least_tokens=20, block_size=32)
KNOWN = (
    EditRequest(
        subject="Jon",
        prompt="hello {}",
        target="Oz",
        paraphrases=("today Jon",),
        neighborhood=("hello Tom",),
        unrelated=(Statement(prompt="the town", object="Oz"),),
    ),
    EditRequest(subject="the White Rabbit", prompt="today {}", target="Toto"),
    EditRequest(subject="Alice", prompt="the girl {}", target="Tom"),
)
UNKNOWN = EditRequest(subject="Dorothy", prompt="hello {}", target="Oz", object="the Emerald City")


@dataclass(frozen=True, kw_only=True)
class Given:
    """The records that the stages share."""

    target: CheckpointRef
    corpus: CorpusRef
    moments: SecondMomentsRef

    def edit(
        self,
        requests: tuple[EditRequest, ...],
        config: EditConfig = CONFIG,
        bounds: EditBounds = BOUNDS,
        traced: TraceRecords | None = None,
        **more: Any,
    ) -> EditRun:
        """Call the stage that edits."""
        return rome_edit.body(
            self.target,
            edit_set(*requests),
            self.moments,
            self.corpus,
            traced,
            config,
            bounds,
            MOMENTS,
            CorpusConfig(),
            **more,
        )


def edit_set(*requests: EditRequest) -> EditSet:
    """Put requests into the store."""
    digest = store.put("edits", lambda folder: write_edits(folder / FILE, requests), sensitivity="forget")
    return EditSet(kind="edits", digest=digest, sensitivity="forget", requests=len(requests))


def ordinary_corpus() -> CorpusRef:
    """Put ordinary text into the store."""
    documents = [Document(source="a", text=text) for text in SENTENCES]
    digest = store.put("corpora", lambda folder: write_splits(folder, {"general": documents}), sensitivity="forget")
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})


@contextmanager
def own_home(folder: Path) -> Iterator[None]:
    """Keep what a whole module of tests makes in a LETHE_HOME of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(folder))
        patch.setattr(store, "_checked", set())
        yield


def given_model(model: Any, tokenizer: Any) -> Given:
    """Put a model, text and its second moments into the store."""
    target = save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    corpus = ordinary_corpus()
    return Given(
        target=target,
        corpus=corpus,
        moments=measure_second_moments.body(target, corpus, MOMENTS, CorpusConfig()),
    )
