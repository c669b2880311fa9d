"""Settings of selective unlearning, one frozen dataclass a stage; torch is not imported here.

The command line checks every setting before anything heavy is loaded, so those of torch modules stand here; these import them by the same names.
"""

import math
from dataclasses import dataclass, replace

from tasks.algorithms.anchors import AnchorConfig
from tasks.algorithms.asking import JudgingConfig, PromptingConfig, TranslationConfig
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.facts import FactConfig
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.toxicity_config import ToxicityConfig
from tasks.algorithms.training_config import TrainingConfig
from tasks.algorithms.verdict import VerdictConfig

BENCHMARK_NAMES = ("world", "arc_easy", "arc_challenge", "boolq", "hellaswag", "piqa", "winogrande")
"""Benchmarks: the embedded world's, and tasks of lm-eval."""


@dataclass(frozen=True, kw_only=True)
class ReinforcementConfig(TrainingConfig):
    """How the reinforced model is trained. Paper: context 512, learning rate 3e-6, batch 8 x 16, 3 epochs [recalled]."""

    block_size: int = 256
    """Tokens of a block, >= 16."""


@dataclass(frozen=True, kw_only=True)
class RelearningConfig(TrainingConfig):
    """How a model is taught half of the forget text again, to see whether the other half comes back."""

    rate_at_7b: float = 1e-5
    """The rule's learning rate for seven billion parameters: what a short full fine-tune of such a model takes."""
    rate_exponent: float = 0.4
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent; 6e-4 at 0.3M parameters. Higher rates drive out the unshown half as well."""
    steps: int = 10
    """Optimiser steps, exactly, whatever `epochs` and `least_steps` say, >= 0; 0 leaves relearning out. More of them drive out the unshown
    half as well."""
    share: float = 0.5
    """Share of the facts, and of the paragraphs at most, that are shown, above 0 and below 1."""
    block_size: int = 256
    """Tokens of a block, >= 16."""
    schedule: str = "constant"
    """Course of the learning rate after warm-up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 0:
            raise ValueError(f"relearning.steps is {self.steps}; wanted a whole number >= 0")
        if not 0 < self.share < 1:
            raise ValueError(f"relearning.share is {self.share}; wanted a number between 0 and 1")
        if self.block_size < 16:
            raise ValueError(f"relearning.block_size is {self.block_size}; wanted a whole number >= 16")


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """How generic labels are made."""

    alpha: float = 5.0
    """Strength of the correction, dimensionless, >= 0; the paper's 5."""
    kind: str = "soft"
    """`soft`: the whole generic distribution; `hard`: its argmax, as in the paper."""
    relu_on: str = "logits"
    """What is compared: `logits`, as in the paper, or `log_probabilities`, which know no additive offset between the models."""
    drop_repeats: bool = True
    """Give no label where a block repeats an anchor, lest the model learn to contradict itself."""
    suppress_translations: bool = True
    """Once an anchor has appeared in a block, its translation is no label there any more."""
    interior: str = "suppress"
    """Tokens of an anchor: `suppress` never labels a position with the true one and unteaches the inner ones on the source;
    `drop` trusts the translation for the first and gives the inner ones no label, as in the paper."""
    block_size: int = 256
    """Tokens a block may have on either side; >= 16. The paper's context is 512."""
    batch_tokens: int = 8192
    """Tokens in one forward pass, padding included; >= 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"labels.alpha is {self.alpha}; wanted a number >= 0")
        for name, known in {"kind": ("soft", "hard"), "relu_on": ("logits", "log_probabilities"), "interior": ("suppress", "drop")}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"labels.{name} is {getattr(self, name)!r}; wanted one of {', '.join(known)}")
        for name, least in {"block_size": 16, "batch_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"labels.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@dataclass(frozen=True, kw_only=True)
class GenericLabelLossConfig:
    """Weights of the two terms."""

    kind: str = "soft"
    """`soft` or `hard` labels."""
    alpha: float = 5.0
    """Strength of the correction, as in the labels, >= 0."""
    relu_on: str = "logits"
    """As in the labels."""
    retain_weight: float = 1.0
    """lambda, dimensionless, >= 0; without retain text it has no effect."""

    def __post_init__(self) -> None:
        if not 0 <= self.retain_weight < math.inf:
            raise ValueError(f"finetune.retain_weight is {self.retain_weight}; wanted a number >= 0")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """How the unlearned model is trained. Paper: learning rate 1e-6, 2 epochs, hard labels, no retain term [recalled]."""

    rate_at_7b: float = 1e-6
    """The rule's learning rate for seven billion parameters: the paper's value."""
    rate_exponent: float = 0.75
    """The rule is rate_at_7b * (7e9 / N) ** rate_exponent; it meets 3e-4 at 3.4M parameters."""
    least_steps: int = 160
    """Optimiser steps that are taken at least; the paper reports 120 for seven novels, but does not hold on to retain text."""
    validate_every: int = 20
    """Optimiser steps between validations."""
    # lethe sweep --topic second-series --floor 0.95 --method whp --grid finetune.retain_weight=1,2,4; alpha is the paper's: 3 or 8 move what is
    # left by 0.006. With the floor of the other methods, 0.92, it is 1: 0.059 are left of 0.878, not 0.073, and 0.923x is kept, not 0.954x
    retain_weight: float = 4.0
    """Weight of KL(target || student) on the retain text, dimensionless, >= 0."""
    validation_share: float = 0.05
    """Share of the blocks that are scored during training, 256 a side at most, 0 to 0.5: both spaced evenly, the retain blocks not trained on.
    0 trains to the end without a look."""
    utility_floor: float = 0.15
    """KL(target || student) on the retain slice, in nats a token, above which a checkpoint is not acceptable."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.validation_share <= 0.5:
            raise ValueError(f"finetune.validation_share is {self.validation_share}; wanted a number from 0 to 0.5")
        if not self.utility_floor > 0:
            raise ValueError(f"finetune.utility_floor is {self.utility_floor}; wanted a number > 0")
        GenericLabelLossConfig(retain_weight=self.retain_weight)


@dataclass(frozen=True, kw_only=True)
class ProbingConfig:
    """How much is scored and completed."""

    window: int = 256
    """Tokens of a window of prose, >= 16."""
    max_tokens: int = 50_000
    """Tokens scored in a split at most; where there are more, evenly spaced windows are taken; >= 1."""
    prompts: int = 40
    """Completions a split, >= 1. The paper uses 300."""
    prompt_words: int = 32
    """Words of a cloze prompt, >= 1."""
    invitations: int = 12
    """Questions and openings about the most frequent anchors that are put to each model, >= 0."""
    new_tokens: int = 24
    """Tokens of a completion, >= 1; at least as many as the answers have, else ROUGE-L recall cannot reach 1."""

    def __post_init__(self) -> None:
        for name, least in {"window": 16, "max_tokens": 1, "prompts": 1, "prompt_words": 1, "invitations": 0, "new_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"probing.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class BenchmarkingConfig:
    """Which multiple-choice benchmarks are run, and on how much of them."""

    tasks: tuple[str, ...] = ("world",)
    """Benchmarks: `world` needs no data; the others are read from local files, else from the hub."""
    limit: int = 0
    """Examples of a benchmark, its first ones, as lm-eval counts them, >= 0; 0 takes all."""
    num_fewshot: int = 0
    """Solved examples before each question, >= 0; local files hold one split, so they are drawn from the other examples."""
    batch_size: int = 16
    """Questions with one answer each in a forward pass, >= 1."""

    def __post_init__(self) -> None:
        for name in self.tasks:
            if name not in BENCHMARK_NAMES:
                raise ValueError(f"benchmarking.tasks holds {name!r}; wanted names from {', '.join(BENCHMARK_NAMES)}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"benchmarking.tasks is {list(self.tasks)}; wanted one or more of {', '.join(BENCHMARK_NAMES)}, each once")
        for name, least in {"limit": 0, "num_fewshot": 0, "batch_size": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"benchmarking.{name} is {getattr(self, name)}; wanted a whole number >= {least}")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is asked of models, and how the answers are judged: the same for every method and for other people's checkpoints."""

    corpus: CorpusConfig = CorpusConfig()
    """Cleaning and cutting of the input."""
    anchors: AnchorConfig = AnchorConfig()
    """Which terms are anchors: their probability is the topic's familiarity."""
    translation: TranslationConfig = TranslationConfig()
    """Who translates them."""
    facts: FactConfig = FactConfig()
    """How a language model that translates reads facts out of the text."""
    probing: ProbingConfig = ProbingConfig()
    """What is scored and completed."""
    prompting: PromptingConfig = PromptingConfig()
    """Who writes the prompts that invite models to speak."""
    judging: JudgingConfig = JudgingConfig()
    """Who rates what they say."""
    benchmarking: BenchmarkingConfig = BenchmarkingConfig()
    """Which benchmarks are run."""
    relearning: RelearningConfig = RelearningConfig()
    """The attempt to bring back what was forgotten."""
    toxicity: ToxicityConfig = ToxicityConfig()
    """Who rates the toxicity of completions, if anyone."""
    stereotypes: bool = False
    """Ask of the aligned pairs of forget_test and retain_test, such as WinoBias' sentences, which side each model prefers."""
    verdict: VerdictConfig = VerdictConfig()
    """What counts as forgotten, kept and healthy."""


@dataclass(frozen=True, kw_only=True)
class MethodConfig(EvaluationConfig):
    """What every method asks beside what it does."""

    coverage: CoverageConfig = CoverageConfig()
    """What the target model is asked beside the given text."""

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused; pairs of sentences have no names of their own."""
        return not self.stereotypes


@dataclass(frozen=True, kw_only=True)
class SelectiveUnlearningConfig(MethodConfig):
    """Selective unlearning ("Who's Harry Potter?", arXiv:2310.02238) from text to report."""

    reinforcement: ReinforcementConfig = ReinforcementConfig()
    """Training on the forget text."""
    labels: LabelConfig = LabelConfig()
    """Generic labels."""
    finetune: FinetuneConfig = FinetuneConfig()
    """Training on the labels."""
    lora: LoraConfig = LoraConfig()
    """Adapters in place of whole weights, in both trainings."""

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused: labels are made of them."""
        return True


def preset(name: str, seed: int = 0) -> SelectiveUnlearningConfig:
    """Return a preset with the given seed.

    `default` uses soft labels, interior suppression and a retain term, measured better on the embedded world and on books than
    `paper`, which is the paper's recipe with its constants and nothing added.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; wanted one of {', '.join(PRESETS)}")
    chosen = PRESETS[name]
    return replace(
        chosen,
        translation=replace(chosen.translation, seed=seed),
        reinforcement=replace(chosen.reinforcement, seed=seed),
        finetune=replace(chosen.finetune, seed=seed),
    )


PRESETS = {
    "default": SelectiveUnlearningConfig(),
    "paper": SelectiveUnlearningConfig(
        reinforcement=ReinforcementConfig(block_size=512, accumulation=16, learning_rate=3e-6, schedule="constant", warmup_share=0.0),
        labels=LabelConfig(kind="hard", interior="drop", block_size=512),
        finetune=FinetuneConfig(
            learning_rate=1e-6, least_steps=0, epochs=2, accumulation=16, retain_weight=0.0, validation_share=0.0, schedule="constant", warmup_share=0.0
        ),
    ),
}
"""Name -> settings."""
