"""Requests to edit, as token rows: random texts around a subject, for our code and for the restatement."""

import random

from tasks.algorithms.editing.contexts import Rewrite, Row
from tests.reference.rome import Request

VOCABULARY = 60


def tokens(drawn: random.Random, count: int) -> tuple[int, ...]:
    """Random tokens but for 0 to 2, which some models keep for beginnings, ends and padding."""
    return tuple(drawn.randrange(3, VOCABULARY) for _ in range(count))


def random_request(seed: int, contexts: int = 4, *, target: int = 2) -> Request:
    """A subject of one to three tokens, something after it, and beginnings of different lengths."""
    drawn = random.Random(seed)
    subject, rest = tokens(drawn, 1 + seed % 3), tokens(drawn, drawn.randrange(1, 4))
    wanted = tokens(drawn, target)
    beginnings = [(), *(tokens(drawn, drawn.randrange(1, 7)) for _ in range(contexts - 1))]
    rows = [((*before, *subject, *rest, *wanted), len(before) + len(subject) - 1) for before in beginnings]
    return Request(contexts=rows, target=wanted, subject=((*subject, 5, 6), len(subject) - 1))


def rewrite_of(request: Request) -> Rewrite:
    """The same request as ours takes it: without the target's last token, the subject without what follows it."""
    ids, at = request.subject
    rows = [*((row[:-1], place) for row, place in request.contexts), (ids[: at + 1], at)]
    return Rewrite(rows=tuple(Row(ids=tuple(row), at=place) for row, place in rows), target=tuple(request.target))


def request_of(rewrite: Rewrite) -> Request:
    """A request of ours as the restatement takes it."""
    *contexts, bare = rewrite.rows
    return Request(
        contexts=[((*row.ids, rewrite.target[-1]), row.at) for row in contexts],
        target=rewrite.target,
        subject=(bare.ids, bare.at),
    )
