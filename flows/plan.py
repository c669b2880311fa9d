"""`--dry-run`: find the anchors, then say which stages would run, what they need, and what is there."""

from dataclasses import dataclass, field

from flows.methods import Method
from flows.steps.dictionary import translation
from flows.steps.distilling import require_distillable
from flows.steps.facts import state_facts
from flows.steps.flow_runs import flow
from flows.steps.needs import beside_what_is_there, shape_of, unlearning_needs
from flows.steps.outcome import StageOf, Stages
from flows.steps.providers import Expected, settle_providers
from flows.steps.reading import read_text
from flows.steps.request import user_file
from flows.steps.wiring import DICTIONARY, FACTS, Wiring, look_up
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, FactTable, InputFile
from tasks.corpus import CorpusInputs, cleaning_sample, gather_inputs
from tasks.execution import isolation
from tasks.halves import take_half
from tasks.models.gathering import gather_models
from tasks.models.loading import load_tokenizer
from tasks.models.vocabularies import question_form, question_template
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest

RECOMMENDED = {"editing": "rome", "whp": "whp"}
"""Family of methods -> its method of this name."""
CHARACTERS_PER_TOKEN = 4.0
"""For the estimate only; the corpus stage counts characters."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do."""

    anchors: AnchorTable
    stages: dict[StageOf, str]
    """`cached`, `done now` or `to run`."""
    tokens: dict[str, int]
    """Split -> estimated tokens."""
    needs: dict[str, tuple[float, float]]
    """`memory` and `disk` -> gigabytes needed and there."""
    sample: tuple[str, str]
    """The forget text's beginning before and after cleaning."""
    facts: FactTable
    """What the text states."""
    questions: str
    """`chat template` or `qa_template`: how questions are asked."""
    shape: str
    """The text of a question, {question} and {answer} in their places."""
    corpus: CorpusRef
    """What is looked at."""
    target: CheckpointRef
    """The model that is to forget."""
    candidates: dict[str, str] = field(default_factory=dict)
    """Where a method is chosen: what may be tried, in order -> what would become of it."""

    @property
    def recommended(self) -> str:
        """Name in `METHODS` of what fits the text."""
        return RECOMMENDED[self.facts.recommended]


def plan(request: UnlearningRequest, config: MethodConfig, method: Method | None, halved_by: int | None = None) -> Plan:
    """Run corpus, anchors, translation and facts, and look the method's stages up in the cache; given what its flow
    would be given.

    Args:
        request: What is to be forgotten.
        config: All settings.
        method: Whose stages; None: a method is yet to be chosen.
        halved_by: Seed of the halves, where one of them is chosen by.

    Raises:
        BadInputError: As its flow does, of what can be told beforehand.
    """
    require_distillable(request, config)
    inputs, target = gather_inputs(**request.files()), gather_models({"target": request.model})["target"]
    corpus, dictionary, facts, stages = _look(inputs, user_file(request.anchors), config, halved_by)
    values = {DICTIONARY: dictionary, FACTS: facts}
    cached = look_up(method.declare()(corpus, target, config), values) if method else {}
    stages |= {key: "cached" if record else "to run" for key, record in cached.items()}
    tokens = {split: int(count / CHARACTERS_PER_TOKEN) for split, count in corpus.characters.items()}
    questions = question_form(target, config.corpus)
    chat = questions == "chat template"
    return Plan(
        anchors=dictionary,
        stages=stages,
        tokens=tokens,
        needs=beside_what_is_there(unlearning_needs(shape_of(target), tokens, config)),
        sample=cleaning_sample(inputs, config.corpus),
        facts=facts,
        questions=questions,
        shape=question_template(load_tokenizer(target), config.corpus).shape if chat else config.corpus.qa_template,
        corpus=corpus,
        target=target,
    )


@flow(name="plan")
def _look(
    inputs: CorpusInputs, user: InputFile | None, config: MethodConfig, halved_by: int | None
) -> tuple[CorpusRef, AnchorTable, FactTable, dict[StageOf, str]]:
    isolation.begin()
    config = settle_providers(config, Expected(inputs=inputs, user_anchors=user, needs_anchors=config.needs_anchors))
    stages, wiring = Stages(run=""), Wiring(run=None)
    corpus = read_text(stages, inputs, config.corpus)
    if halved_by is not None:
        halved = take_half.submit(corpus, "choosing", halved_by, config.corpus, None)
        corpus = stages.result("halves", halved, "choosing")
    translated = translation(corpus, config, user, needs_anchors=config.needs_anchors)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    facts = stages.result("facts", state_facts(stages, corpus, dictionary, config))
    return (
        corpus,
        dictionary,
        facts,
        {key: "cached" if state == "Cached" else "done now" for key, state in stages.states.items()},
    )
