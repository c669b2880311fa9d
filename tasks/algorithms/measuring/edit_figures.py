"""The scores of edits: arithmetic on `EditRecords`.

    p(object | prompt) = exp(log-probability a token), the geometric mean of its tokens' probabilities

as the code of Meng et al. 2022 (arXiv:2202.05262, kmeng01/rome) compares objects; a sum over tokens would favour the
shorter one. With it, over the prompts of one edit, then over edits:

    ES, PS = share of p(new) > p(old) on the edited prompt, on its paraphrases;  EM, PM = mean of p(new) - p(old)
    NS     = share of p(old) > p(new) on prompts about neighbors;                NM     = mean of p(old) - p(new)
    S      = harmonic mean of ES, PS, NS

zsRE's accuracies are shares of tokens that are hits given those before them. The one on unrelated questions is against
the answers of the data, as the paper has it; whether the model still says what it said is `alteration`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np

from tasks.algorithms.measuring.edit_questions import Object, Role
from tasks.algorithms.measuring.edit_scores import EditRecords, ObjectScore, TextScore
from tasks.algorithms.measuring.edit_texts import n_gram_entropy, reference_scores
from tasks.algorithms.measuring.metrics import bounded_exp, cluster_bootstrap
from tasks.settings.edit_request import EditRequest

Objects = Mapping[Object, ObjectScore]
"""The scores after one prompt."""
DRAWS, SEED = 1000, 0
"""Of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class EditFigure:
    """One score."""

    value: float
    ci95: tuple[float, float]
    n: int
    """Edits that it is the mean of; of `alteration` facts, of perplexities windows of text."""


@dataclass(frozen=True, kw_only=True)
class _Score:
    """A score of one prompt."""

    role: Role
    needs: tuple[Object, ...]
    of: Callable[..., float]
    """From the scores of the objects that it needs."""


def probability(score: ObjectScore) -> float:
    """Return the geometric mean of the object's token probabilities."""
    return math.exp(score.mean_log_p_nats)


def _prefers(wanted: ObjectScore, other: ObjectScore) -> float:
    return float(wanted.mean_log_p_nats > other.mean_log_p_nats)


def _lead(wanted: ObjectScore, other: ObjectScore) -> float:
    return probability(wanted) - probability(other)


def _completes(score: ObjectScore) -> float:
    return float(score.completed)


def _accuracy(score: ObjectScore) -> float:
    return sum(score.hits) / len(score.hits)


def _changed(score: ObjectScore) -> float:
    return float(not score.completed)


SCORES = {
    "es": _Score(role="rewrite", needs=("new", "old"), of=_prefers),
    "em": _Score(role="rewrite", needs=("new", "old"), of=_lead),
    "ps": _Score(role="paraphrase", needs=("new", "old"), of=_prefers),
    "pm": _Score(role="paraphrase", needs=("new", "old"), of=_lead),
    "ns": _Score(role="neighborhood", needs=("old", "new"), of=_prefers),
    "nm": _Score(role="neighborhood", needs=("old", "new"), of=_lead),
    "ns_name_sharers": _Score(role="name_sharer", needs=("own", "new"), of=_prefers),
    "nm_name_sharers": _Score(role="name_sharer", needs=("own", "new"), of=_lead),
    "rewrite_new_share": _Score(role="rewrite", needs=("new",), of=_completes),
    "rewrite_old_share": _Score(role="rewrite", needs=("old",), of=_completes),
    "paraphrase_new_share": _Score(role="paraphrase", needs=("new",), of=_completes),
    "paraphrase_old_share": _Score(role="paraphrase", needs=("old",), of=_completes),
    "neighborhood_new_share": _Score(role="neighborhood", needs=("new",), of=_completes),
    "neighborhood_old_share": _Score(role="neighborhood", needs=("old",), of=_completes),
    "name_sharers_new_share": _Score(role="name_sharer", needs=("new",), of=_completes),
    "name_sharers_own_share": _Score(role="name_sharer", needs=("own",), of=_completes),
    "rewrite_new_probability": _Score(role="rewrite", needs=("new",), of=probability),
    "rewrite_old_probability": _Score(role="rewrite", needs=("old",), of=probability),
    "paraphrase_new_probability": _Score(role="paraphrase", needs=("new",), of=probability),
    "paraphrase_old_probability": _Score(role="paraphrase", needs=("old",), of=probability),
    "zsre_rewrite": _Score(role="rewrite", needs=("new",), of=_accuracy),
    "zsre_paraphrase": _Score(role="paraphrase", needs=("new",), of=_accuracy),
    "zsre_unrelated": _Score(role="unrelated", needs=("own",), of=_accuracy),
    "portability": _Score(role="portability", needs=("own",), of=_accuracy),
    "portability_share": _Score(role="portability", needs=("own",), of=_completes),
    "alteration": _Score(role="unrelated", needs=("said",), of=_changed),
}
"""Score -> how it is made of one prompt's records."""
LENS = "lens_old_share"
"""Share of edits whose old object the logit lens still shows, see `logit_lens`."""
HARMONIC = ("es", "ps", "ns")
"""What S is the harmonic mean of."""


def prompt_scores(objects: Sequence[ObjectScore]) -> dict[str, dict[int, list[float]]]:
    """Return score -> request -> the score of each of its prompts; what was not asked is not there."""
    prompts: dict[tuple[int, Role, int], dict[Object, ObjectScore]] = defaultdict(dict)
    for one in objects:
        prompts[one.request, one.role, one.number][one.object] = one
    found: dict[str, dict[int, list[float]]] = {}
    for (request, role, _), there in prompts.items():
        for name, score in SCORES.items():
            if score.role == role and all(kind in there for kind in score.needs):
                value = score.of(*(there[kind] for kind in score.needs))
                found.setdefault(name, {}).setdefault(request, []).append(value)
    return found


def request_scores(records: EditRecords, requests: Sequence[EditRequest]) -> dict[str, dict[int, float]]:
    """Return score -> request -> its mean over the request's prompts, `s`, `ge`, `rs` and the lens among them."""
    found = {
        name: {at: float(np.mean(values)) for at, values in own.items()}
        for name, own in prompt_scores(records.objects).items()
    }
    parts = [found.get(name, {}) for name in HARMONIC]
    found["s"] = {at: harmonic([part[at] for part in parts]) for at in parts[0] if all(at in part for part in parts)}
    entropies: dict[int, list[float]] = defaultdict(list)
    for text in records.written:
        entropies[text.request].append(n_gram_entropy(text.text))
    found["ge"] = {at: float(np.mean(values)) for at, values in entropies.items()}
    found[LENS] = {one.request: float(one.in_sight) for one in records.lens}
    found["rs"] = reference_scores(records.written, [request.references for request in requests])
    return {name: own for name, own in found.items() if own}


def harmonic(values: Sequence[float]) -> float:
    """Return the harmonic mean; 0 where one value is 0."""
    return float(harmonic_mean(values))


def edit_figures(
    records: EditRecords, requests: Sequence[EditRequest], seconds: Mapping[int, float] | None = None
) -> dict[str, EditFigure]:
    """Return every score that could be measured: its mean over edits with a 95 % interval that draws whole facts.

    S is the harmonic mean of the three means, as published, not the mean of each edit's own.

    Args:
        records: Of one model, or of one model an edit.
        requests: The edits.
        seconds: Place of a request -> what its edit took, in seconds.
    """
    by_request = request_scores(records, requests) | ({"seconds": dict(seconds)} if seconds else {})
    facts = [f"{request.subject}\n{request.prompt}" for request in requests]
    figures = {name: _mean_figure(own, facts) for name, own in by_request.items() if name not in ("alteration", "s")}
    if all(name in by_request for name in HARMONIC):
        figures["s"] = _harmonic_figure([by_request[name] for name in HARMONIC], facts)
    if altered := prompt_scores(records.objects).get("alteration"):
        figures["alteration"] = _altered(altered)
    if records.texts:
        figures["perplexity"] = _perplexity(records.texts)
    return figures


def _mean_figure(own: Mapping[int, float], facts: Sequence[str]) -> EditFigure:
    values = np.array(list(own.values()))
    interval = cluster_bootstrap(values, [facts[at] for at in own], draws=DRAWS, seed=SEED)
    return EditFigure(value=float(values.mean()), ci95=interval, n=len(own))


def _harmonic_figure(parts: Sequence[Mapping[int, float]], facts: Sequence[str]) -> EditFigure:
    """Draw facts, and take the harmonic mean of the drawn means; a draw in which one of them has no edit counts not."""
    value = harmonic([float(np.mean(list(part.values()))) for part in parts])
    names = {name: index for index, name in enumerate(dict.fromkeys(facts))}
    sums, counts = np.zeros((len(parts), len(names))), np.zeros((len(parts), len(names)))
    for row, part in enumerate(parts):
        for at, score in part.items():
            sums[row, names[facts[at]]] += score
            counts[row, names[facts[at]]] += 1
    picks = np.random.default_rng(SEED).integers(0, len(names), size=(DRAWS, len(names)))
    drawn, weights = sums[:, picks].sum(-1), counts[:, picks].sum(-1)
    whole = (weights > 0).all(0)
    means = (drawn[:, whole] / weights[:, whole]).T
    low, high = np.percentile([harmonic(row) for row in means.tolist()], [2.5, 97.5])
    return EditFigure(value=value, ci95=(float(low), float(high)), n=len(parts[0]))


def _altered(altered: Mapping[int, Sequence[float]]) -> EditFigure:
    """Return the share of unrelated facts that are answered otherwise than before.

    The interval is Clopper and Pearson's exact one, which is honest where nothing changed; where edits stand alone,
    the ends of one that draws whole edits count too, if they are wider: the facts of one edit are changed together.
    """
    from scipy.stats import binomtest

    values = np.array([value for own in altered.values() for value in own])
    exact = binomtest(int(values.sum()), len(values)).proportion_ci(method="exact")
    low, high = float(exact.low), float(exact.high)
    if len(altered) > 1:
        edits = [str(at) for at, own in altered.items() for _ in own]
        drawn_low, drawn_high = cluster_bootstrap(values, edits, draws=DRAWS, seed=SEED)
        low, high = min(low, drawn_low), max(high, drawn_high)
    return EditFigure(value=float(values.mean()), ci95=(low, high), n=len(values))


def _perplexity(texts: Sequence[TextScore]) -> EditFigure:
    return _exponential([-text.log_p_nats for text in texts], texts)


def perplexity_ratio(before: Sequence[TextScore], after: Sequence[TextScore]) -> EditFigure:
    """Return the perplexity after over that before, of the same windows of text, each as often as it was scored.

    Raises:
        ValueError: If the windows differ.
    """
    windows = [[(text.text, text.window, text.tokens) for text in texts] for texts in (before, after)]
    if windows[0] != windows[1] or not before:
        raise ValueError("the windows of the two models differ, or there is none; wanted the same texts scored by both")
    return _exponential([one.log_p_nats - other.log_p_nats for one, other in zip(before, after, strict=True)], before)


def _exponential(nats: Sequence[float], texts: Sequence[TextScore]) -> EditFigure:
    """Return exp of nats over tokens; the interval draws windows of text, each with all models that scored it."""
    sums, weights = np.array(nats), np.array([text.tokens for text in texts], float)
    windows = [f"{text.text}:{text.window}" for text in texts]
    interval = cluster_bootstrap(
        sums / weights, windows, weights=weights, statistic=bounded_exp, draws=DRAWS, seed=SEED
    )
    return EditFigure(value=bounded_exp(sums.sum() / weights.sum()), ci95=interval, n=len(set(windows)))


def not_measured(figures: Collection[str]) -> list[str]:
    """Return the scores that could not be measured: no such prompts, texts or references."""
    return [name for name in (*SCORES, "s", "ge", "rs", LENS, "perplexity") if name not in figures]
