"""Settings of rank-one editing: where a fact is looked for, what is known of the layer's keys, how it is rewritten."""

import math
from typing import Literal

from tasks.settings.assistants import TranslationConfig
from tasks.settings.edit_baselines import EditBaselinesConfig
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.edit_proposals import EditProposalConfig
from tasks.settings.edit_verdict import EditVerdictConfig
from tasks.settings.measuring import BenchmarkingConfig
from tasks.settings.neurons import NeuronConfig
from tasks.settings.schema import check_choices, settings
from tasks.settings.text import AnchorConfig, CorpusConfig, FactConfig
from tasks.settings.tracing import TracingConfig

Algorithm = Literal["rome", "memit", "ft", "ft-l", "kn", "mend"]
"""One fact into one layer, or many at once, spread over several layers; and what these are measured against:
fine-tuning, free or bounded, knowledge neurons, MEND."""
RANK_ONE: tuple[Algorithm, ...] = ("rome", "memit")
"""Those that hand over a model; the others make single edits, to be compared with."""
ONE_LAYER: tuple[Algorithm, ...] = (*RANK_ONE, "ft", "ft-l")
"""Those that edit at one layer, or up to it."""
Keys = Literal["averaged", "original"]


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; wanted a whole number >= 1")


@settings
class SecondMomentConfig:
    """C = E[k k^T] of what the MLPs' output matrices read, over text."""

    tolerance: float = 0.05
    """C has converged when C of every other row of text differs from it by no more than this, relative in Frobenius
    norm, > 0."""
    least_tokens: int = 2_000
    """Tokens that are read before convergence is looked at, >= 1; less text is read whole."""
    most_tokens: int = 200_000
    """Tokens after which no further batch is read, >= `least_tokens`."""
    batch_rows: int = 16
    """Rows of text in one forward pass, >= 1."""
    block_size: int = 128
    """Tokens of a row, at most the model's context, >= 2."""
    ridge: float = 1e-2
    """Added to C's diagonal, as a share of its mean: C of little text is singular, >= 0."""
    seed: int = 0
    """Order in which text is read."""

    def __post_init__(self) -> None:
        for name in ("least_tokens", "batch_rows", "block_size"):
            _require_count(f"second_moments.{name}", getattr(self, name))
        if self.most_tokens < self.least_tokens:
            raise ValueError(
                f"second_moments.most_tokens is {self.most_tokens}; wanted at least least_tokens, {self.least_tokens}"
            )
        if not self.tolerance > 0:
            raise ValueError(f"second_moments.tolerance is {self.tolerance}; wanted a number > 0")
        if not 0 <= self.ridge < math.inf:
            raise ValueError(f"second_moments.ridge is {self.ridge}; wanted a number >= 0")


@settings
class EditConfig:
    """How a fact is rewritten."""

    algorithm: Algorithm = "rome"
    """`rome`: one edit after the other, each of rank one in one layer; `memit`: all at once, over several layers. For
    comparison, edits that stand alone: `ft`, fine-tuning, `ft-l`, the same within a bound, `kn`, knowledge neurons, and
    `mend`, a network that learned to edit; see `baselines`."""
    layer: int | None = None
    """Layer that is edited, counted from 0; none: the one that the trace picks. MEMIT's last one."""
    memit_layers: int = 3
    """Layers over which MEMIT spreads its edits, the last of them `layer`, >= 1."""
    memit_moment_weight: float = 1.0
    """Weight of C against the edits' own keys in MEMIT, > 0: higher keeps more, edits less. The paper's is 15000 for C
    of 100,000 texts of a model of 6B parameters."""
    keys: Keys = "averaged"
    """`averaged`: one key everywhere (r-ROME, arXiv:2403.07175); `original`: an averaged key in the direction and the
    bare prompt's in the denominator, with which some edits disable the model."""
    short_contexts: int = 10
    """Sampled beginnings of `short_tokens` tokens before the prompt, >= 0."""
    short_tokens: int = 5
    """Tokens of a short one, >= 1."""
    long_contexts: int = 10
    """Sampled beginnings of `long_tokens` tokens, >= 0."""
    long_tokens: int = 10
    """Tokens of a long one, >= 1."""
    learning_rate: float = 0.5
    """Of Adam, for v*, > 0."""
    steps: int = 20
    """Steps of Adam at most, >= 1."""
    stop_nats: float = 0.05
    """Loss of the target, nats a token, below which v* is taken, >= 0."""
    clamp: float = 4.0
    """Length of v* - v_0 at most, in lengths of v_0, > 0."""
    kl_weight: float = 0.0625
    """Weight of KL(edited || original) after the bare subject: what else is said of it, >= 0."""
    decay: float = 0.5
    """Weight of |v* - v_0| / |v_0|^2, >= 0."""
    batch: int = 16
    """Edits whose v* is found in one batch, where they do not build on each other, >= 1."""
    seed: int = 0
    """Of the sampled beginnings."""

    def __post_init__(self) -> None:
        check_choices(self, "edit")
        for name in ("memit_layers", "short_tokens", "long_tokens", "steps", "batch"):
            _require_count(f"edit.{name}", getattr(self, name))
        for name in ("memit_moment_weight", "learning_rate", "clamp"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"edit.{name} is {getattr(self, name)}; wanted a number > 0")
        for name in ("short_contexts", "long_contexts", "stop_nats", "kl_weight", "decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"edit.{name} is {getattr(self, name)}; wanted a number >= 0")
        if self.layer is not None and self.layer < 0:
            raise ValueError(f"edit.layer is {self.layer}; wanted a number >= 0, or none")


@settings
class EditBounds:
    """What one edit may do beside what it is for; beyond, it is disabling, reported and not made.

    The bounds lie above what good edits do, and below what disables a model: `bounds_from` of
    `tasks.algorithms.editing.side_effects` sets them from the side effects of a hundred good edits.
    """

    largest_update: float = 1.0
    """|Delta W| over |W| of the edited layer, in Frobenius norm, > 0."""
    largest_perplexity_ratio: float = 1.05
    """Perplexity of ordinary text after the edit over that before, > 0."""
    most_changed: float = 0.2
    """Share of other facts whose first word of an answer changes, 0 to 1."""
    most_nats: float = 0.7
    """Nats a token that the new object may cost after the search, > 0: above it is less likely than not, and the edit
    weak: made, and said to be."""
    tokens: int = 2_000
    """Tokens of ordinary text that perplexity is measured on, >= 1."""
    facts: int = 50
    """Other facts that are asked, at most; >= 0."""

    def __post_init__(self) -> None:
        for name in ("largest_update", "largest_perplexity_ratio", "most_nats"):
            if not getattr(self, name) > 0:
                raise ValueError(f"bounds.{name} is {getattr(self, name)}; wanted a number > 0")
        if not 0 <= self.most_changed <= 1:
            raise ValueError(f"bounds.most_changed is {self.most_changed}; wanted a number from 0 to 1")
        _require_count("bounds.tokens", self.tokens)
        if self.facts < 0:
            raise ValueError(f"bounds.facts is {self.facts}; wanted a whole number >= 0")


@settings
class RankOneEditingConfig:
    """Rank-one editing from facts to report."""

    corpus: CorpusConfig = CorpusConfig()
    """Cleaning and cutting of text."""
    anchors: AnchorConfig = AnchorConfig()
    """Which terms of a text that is to be edited away are names."""
    translation: TranslationConfig = TranslationConfig()
    """Who translates them, and reads facts out of that text."""
    facts: FactConfig = FactConfig()
    """How facts are read out of it."""
    proposals: EditProposalConfig = EditProposalConfig()
    """Which of its facts are rewritten, and to what."""
    tracing: TracingConfig = TracingConfig()
    """Where facts are looked for."""
    neurons: NeuronConfig = NeuronConfig()
    """Which neurons carry them."""
    second_moments: SecondMomentConfig = SecondMomentConfig()
    """What is known of the layers' keys."""
    edit: EditConfig = EditConfig()
    """How facts are rewritten."""
    baselines: EditBaselinesConfig = EditBaselinesConfig()
    """The same for the editors that it is measured against."""
    bounds: EditBounds = EditBounds()
    """What an edit may do beside."""
    evaluation: EditEvaluationConfig = EditEvaluationConfig()
    """How much is asked of the edited model."""
    benchmarking: BenchmarkingConfig = BenchmarkingConfig()
    """Which benchmarks are run, before and after; without any but the world's own, none."""
    verdict: EditVerdictConfig = EditVerdictConfig()
    """What counts as a good set of edits."""


def rank_one_preset(name: str, seed: int = 0) -> RankOneEditingConfig:
    """Return a preset: `default`, or `paper`, the constants of the paper's code, which change nothing here but the
    key.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in ("default", "paper"):
        raise ValueError(f"preset is {name!r}; wanted one of default, paper")
    keys: Keys = "original" if name == "paper" else "averaged"
    return RankOneEditingConfig(
        tracing=TracingConfig(seed=seed),
        second_moments=SecondMomentConfig(seed=seed),
        edit=EditConfig(seed=seed, keys=keys),
    )
