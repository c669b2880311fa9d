"""The figures as open-unlearning computes and lays them out, so that researchers' tables connect.

Its names are kept. Where its definition differs from ours, `differs` says how:

- `ra_` and `wf_` probabilities are shares among the true and the false answers (`Prob_normalised`), ours are the
answer's own;
- `model_utility` is over those; `extraction_strength` is never below 1/n; `privleak` is of 1 - AUC;
- its answers end with the end-of-text token, which has a part in its probabilities and none in ours: not imitated.

Source: locuslab/open-unlearning, src/evals (MIT).
"""

from collections.abc import Callable
from statistics import harmonic_mean
from typing import TYPE_CHECKING, Any

from tasks.algorithms.measuring.membership import auc, min_k_score
from tasks.algorithms.measuring.metrics import extraction_strength
from tasks.reporting.figures import sequence_scores
from tasks.storage.probe_records import Records

if TYPE_CHECKING:
    import pandas

SPLITS = {"forget": "forget_test", "retain": "retain_test", "ra": "sibling", "wf": "general"}
"""Its prefix -> our split; TOFU's real authors are given as --sibling, its world facts as --general."""
EPSILON = 1e-10
Metric = dict[str, Any]


def evaluation(unlearned: Records, retrained: Records | None) -> dict[str, Metric]:
    """Return its TOFU_EVAL layout: metric -> {agg_value, value_by_index}."""
    frame = sequence_scores(unlearned)
    metrics: dict[str, Metric] = {}
    for prefix, split in SPLITS.items():
        questions = frame[(frame.split == split) & (frame.variant != "text")]
        if len(questions):
            metrics |= _split_metrics(prefix, questions, unlearned.completions[unlearned.completions.split == split])
    if "forget_truth_ratio" in metrics and retrained is not None:
        metrics["forget_quality"] = _forget_quality(metrics["forget_truth_ratio"], retrained)
    metrics |= _memorization(unlearned)
    parts = [_value(metrics, name) for name in UTILITY]
    if all(part is not None for part in parts):
        metrics["model_utility"] = {"agg_value": harmonic_mean(parts)}
    if (
        retrained is not None
        and (theirs := _min_k_auc(retrained)) is not None
        and (ours := _min_k_auc(unlearned)) is not None
    ):
        metrics["mia_min_k"] = {"agg_value": ours}
        metrics["privleak"] = {"agg_value": ((1 - ours) - (1 - theirs)) / (1 - theirs + EPSILON) * 100}
    return dict(sorted(metrics.items()))


UTILITY = (
    "retain_Q_A_Prob",
    "retain_Q_A_ROUGE",
    "retain_Truth_Ratio",
    "ra_Q_A_Prob_normalised",
    "ra_Q_A_ROUGE",
    "ra_Truth_Ratio",
    "wf_Q_A_Prob_normalised",
    "wf_Q_A_ROUGE",
    "wf_Truth_Ratio",
)


def summary(metrics: dict[str, Metric]) -> dict[str, float]:
    """Return its TOFU_SUMMARY layout: metric -> value."""
    return {name: metric["agg_value"] for name, metric in metrics.items() if metric["agg_value"] is not None}


def differs(theirs: dict[str, Metric], metrics: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ours beside its, for every figure both have: name, our key, both values."""
    pairs = {
        "forget_Q_A_Prob": "forget_test/probability",
        "forget_Q_A_ROUGE": "forget_test/rouge_l",
        "forget_truth_ratio": "forget_test/truth_ratio",
        "forget_quality": "forget/forget_quality_p",
        "retain_Q_A_Prob": "retain_test/probability",
        "retain_Q_A_ROUGE": "retain_test/rouge_l",
        "retain_Truth_Ratio": "retain_test/truth_ratio",
        "ra_Q_A_Prob_normalised": "sibling/probability",
        "ra_Truth_Ratio": "sibling/truth_ratio",
        "wf_Q_A_Prob_normalised": "general/probability",
        "wf_Truth_Ratio": "general/truth_ratio",
        "model_utility": "utility/model_utility",
        "extraction_strength": "forget_test/answer_extraction_strength",
        "exact_memorization": "forget_test/answer_exact_memorization",
        "privleak": "privacy/privleak",
    }
    return [
        {
            "open-unlearning": name,
            "value": theirs[name]["agg_value"],
            "ours": key,
            "our value": metrics[key]["unlearned"],
        }
        for name, key in pairs.items()
        if name in theirs and key in metrics
    ]


def _value(metrics: dict[str, Metric], name: str) -> Any:
    return metrics[name]["agg_value"] if name in metrics else None


def _split_metrics(prefix: str, questions: "pandas.DataFrame", completions: "pandas.DataFrame") -> dict[str, Metric]:
    answers = _probabilities(questions, lambda variant: variant == "answer")
    false = _probabilities(questions, lambda variant: variant.startswith("perturbed"))
    true = _probabilities(questions, lambda variant: variant == "paraphrase") or answers
    metrics = {f"{prefix}_Q_A_Prob": _mean("prob", answers)}
    if false:
        metrics |= {f"{prefix}_Q_A_PARA_Prob": _mean("prob", true), f"{prefix}_Q_A_PERT_Prob": _mean("prob", false)}
        score = (
            (lambda ratio: min(ratio, 1 / (ratio + EPSILON)))
            if prefix == "forget"
            else (lambda ratio: max(0.0, 1 - ratio))
        )
        metrics["forget_truth_ratio" if prefix == "forget" else f"{prefix}_Truth_Ratio"] = _truth_ratio(
            true, false, score
        )
        metrics[f"{prefix}_Q_A_Prob_normalised"] = _normalised(answers, false)
    return metrics | _rouge(f"{prefix}_Q_A_ROUGE", completions[completions.kind == "question"])


def _probabilities(questions: "pandas.DataFrame", is_wanted: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    """Return index -> {prob, avg_loss}; lists where a question has several such answers."""
    import math

    part = questions[[is_wanted(str(variant)) for variant in questions.variant]]
    probabilities: dict[str, dict[str, Any]] = {}
    for item, group in part.groupby("item", sort=False):
        losses = [-float(value) for value in group.log_p]
        several = len(losses) > 1
        probabilities[str(item)] = {
            "prob": [math.exp(-loss) for loss in losses] if several else math.exp(-losses[0]),
            "avg_loss": losses if several else losses[0],
        }
    return probabilities


def _flat(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


def _mean(name: str, values: dict[str, dict[str, Any]]) -> Metric:
    means = [sum(_flat(row[name])) / len(_flat(row[name])) for row in values.values()]
    return {"agg_value": sum(means) / len(means), "value_by_index": values}


def _truth_ratio(
    true: dict[str, dict[str, Any]], false: dict[str, dict[str, Any]], score: Callable[[float], float]
) -> Metric:
    import math

    ratios = {}
    for index, row in false.items():
        losses = _flat(row["avg_loss"])
        ratios[index] = math.exp(-sum(losses) / len(losses)) / (math.exp(-true[index]["avg_loss"]) + EPSILON)
    values = {index: {"score": ratio} for index, ratio in ratios.items()}
    return {"agg_value": sum(map(score, ratios.values())) / len(ratios), "value_by_index": values}


def _normalised(answers: dict[str, dict[str, Any]], false: dict[str, dict[str, Any]]) -> Metric:
    shares = {
        index: answers[index]["prob"] / (answers[index]["prob"] + sum(_flat(row["prob"])) + EPSILON)
        for index, row in false.items()
    }
    return {
        "agg_value": sum(shares.values()) / len(shares),
        "value_by_index": {index: {"prob": share} for index, share in shares.items()},
    }


def _rouge(name: str, completions: "pandas.DataFrame") -> dict[str, Metric]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer, values = RougeScorer(["rouge1", "rougeL"], use_stemmer=True), {}
    for completion in completions.itertuples():
        scores = scorer.score(completion.truth, completion.answer)
        texts = {"input": completion.prompt, "ground_truth": completion.truth, "generation": completion.answer}
        values[str(completion.item)] = {
            "rouge1_recall": scores["rouge1"].recall,
            "rougeL_f1": scores["rougeL"].fmeasure,
            "rougeL_recall": scores["rougeL"].recall,
            **texts,
        }
    return (
        {
            name: {
                "agg_value": sum(row["rougeL_recall"] for row in values.values()) / len(values),
                "value_by_index": values,
            }
        }
        if values
        else {}
    )


def _forget_quality(ratios: Metric, retrained: Records) -> Metric:
    from scipy.stats import ks_2samp

    frame = sequence_scores(retrained)
    questions = frame[(frame.split == "forget_test") & (frame.variant != "text")]
    theirs = _split_metrics("forget", questions, retrained.completions.iloc[:0])["forget_truth_ratio"]["value_by_index"]
    unlearned_scores, retrained_scores = (
        [row["score"] for row in values.values()] for values in (ratios["value_by_index"], theirs)
    )
    return {"agg_value": float(ks_2samp(unlearned_scores, retrained_scores).pvalue)}


def _memorization(records: Records) -> dict[str, Metric]:
    """Its search for the longest right suffix stops before the empty one, so that an answer of n wrong tokens scores
    1/n.
    """
    sequences, tokens = records.sequences, records.statistics()
    answers = sequences[(sequences.split == "forget_test") & (sequences.variant == "answer")]
    if not len(answers):
        return {}
    strength, exact = {}, {}
    for row in answers.itertuples():
        hits = tokens[row.sequence][:, 1]
        strength[str(row.item)] = {"score": max(extraction_strength(hits), 1 / len(hits))}
        exact[str(row.item)] = {"score": float(hits.mean())}
    return {"extraction_strength": _mean("score", strength), "exact_memorization": _mean("score", exact)}


def _min_k_auc(records: Records) -> float | None:
    import numpy

    sequences, tokens = records.sequences, records.statistics()
    parts = [sequences[(sequences.split == split) & (sequences.variant == "answer")] for split in ("forget", "holdout")]
    if not all(len(part) for part in parts):
        return None
    members, others = (numpy.array([min_k_score(tokens[at], 1) for at in part.sequence]) for part in parts)
    return auc(members, others)
