"""The small frozen records that stages hand to each other: digests, counts and where an artifact is, never the artifact
itself.
"""

from dataclasses import dataclass
from typing import Literal

Sensitivity = Literal["forget", "ordinary", "public"]
"""`forget`: holds what is to be forgotten; `public`: may be shown to anyone; `ordinary`: everything else."""


class BadInputError(ValueError):
    """The user gave something that cannot be worked with; the message is one plain line: what was found, what was
    wanted.
    """


class BelowFloorError(RuntimeError):
    """Training was given up, since too little of what is to be kept is left; it has no result, and to try again changes
    nothing.
    """

    def __init__(self, retain_ratio: float, floor: float, step: int, steps: int) -> None:
        """Say what a validation found.

        Args:
            retain_ratio: Probability of what is to be kept, as a share of the target model's.
            floor: Least share that training goes on with, `stop_below`.
            step: Optimiser steps that were taken.
            steps: Optimiser steps that there were to be at most.
        """
        # what pickle makes it anew from: it is raised in another process than it is handled in
        super().__init__(retain_ratio, floor, step, steps)
        self.retain_ratio, self.floor, self.step, self.steps = retain_ratio, floor, step, steps

    def __str__(self) -> str:
        """Return one plain line."""
        kept = (
            f"the retain probability is {self.retain_ratio:.3f}x the target model's, below stop_below, {self.floor:g}"
        )
        return f"training was given up after step {self.step} of {self.steps}: {kept}"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A folder in the store, named by the digest of its content."""

    kind: str
    """Room in the store: checkpoints, corpora, anchors, labels, ..."""
    digest: str
    """SHA-256 over the files' sums, in hexadecimal."""
    sensitivity: Sensitivity
    location: str = ""
    """Folder of an artifact that lies outside the store (a user's model); empty: in the store."""
    origin: str = ""
    """MLflow run that made it, so that a cache hit can link there; no part of its identity."""


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that the user gave, as it was when the run began."""

    path: str
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CorpusRef(Artifact):
    """All splits, cleaned and cut."""

    documents: dict[str, int]
    """Split -> number of documents."""
    characters: dict[str, int]
    """Split -> number of characters."""
    self_written: int = 0
    """How many documents of the retain text the target model wrote itself."""


@dataclass(frozen=True, kw_only=True)
class CheckpointRef(Artifact):
    """A model folder: safetensors, tokenizer, config."""

    parameters: int
    label: str
    """What to call it in tables: target, retrained, reinforced, unlearned."""

    @property
    def name(self) -> str:
        """What to call it to its user: where it lies, or the beginning of its digest."""
        return self.location or self.digest[:16]


@dataclass(frozen=True, kw_only=True)
class EditPatch(Artifact):
    """The low-rank updates of one editing run, and what was edited by them."""

    base: str
    """Digest of the weights that it belongs to, those before any patch."""
    computed_on: tuple[str, ...]
    """Digests of the patches that were on the base when it was computed, in order."""
    layers: tuple[int, ...]
    rank: int
    """The largest of its updates' ranks."""
    edits: int


@dataclass(frozen=True, kw_only=True)
class AnchorTable(Artifact):
    """Anchor terms, with or without their translations."""

    anchors: int
    pipeline: str
    """spaCy pipeline that was used."""


@dataclass(frozen=True, kw_only=True)
class PromptSet(Artifact):
    """Prompts that invite a model to speak of the topic."""

    prompts: int


@dataclass(frozen=True, kw_only=True)
class CoverageReport(Artifact):
    """What the target model tells about the topic, and which of it the given text tells too."""

    share: float | None
    """Covered share of what it tells, 0 to 1; None where it tells nothing twice."""
    told: int
    texts: int
    """Completions that tell something which is not covered."""
    facts: int
    """Facts of the text that it was to complete."""
    reproduced: int
    """Those that it completes as the text has them."""


@dataclass(frozen=True, kw_only=True)
class FactTable(Artifact):
    """What the text states, as (subject, prompt, object)."""

    facts: int
    """Of the forget text."""
    held_out: int
    """Of the test text, in words that the forget text does not have."""
    recommended: str
    """Family of methods that fits the text: `editing` or `whp`."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class LabelSet(Artifact):
    """Generic labels with the blocks they belong to."""

    blocks: int
    positions: int
    dropped_share: float


@dataclass(frozen=True, kw_only=True)
class TeacherCache(Artifact):
    """Last hidden states of a frozen model, the target or the unlearned one, on the retain blocks."""

    blocks: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class ReferenceCache(Artifact):
    """Rows to train on, and what the frozen target model says about them."""

    rows: dict[str, int]
    """forget, retain, preferred -> number of rows."""
    tokens: int
    state_bytes: int
    """What rows and states take on disk."""
    truncated: int
    """Questions that were cut on the left."""


@dataclass(frozen=True, kw_only=True)
class ProbeRecords(Artifact):
    """Per-token statistics of every split and completions of the prompts, for one model."""

    passes: dict[str, int]
    """What the model was run on: sequences scored (each once), prompts completed, completions rated by the teacher."""
    label: str = ""
    """The model's part in a comparison: target, unlearned, retrained. No part of what was computed."""


@dataclass(frozen=True, kw_only=True)
class JudgeRecords(Artifact):
    """A judge's scores of what one model says about the forgotten topic."""

    judged: int
    """Completions whose score could be read."""
    requested: int
    """All that were to be rated."""
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class RelearnRecords(Artifact):
    """Per-token statistics of what was not shown, for one model that is trained again, a folder for each number of
    steps.
    """

    text: str
    """`forget`, of which one half is trained on, or `retain`."""
    steps: tuple[int, ...]
    shown: int
    """Documents that were trained on."""
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class RoundedRecords(Artifact):
    """Per-token statistics of the forget text by one model with rounded weights, a folder for each number of bits."""

    bits: tuple[int, ...]
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class ToxicityRecords(Artifact):
    """How toxic each completion of one model is."""

    scorer: str
    """Who rated: `classifier:<name or folder>`, or `lexicon:better_profanity`, which is a word list and no
    classifier."""
    completions: int
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class StereotypeScores(Artifact):
    """How far one model prefers the forget side of aligned pairs to the retain side."""

    pairs: int
    left_out: int
    """Pairs that differ in more than pronouns, while others do not."""
    preference: float
    """Share of the pairs whose forget side is the likelier one."""
    difference_nats: float
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Artifact):
    """Accuracies of one model from lm-eval."""

    tasks: int
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class EditScores(Artifact):
    """How edits are judged that one model holds together."""

    edits: int
    efficacy: float | None
    """Share of the edits whose new object is likelier than the old one; None where no request has an old one."""
    score: float | None
    """Harmonic mean of the efficacy, the paraphrase and the neighborhood score; None where one is missing."""
    alteration: float | None
    """Share of unrelated facts whose greedy answer changed; None where there are none."""
    perplexity_ratio: float | None
    """After over before; None without texts."""
    label: str = ""
    """As in `ProbeRecords`."""


@dataclass(frozen=True, kw_only=True)
class Scorecard(Artifact):
    """The figures of one run and its verdict (scorecard.v1)."""

    passed: bool
    evidence: str


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A finished run as a comparison sees it."""

    name: str
    """What tables call it."""
    method: str
    seed: str
    """Empty where nothing tells it."""
    card: Scorecard
    """A folder with scorecard.json, and items.parquet where there is one."""
    mlflow_run: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison(Artifact):
    """Tables, plot and page of several runs."""

    runs: int
    pairs: int
    """Paired tests that could be made."""


@dataclass(frozen=True, kw_only=True)
class ReportRef(Artifact):
    """The HTML report."""


@dataclass(frozen=True, kw_only=True)
class EditSet(Artifact):
    """Edits that are asked for, confirmed."""

    requests: int
    left_out: int = 0
    """Facts of the text without an edit: no new object was found or fits the model, another has their prompt, or they
    are too many."""


@dataclass(frozen=True, kw_only=True)
class TraceRecords(Artifact):
    """Causal traces of facts, and their averages."""

    facts: int
    """That were traced: those that the model knows."""
    unknown: int
    """That it does not know."""
    layer: int
    """Where the MLP window has the largest average indirect effect at the subject's last token."""


@dataclass(frozen=True, kw_only=True)
class Localisation(Artifact):
    """The layers whose MLPs alone are trained."""

    by: str
    """`trace`, or `random`: drawn from those that the trace does not name."""
    layers: tuple[int, ...]
    """In order, counted from 0."""
    effects: tuple[float, ...]
    """Of every layer's MLPs at the subject's last token: the average indirect effect, a probability."""
    facts: int
    """That were traced: those that the model knows."""
    unknown: int
    """That were asked for on the way, and that it does not know."""


@dataclass(frozen=True, kw_only=True)
class NeuronReport(Artifact):
    """The neurons of one layer that carry facts."""

    facts: int
    layer: int


@dataclass(frozen=True, kw_only=True)
class SecondMomentsRef(Artifact):
    """C = E[k k^T] of every layer's MLP output matrix, for one model."""

    tokens: int
    """That were read."""
    converged: bool


@dataclass(frozen=True, kw_only=True)
class EditRun(Artifact):
    """What became of each edit that was asked for."""

    patch: EditPatch
    """Those that were made."""
    layer: int
    left_out: int
    """Asked for and not made: not known to the model, or out of bounds."""


@dataclass(frozen=True, kw_only=True)
class WorldRef(Artifact):
    """The splits for forgetting one topic of the embedded world, as files."""

    topic: str
    topics: tuple[str, ...]
    """All series of the world."""


@dataclass(frozen=True, kw_only=True)
class FactWorldRef(Artifact):
    """The fact world as files: facts, requests to edit them, text."""

    facts: int
    edits: dict[str, int]
    """File -> requests in it."""
