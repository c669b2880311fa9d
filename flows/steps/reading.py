"""Reading the text of a request, and saying what a person should know of it before anything is trained."""

from collections.abc import Iterator

from flows.steps.outcome import Stages
from flows.steps.providers import warn
from tasks.artifacts import CorpusRef
from tasks.corpus import TESTED, CorpusInputs, read_corpus
from tasks.settings.text import CorpusConfig
from tasks.storage.corpus_counts import read_counts

MISSING = {"forget": "what was forgotten", "retain": "what was kept"}
"""Split -> what no figure says where nothing of it is held out."""


def read_text(stages: Stages, inputs: CorpusInputs, config: CorpusConfig, *, told: bool = False) -> CorpusRef:
    """Read all input, and warn of what will make figures missing or wrong, unless that was `told` before."""
    corpus = stages.result("corpus", read_corpus.submit(inputs, config, stages.run or None))
    for remark in () if told else remarks(corpus, config):
        warn(remark)
    return corpus


def remarks(corpus: CorpusRef, config: CorpusConfig) -> Iterator[str]:
    """Yield what a person should know of the text, a plain line each, without any of it and without names of files."""
    counts = read_counts(corpus)
    for split, count in counts.blank.items():
        yield f"{split}: {count} blank record{'s' * (count > 1)} left out"
    for split, count in counts.shared.items():
        yield (
            f"{split}: {count} of the {counts.pieces} questions and paragraphs that are to be forgotten stand there"
            " too; wanted text without them, since nothing is forgotten and kept at once"
        )
    for split, test in TESTED.items():
        if split in corpus.documents and test not in corpus.documents and config.test_share > 0:
            yield (
                f"{split}: too little text to hold any of it out for testing: no figure will say {MISSING[split]};"
                f" wanted --{test.replace('_', '-')} FILE, more text, or --set corpus.test_share=0.5"
            )
