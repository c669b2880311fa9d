"""All settings of an evaluation, which every method shares."""

from tasks.settings.assistants import JudgingConfig, PromptingConfig, TranslationConfig
from tasks.settings.distillation import DistillationConfig
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.measuring import (
    BenchmarkingConfig,
    CoverageConfig,
    ProbingConfig,
    RelearningConfig,
    RoundingConfig,
    ToxicityConfig,
)
from tasks.settings.schema import settings
from tasks.settings.text import AnchorConfig, CorpusConfig, FactConfig
from tasks.settings.training import LoraConfig, TrainingConfig
from tasks.settings.verdict import VerdictConfig


@settings
class EvaluationConfig:
    """What is asked of models, and how the answers are judged: the same for every method and for other people's
    checkpoints.
    """

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
    rounding: RoundingConfig = RoundingConfig()
    """The same by rounding the weights."""
    toxicity: ToxicityConfig = ToxicityConfig()
    """Who rates the toxicity of completions, if anyone."""
    stereotypes: bool = False
    """Ask of the aligned pairs of forget_test and retain_test, such as WinoBias' sentences, which side each model
    prefers."""
    verdict: VerdictConfig = VerdictConfig()
    """What counts as forgotten, kept and healthy."""


class MethodFacts:
    """What is asked of every method's settings, whichever fields they have: of what a method does not say, the value
    given here holds.
    """

    lora: LoraConfig | None = None
    """Adapters in place of whole weights; a field where the method can train them."""
    training: TrainingConfig | None = None
    """How a student is trained beside a frozen model, with the `teacher` that says where that speaks from; a field
    where the method does so."""
    localisation: LocalisationConfig | None = None
    """Which weights are trained; a field where training can be restricted to some."""
    chooses_weights: bool = False
    """Whether some matrices of the method's own choice are trained."""
    rewinds: bool = False
    """Whether the method goes back to an earlier checkpoint, which it finds by text that the model never saw."""


@settings
class MethodConfig(MethodFacts, EvaluationConfig):
    """What every method asks beside what it does."""

    coverage: CoverageConfig = CoverageConfig()
    """What the target model is asked beside the given text."""
    distillation: DistillationConfig = DistillationConfig()
    """Noise and distillation after the method, so that less comes back by relearning; off unless noise_alpha is above
    0."""

    def __post_init__(self) -> None:
        if self.distillation.noise_alpha and self.lora is not None and self.lora.rank and self.lora.output == "adapter":
            raise ValueError(
                "lora.output is 'adapter'; wanted merged where distillation.noise_alpha is above 0: noise is for all"
                " weights, and what comes of it is no adapter"
            )

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused: only methods that work on them ask for them. Without any the others are
        judged by what there is.
        """
        return False


@settings
class LocalisableConfig(MethodConfig):
    """The same for a method whose training can be restricted to some MLPs."""

    lora: LoraConfig = LoraConfig()
    """Whole weights, or an adapter."""
    localisation: LocalisationConfig = LocalisationConfig()
    """Which weights are trained: all, or the MLPs of a few layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.localisation.by != "all" and self.lora.rank and self.lora.targets:
            raise ValueError(
                f"lora.targets is {', '.join(self.lora.targets)}, but localisation.by {self.localisation.by!r} chooses"
                " the matrices; wanted no lora.targets, or all"
            )

    @property
    def needs_anchors(self) -> bool:
        """Whether text without any is refused: a trace looks for facts by them."""
        return self.localisation.by != "all"
