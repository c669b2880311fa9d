"""Losses restated in float64: one row at a time, sums written out."""

import math

import numpy as np

from tests.reference.labels import generic_row, log_softmax


def kl(reference_log_p, model_log_p) -> float:
    """KL(reference || model) of one row, in nats; 0 log 0 = 0."""
    return math.fsum(math.exp(p) * (p - q) for p, q in zip(reference_log_p, model_log_p, strict=True) if p > -math.inf)


def mean_kl(reference_logits, model_logits) -> float:
    """The mean over rows of KL(softmax(reference) || softmax(model))."""
    rows = [kl(log_softmax(r), log_softmax(m)) for r, m in zip(reference_logits, model_logits, strict=True)]
    return math.fsum(rows) / len(rows)


def mean_kl_with_text(teacher_logits, student_logits, following, shares) -> float:
    """The mean over rows of KL((1 - share) softmax(teacher) + share [following token] || softmax(student)), each row
    with its share; the teacher alone where no token follows.
    """
    rows = []
    for teacher, student, token, share in zip(teacher_logits, student_logits, following, shares, strict=True):
        wanted = np.exp(log_softmax(teacher))
        if token is not None:
            wanted *= 1 - share
            wanted[token] += share
        with np.errstate(divide="ignore"):
            rows.append(kl(np.log(wanted), log_softmax(student)))
    return math.fsum(rows) / len(rows)


def mean_cross_entropy(logits, targets) -> float:
    """The mean over rows of -log p(target)."""
    return math.fsum(-log_softmax(row)[target] for row, target in zip(logits, targets, strict=True)) / len(targets)


def next_token_loss(logits_of_sequences, sequences) -> float:
    """The token mean over all sequences of -log p(token t + 1 | tokens to t)."""
    losses = [
        -log_softmax(logits[t])[ids[t + 1]]
        for logits, ids in zip(logits_of_sequences, sequences, strict=True)
        for t in range(len(ids) - 1)
    ]
    return math.fsum(losses) / len(losses)


def generic_label_loss(
    student,
    baseline,
    reinforced,
    hard,
    banned,
    *,
    kind,
    alpha,
    relu_on="logits",
    topic=(),
    retain=None,
    retain_weight=0.0,
) -> float:
    """Soft or hard label term, plus `retain_weight` times mean KL(target || student) on `retain` = (target, student)
    logits.

    `student`, `baseline`, `reinforced` are logits, (rows, vocab); `banned` holds (row, token) pairs,
    `topic` tokens that are banned in all rows.
    """
    if kind == "hard":
        forget = mean_cross_entropy(student, hard)
    else:
        generic = np.array([generic_row(b, r, alpha, relu_on) for b, r in zip(baseline, reinforced, strict=True)])
        for row, token in banned:
            generic[row, token] = -np.inf
        for token in topic:
            generic[:, token] = -np.inf
        forget = mean_kl(generic, student)
    return forget + (retain_weight * mean_kl(*retain) if retain else 0.0)
