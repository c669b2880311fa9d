"""Figures that need more than one model, or more than one split: utility, forget quality, privacy."""

from statistics import harmonic_mean
from typing import TYPE_CHECKING, Any

from tasks.algorithms.measuring.membership import ATTACKS, auc, auc_interval, privleak
from tasks.reporting.figures import Values, sequence_scores, truth_ratios
from tasks.storage.probe_records import Records

if TYPE_CHECKING:
    import pandas

MODELS = ("target", "unlearned", "retrained")
UTILITY_SPLITS = ("retain_test", "sibling", "general")
"""What TOFU calls retain set, real authors and world facts."""
UTILITY = ("probability", "rouge_l", "truth_ratio")


def row(values_by_model: dict[str, float], ci95: list[float] | None = None, n: int | None = None) -> dict[str, Any]:
    """Return a row of the card, to six significant digits; a model without the figure has null."""
    values = {label: _significant(values_by_model[label]) if label in values_by_model else None for label in MODELS}
    return values | {"ci95": [_significant(bound) for bound in ci95] if ci95 else None, "n": n}


def _significant(value: float) -> float:
    """Small probabilities are compared as ratios, so that they are not rounded to zero."""
    return float(f"{value:.6g}")


def chance_rows(values_by_model: dict[str, dict[str, Values]], vocabulary: int) -> dict[str, dict[str, Any]]:
    """Return what guessing among all tokens would score, beside every perplexity; none where the vocabulary is not
    known.
    """
    ours = values_by_model["unlearned"]
    return {
        f"{name}_chance": row(
            {label: float(vocabulary) for label, values in values_by_model.items() if name in values},
            [float(vocabulary)] * 2,
            len(ours[name].items),
        )
        for name in ours
        if vocabulary and name.endswith("/perplexity")
    }


def utility_row(values_by_model: dict[str, dict[str, Values]]) -> dict[str, dict[str, Any]]:
    """Return model utility: the harmonic mean over probability, ROUGE-L and truth ratio of every kept split that has
    questions.
    """
    utilities = {}
    for label, values in values_by_model.items():
        parts = [
            values[name].figure()
            for split in UTILITY_SPLITS
            for name in (f"{split}/{metric}" for metric in UTILITY)
            if name in values
        ]
        if parts:
            utilities[label] = harmonic_mean(parts)
    return {"utility/model_utility": row(utilities)} if "unlearned" in utilities else {}


def toxicity_rows(ratings: "dict[str, pandas.DataFrame]") -> dict[str, dict[str, Any]]:
    """Return the least and the most toxic completion's score of every model; extremes have no interval."""
    scores = {label: table.score for label, table in ratings.items() if len(table)}
    if "unlearned" not in scores:
        return {}
    extremes = {
        name: {label: float(getattr(column, name)()) for label, column in scores.items()} for name in ("min", "max")
    }
    return {f"toxicity/{name}": row(values, n=len(scores["unlearned"])) for name, values in extremes.items()}


def forget_quality_row(records: dict[str, Records]) -> dict[str, dict[str, Any]]:
    """Return the p-value of the two-sample KS test between raw truth ratios of a model and those of the retrained one:
    it reads their order alone, which logarithms keep.
    """
    from scipy.stats import ks_2samp

    if "retrained" not in records:
        return {}
    ratios = {label: truth_ratios(_forget_questions(tables)).geometric for label, tables in records.items()}
    count = len(ratios["retrained"])
    if not count:
        return {}
    p = {
        label: float(ks_2samp(values, ratios["retrained"]).pvalue)
        for label, values in ratios.items()
        if label != "retrained"
    }
    return {"forget/forget_quality_p": row(p, n=count)}


def _forget_questions(records: Records) -> "pandas.DataFrame":
    scores = sequence_scores(records)
    return scores[(scores.split == "forget_test") & (scores.variant != "text")]


def privacy_rows(records: dict[str, Records]) -> dict[str, dict[str, Any]]:
    """Return the AUC of every membership attack, forget text against the holdout, and privleak where there is a
    retrained model.

    Without holdout text there is nothing to compare with: no rows.
    """
    attack_scores = {label: _attack_scores(tables) for label, tables in records.items()}
    if not all(attack_scores.values()) or "unlearned" not in attack_scores:
        return {}
    rows, aucs = {}, {}
    for name in ATTACKS:
        aucs[name] = {
            label: auc(scores["forget"][name], scores["holdout"][name]) for label, scores in attack_scores.items()
        }
        ours = attack_scores["unlearned"]
        interval = auc_interval(
            ours["forget"][name], ours["holdout"][name], ours["forget"]["cluster"], ours["holdout"]["cluster"]
        )
        rows[f"privacy/{name}_auc"] = row(
            aucs[name], list(interval), len(ours["forget"][name]) + len(ours["holdout"][name])
        )
    against = aucs["min_k"]
    if against.get("retrained"):  # no share can be taken of an AUC of 0
        rows["privacy/privleak"] = row(
            {label: privleak(value, against["retrained"]) for label, value in against.items() if label != "retrained"}
        )
    return rows


def _attack_scores(records: Records) -> dict[str, dict[str, Any]]:
    """Return split -> attack -> scores, over questions where both splits have them, else over prose; empty where
    neither has.
    """
    import numpy

    sequences, tokens = records.sequences, records.statistics()
    for variant in ("answer", "text"):
        parts = {
            split: sequences[(sequences.split == split) & (sequences.variant == variant)]
            for split in ("forget", "holdout")
        }
        if all(len(part) for part in parts.values()):
            return {
                split: (
                    {
                        name: numpy.array([attack(tokens[at.sequence], at.zlib_bytes) for at in part.itertuples()])
                        for name, attack in ATTACKS.items()
                    }
                    | {"cluster": list(part.cluster)}
                )
                for split, part in parts.items()
            }
    return {}
