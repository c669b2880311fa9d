"""Objectives restated in float64: one row, one position, one vocabulary entry at a time, sums written out.

A row is (logits, ids, supervised): lists, of which position p, where it counts, predicts token p + 1.
"""

import math
from typing import NamedTuple


class Row(NamedTuple):
    logits: list
    ids: tuple
    supervised: tuple


def log_p(logits, token) -> float:
    """log softmax(logits)[token]."""
    most = max(logits)
    return float(logits[token]) - most - math.log(math.fsum(math.exp(value - most) for value in logits))


def softmax(logits) -> list:
    return [math.exp(log_p(logits, token)) for token in range(len(logits))]


def counted(row) -> list:
    """Positions that count: the last one predicts nothing."""
    return [position for position in range(len(row.ids) - 1) if row.supervised[position]]


def sequence_log_p(row) -> float:
    return math.fsum(log_p(row.logits[position], row.ids[position + 1]) for position in counted(row))


def cross_entropy(rows) -> float:
    """The mean over all counted tokens of all rows, not of the rows' means."""
    return -math.fsum(sequence_log_p(row) for row in rows) / sum(len(counted(row)) for row in rows)


def kl(reference_rows, rows) -> float:
    """The mean over all counted tokens of KL(reference || model)."""
    found = []
    for reference, row in zip(reference_rows, rows, strict=True):
        for position in counted(row):
            p, q = reference.logits[position], row.logits[position]
            found.append(
                math.fsum(math.exp(log_p(p, token)) * (log_p(p, token) - log_p(q, token)) for token in range(len(p)))
            )
    return math.fsum(found) / len(found)


def retain(kind, frozen, student) -> float:
    return cross_entropy(student) if kind == "ce" else kl(frozen, student)


def minus_log_sigmoid(value) -> float:
    """log(1 + e^-x), without overflow."""
    return math.log1p(math.exp(-value)) if value > 0 else -value + math.log1p(math.exp(value))


def npo(student, frozen, b, until=None) -> float:
    if until is not None:
        return math.fsum(npo_until(s, f, until) for s, f in zip(student, frozen, strict=True)) / len(student)
    ratios = [sequence_log_p(s) - sequence_log_p(f) for s, f in zip(student, frozen, strict=True)]
    return math.fsum(2 / b * minus_log_sigmoid(-b * ratio) for ratio in ratios) / len(ratios)


def npo_until(student, frozen, until) -> float:
    """One row: the push on a token is 1 at the target, and 0.1 where it is as probable as `until`."""
    total = 0.0
    for position in counted(student):
        now, before = (log_p(row.logits[position], row.ids[position + 1]) for row in (student, frozen))
        if before > math.log(until):
            b = math.log(19) / (before - math.log(until))
            total += 2 / b * minus_log_sigmoid(-b * (now - before))
    return total / len(counted(student))


def simnpo(student, b, delta) -> float:
    losses = [-sequence_log_p(row) / len(counted(row)) for row in student]
    return math.fsum(2 / b * minus_log_sigmoid(b * (loss - delta)) for loss in losses) / len(losses)


def dpo(student, frozen, preferred_student, preferred_frozen, b) -> float:
    total = 0.0
    for s, f, ps, pf in zip(student, frozen, preferred_student, preferred_frozen, strict=True):
        total += minus_log_sigmoid(
            b * ((sequence_log_p(ps) - sequence_log_p(pf)) - (sequence_log_p(s) - sequence_log_p(f)))
        )
    return total / len(student)


def undial(student, frozen, b) -> float:
    found = []
    for s, f in zip(student, frozen, strict=True):
        for position in counted(s):
            adjusted = list(f.logits[position])
            adjusted[s.ids[position + 1]] -= b
            found.append(-math.fsum(p * log_p(s.logits[position], token) for token, p in enumerate(softmax(adjusted))))
    return math.fsum(found) / len(found)


def mean_square(states, others, texts) -> float:
    """`states` and `others` hold a list of hidden vectors for each text; the mean over dimensions, then over counted
    tokens.
    """
    found = []
    for state, other, (ids, supervised) in zip(states, others, texts, strict=True):
        for position in counted(Row([], ids, supervised)):
            pairs = list(zip(state[position], other[position], strict=True))
            found.append(math.fsum((x - y) ** 2 for x, y in pairs) / len(pairs))
    return math.fsum(found) / len(found)


def rmu(forget, retain, retain_frozen, direction, c, alpha, forget_texts, retain_texts) -> float:
    """`direction` need not have length 1."""
    length = math.sqrt(math.fsum(x * x for x in direction))
    aims = [[[c * x / length for x in direction]] * len(ids) for ids, _ in forget_texts]
    return mean_square(forget, aims, forget_texts) + alpha * mean_square(retain, retain_frozen, retain_texts)
