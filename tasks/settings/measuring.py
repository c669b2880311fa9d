"""Settings of what is asked of every model: probes, coverage, benchmarks, relearning, toxicity."""

from typing import Literal, get_args

from tasks.settings.schema import check_choices, settings
from tasks.settings.training import Schedule, TrainingConfig

Benchmark = Literal["world", "arc_easy", "arc_challenge", "boolq", "hellaswag", "piqa", "winogrande", "sst2"]
BENCHMARK_NAMES: tuple[Benchmark, ...] = get_args(Benchmark)
"""Benchmarks: the embedded world's, and tasks of lm-eval."""
RelearnedText = Literal["forget", "retain"]
RELEARNED_TEXTS: tuple[RelearnedText, ...] = get_args(RelearnedText)
"""What an unlearned model may be trained on to see what comes back."""
ROUNDED_BITS = (4, 8)
"""What models are commonly quantised to."""


@settings
class RelearningConfig(TrainingConfig):
    """How a model is taught half of the forget text again, to see whether the other half comes back."""

    rate_at_7b: float = 1e-5
    """The rule's learning rate for seven billion parameters: what a short full fine-tune of such a model takes."""
    rate_exponent: float = 0.4
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent; 6e-4 at 0.3M parameters. Higher rates drive out the unshown
    half as well."""
    steps: tuple[int, ...] = (1, 3, 10, 30)
    """Optimiser steps, rising, after which the model is asked, whatever `epochs` and `least_steps` say; empty leaves
    relearning out. Many of them drive out the unshown half as well."""
    texts: tuple[RelearnedText, ...] = RELEARNED_TEXTS
    """What it is trained on, each by itself: one half of the forget text, the retain text."""
    share: float = 0.5
    """Share of the facts, and of the paragraphs at most, that are shown, above 0 and below 1."""
    block_size: int = 256
    """Tokens of a block, >= 16."""
    schedule: Schedule = "constant"
    """Course of the learning rate after warm-up."""
    warmup_share: float = 0.0
    """Share of the steps in which the learning rate rises, 0 to 1; none, so that the first steps are the same however
    many there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.steps) != sorted({step for step in self.steps if step >= 1}):
            raise ValueError(f"relearning.steps is {list(self.steps)}; wanted whole numbers >= 1, rising")
        if set(self.texts) - set(RELEARNED_TEXTS) or len(set(self.texts)) < len(self.texts):
            raise ValueError(f"relearning.texts is {list(self.texts)}; wanted some of {', '.join(RELEARNED_TEXTS)}")
        if not 0 < self.share < 1:
            raise ValueError(f"relearning.share is {self.share}; wanted a number between 0 and 1")
        if self.block_size < 16:
            raise ValueError(f"relearning.block_size is {self.block_size}; wanted a whole number >= 16")


@settings
class RoundingConfig:
    """How weights are rounded, as for serving, to see whether what was forgotten comes back."""

    bits: tuple[int, ...] = (8, 4)
    """Bits a weight, 4 or 8, each once; empty leaves rounding out."""
    group: int = 128
    """Inputs of a matrix that share a scale, >= 1."""
    least_parameters: int = 100_000_000
    """Models with fewer parameters are not rounded, >= 0: a small model that was unlearned moved further than a step of
    the rounding, and loses to it what it knows."""

    def __post_init__(self) -> None:
        if len(set(self.bits)) < len(self.bits) or set(self.bits) - set(ROUNDED_BITS):
            raise ValueError(f"rounding.bits is {list(self.bits)}; wanted some of {list(ROUNDED_BITS)}, each once")
        for name, least in {"group": 1, "least_parameters": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"rounding.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@settings
class ProbingConfig:
    """How much is scored and completed."""

    window: int = 256
    """Tokens of a window of prose, >= 16."""
    max_tokens: int = 50_000
    """Tokens scored in a split at most; where there are more, evenly spaced windows are taken; >= 1."""
    prompts: int = 40
    """Completions a split, >= 1. The paper uses 300."""
    draw: int = 0
    """Which prompts are taken where there are more, >= 0: 0 those that are evenly spaced, else the seed of a draw."""
    prompt_words: int = 32
    """Words of a cloze prompt, >= 1."""
    invitations: int = 12
    """Questions and openings about the most frequent anchors that are put to each model, >= 0."""
    new_tokens: int = 24
    """Tokens of a completion, >= 1; at least as many as the answers have, else ROUGE-L recall cannot reach 1."""

    def __post_init__(self) -> None:
        for name, least in {
            "window": 16,
            "max_tokens": 1,
            "prompts": 1,
            "draw": 0,
            "prompt_words": 1,
            "invitations": 0,
            "new_tokens": 1,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"probing.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@settings
class CoverageConfig:
    """How the target model is asked what it knows of the topic beside the given text."""

    anchors: int = 20
    """Anchors that it is asked about, the most frequent ones, >= 1; each takes six completions."""
    facts: int = 60
    """Facts of the text that it is to complete, evenly spaced over all of them, >= 0."""
    new_tokens: int = 48
    """Tokens of a completion, >= 1."""
    least_times: int = 2
    """Completions that have to bring up a name for it to count, >= 1."""

    def __post_init__(self) -> None:
        for name, least in {"anchors": 1, "facts": 0, "new_tokens": 1, "least_times": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"coverage.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@settings
class BenchmarkingConfig:
    """Which multiple-choice benchmarks are run, and on how much of them."""

    tasks: tuple[Benchmark, ...] = ("world",)
    """Benchmarks: `world` needs no data; the others are read from local files, else from the hub."""
    limit: int = 0
    """Examples of a benchmark, its first ones, as lm-eval counts them, >= 0; 0 takes all."""
    num_fewshot: int = 0
    """Solved examples before each question, >= 0; local files hold one split, so they are drawn from the other
    examples."""
    batch_size: int = 16
    """Questions with one answer each in a forward pass, >= 1."""

    def __post_init__(self) -> None:
        for name in self.tasks:
            if name not in BENCHMARK_NAMES:
                raise ValueError(f"benchmarking.tasks holds {name!r}; wanted names from {', '.join(BENCHMARK_NAMES)}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(
                f"benchmarking.tasks is {list(self.tasks)}; wanted one or more of {', '.join(BENCHMARK_NAMES)}, each"
                " once"
            )
        for name, least in {"limit": 0, "num_fewshot": 0, "batch_size": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"benchmarking.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@settings
class ToxicityConfig:
    """Who rates the toxicity of completions."""

    scorer: Literal["off", "auto", "lexicon", "classifier"] = "off"
    """`off`; `auto`: the classifier where its folder is there, the hub's local cache holds it or the hub answers at
    once, else the lexicon, and the run says which; `lexicon`: the share of words on a list, which is no classifier;
    `classifier`: that or an error."""
    classifier: str = "facebook/roberta-hate-speech-dynabench-r4-target"
    """Folder or hub name of a text-classification checkpoint with safetensors weights."""
    toxic_label: str = ""
    """The classifier's label that means toxic; empty: the one whose name says so (toxic, hate, offensive), else LABEL_1
    of two."""
    batch_size: int = 32
    """Completions in a forward pass, >= 1."""
    max_tokens: int = 512
    """Tokens of a completion that are read, at most as many as the classifier has positions, >= 8."""

    def __post_init__(self) -> None:
        check_choices(self, "toxicity")
        if not self.classifier.strip():
            raise ValueError("toxicity.classifier is empty; wanted a folder or a hub name")
        for name, least in {"batch_size": 1, "max_tokens": 8}.items():
            if getattr(self, name) < least:
                raise ValueError(f"toxicity.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
