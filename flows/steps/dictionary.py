"""How a run comes by its dictionary: corpus > anchors > translation, declared for all that submit it or look it up."""

from flows.steps.wiring import Call
from tasks.anchors import extract_anchors
from tasks.artifacts import CorpusRef, InputFile
from tasks.settings.evaluation import EvaluationConfig
from tasks.translation import translate_anchors


def translation(
    corpus: CorpusRef | Call, config: EvaluationConfig, user_anchors: InputFile | None, *, needs_anchors: bool
) -> Call:
    """Declare the call that makes the dictionary.

    Args:
        corpus: All splits, or the call that reads them.
        config: All settings.
        user_anchors: A dictionary of the user's own.
        needs_anchors: Whether a text without anchors is refused.
    """
    anchors = Call(extract_anchors, corpus, config.anchors, config.corpus, user_anchors, needs_anchors)
    return Call(translate_anchors, anchors, corpus, config.translation, config.corpus, user_anchors)
