"""What a verdict may claim, by the evidence it rests on, and what it cannot tell apart."""

from collections.abc import Mapping
from typing import Any

CLAIMS = {
    "gold": (
        "Gold: the unlearned model was compared with a model that was trained without the forgotten text. The verdict"
        " can say that both answer alike on the questions and passages asked here; it cannot speak for what was not"
        " asked."
    ),
    "proxy": (
        "Proxy: no retrained model was at hand, but questions about something the target model never saw were. The"
        " verdict can say that the forgotten text is now answered like something never seen; it cannot say what a model"
        " trained without it would have answered."
    ),
    "behavioural": (
        "Behavioural: neither a retrained model nor unseen text was at hand. The verdict can say that the model names"
        " the topic much less often than before; it cannot say that the knowledge is gone rather than unspoken, nor"
        " whether too much was removed."
    ),
}
"""What each tier of evidence can and cannot claim."""
UNDERPOWERED = 200
"""Items below which a test of forget quality says little: it fails to reject for want of data."""
BEYOND = 1e299
"""Figures above it stand for what no number holds."""

GUARDED = (
    "The unlearned model stands behind a guardrail, a prompt prefix and an output filter: its weights were not changed"
    " for it, and whoever has them can leave the guardrail off. Relearning was measured on the bare weights."
)


def limits(verdict: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]], *, guarded: bool = False) -> list[str]:
    """Return in plain words what this verdict cannot tell apart, for want of evidence; and what a guardrail's figures
    mean.
    """
    quality = metrics.get("forget/forget_quality_p")
    conditions = {
        GUARDED: guarded,
        "Nobody tried to bring the knowledge back: a model that only hides it, and gives it up after a few steps of "
        "training, would look the same.": (verdict["robust"] is None),
        "The weights were not rounded to fewer bits and asked again (settings rounding; off for small models, which"
        " rounding itself changes too much): in large models this was seen to bring back what was only hidden.": (
            verdict["robust"] is not None and not any("/rounded_" in name for name in metrics)
        ),
        "No false answers were given with the questions: a model that refuses to answer, or lowers the topic's words "
        "at its output, cannot be told from one that has forgotten.": ("forget_test/choice_accuracy" not in metrics),
        "Without a retrained model or questions about something never seen, removing too much looks like removing "
        "enough.": (verdict["evidence"] == "behavioural"),
        "Privacy was not judged: that needs text the target never saw (holdout) and a retrained model.": (
            verdict["private"] is None
        ),
    }
    if quality and quality["n"] < UNDERPOWERED:
        conditions[
            f"Forget quality rests on {quality['n']} questions; below {UNDERPOWERED} its test seldom finds a difference"
            " that is there."
        ] = True
    if "privacy/min_k_auc" in metrics and metrics["privacy/min_k_auc"]["retrained"] == 0:
        conditions["privleak was not measured: the retrained model's AUC is 0, of which no share can be taken."] = True
    return [sentence for sentence, holds in conditions.items() if holds] + _beyond(metrics)


def _beyond(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which figures are shown as the largest one, since they are larger."""
    models = ("target", "unlearned", "retrained")
    return [
        f"{name} of the {model} model is larger than any number and shown as {row[model]:.3g}."
        for name, row in metrics.items()
        for model in models
        if row.get(model) is not None and row[model] > BEYOND
    ]
