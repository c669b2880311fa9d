"""Looking for conflicts between removal requests on one model, with the stages that their runs begin with anyway."""

from collections.abc import Mapping
from typing import Any

from flows.steps.bases import Base
from flows.steps.request import user_file
from tasks.anchors import extract_anchors
from tasks.artifacts import AnchorTable, BadInputError
from tasks.corpus import gather_inputs, read_corpus
from tasks.removals.conflicts import AskedText, Conflict, find_conflicts, read_text
from tasks.settings.evaluation import MethodConfig
from tasks.settings.removal_requests import RemovalRequest


def conflicts_on(base: Base, configs: Mapping[str, MethodConfig]) -> list[Conflict]:
    """Return the conflicts between the requests on a model; one whose text cannot be read has none.

    Args:
        base: The model with its requests.
        configs: Id -> settings of the request's method.
    """
    texts = [_read(one.id, base.asked[one.id], configs[one.id]) for one in base.requests]
    return find_conflicts([text for text in texts if text])


def _read(name: str, asked: RemovalRequest, config: MethodConfig) -> AskedText | None:
    try:
        corpus = read_corpus.submit(gather_inputs(**asked.text.files()), config.corpus, None).result()
    except BadInputError:
        return None  # its run says so
    return read_text(name, corpus, _anchors(corpus, asked, config))


def _anchors(corpus: Any, asked: RemovalRequest, config: MethodConfig) -> AnchorTable | None:
    try:
        user = user_file(asked.text.anchors)
        needed = config.needs_anchors
        return extract_anchors.submit(corpus, config.anchors, config.corpus, user, needed, None).result()
    except BadInputError:
        return None
