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


def mean_kl_and_text(teacher_logits, student_logits, following, shares) -> float:
    """The mean over rows of (1 - share) KL(softmax(teacher) || softmax(student)) - share log p_student(following
    token), each row with its share; the teacher alone where no token follows.
    """
    losses = []
    for teacher, student, token, share in zip(teacher_logits, student_logits, following, shares, strict=True):
        log_p = log_softmax(student)
        divergence = kl(log_softmax(teacher), log_p)
        losses.append(divergence if token is None else (1 - share) * divergence - share * log_p[token])
    return math.fsum(losses) / len(losses)


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
