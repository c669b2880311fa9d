"""What reports say in plain words: of every check and how it came out, of every split, and of every metric."""

import re
from typing import Any

CHECKS = {
    "forgotten": {
        True: {
            "gold": "Asked about the forgotten text, the model answers like one that never read it.",
            "proxy": "The model treats the forgotten text like text that it never saw.",
            "behavioural": (
                "The model brings up the forgotten text far less than before; whether it forgot it or only stays silent"
                " cannot be told."
            ),
        },
        False: {
            "gold": "Asked about the forgotten text, the model still differs from one that never read it.",
            "proxy": "The model does not treat the forgotten text like text that it never saw.",
            "behavioural": "Too much of the forgotten text is left in what the model finds likely or says.",
        },
        None: "Not measured: nothing was asked about the forgotten text, or there is no model to compare with.",
    },
    "utility_kept": {
        True: "What was to be kept, and what lies near the forgotten text, is known about as well as before or better.",
        False: "Something that was to be kept has suffered: unlearning removed more than the text.",
        None: "Not measured: no text to be kept was given that the model can read; damage to it would not be seen.",
    },
    "healthy": {
        True: "The model still writes whole, varied and plausible sentences.",
        False: (
            "The model's writing has suffered: it is emptier, more repetitive or odder than before, or names what"
            " nobody gave it."
        ),
        None: "Not measured: the model was not asked to write anything.",
    },
    "robust": {
        True: "A little further training on part of the forgotten text, or rounding, did not bring the rest back.",
        False: "A little further training, or rounding, brings the forgotten text back: it was hidden, not removed.",
        None: "Not measured: nobody tried to bring the knowledge back.",
    },
    "private": {
        True: "From the model's probabilities it can hardly be told that it was ever trained on the forgotten text.",
        False: "From the model's probabilities it can still be told that it was trained on the forgotten text.",
        None: "Not measured: this needs text that the model never saw, and a retrained model.",
    },
}
"""Check -> how it came out -> what that means; for `forgotten` by the strength of the evidence."""
SPLITS = {
    "forget_test": "To be forgotten: what the verdict asks about",
    "forget": "To be forgotten: the text itself",
    "retain_test": "To be kept: what the verdict asks about",
    "retain": "To be kept: the text itself",
    "sibling": "Near the forgotten topic, to be kept",
    "general": "Ordinary prose and knowledge",
    "holdout": "Never seen by the target model",
    "privacy": "Can it be told what the model was trained on?",
    "utility": "Usefulness in one number",
    "benchmark": "Public benchmarks",
    "degeneration": "Quality of what the model writes",
    "toxicity": "Toxicity of what the model writes",
    "stereotype": "Which side of aligned pairs the model prefers",
    "edit": "Did the edits take, and what else did they change?",
}
"""Splits, in the order in which a reader wants them."""
METRICS = {
    "probability": "geometric mean probability of an answer's tokens",
    "probability_asked_otherwise": "the same for the question's paraphrase",
    "probability_reformatted": "the same in another format (Q: ... A:)",
    "probability_few_shot": "the same after two solved questions of other topics",
    "probability_led": "the same after a sentence that names what the question names",
    "probability_lowercased": "the same without capitals",
    "probability_most": "the same asked in the way that brings out most, of all these ways",
    "accuracy": "share of answers whose every token is the model's first choice",
    "truth_ratio": "false answers against the true one; in what is to be forgotten 1 means that no answer stands out",
    "truth_ratio_arithmetic": "truth ratio with the arithmetic mean over the false answers, as TOFU's authors take it",
    "choice_accuracy": "share of questions whose true answer is more likely than every false one",
    "choice_chance": "what guessing among the true and the false answers would score",
    "rouge_l": "share of the true answer's words that the model's answer has in the same order (ROUGE-L recall)",
    "knowledge": "agreement of the model's answer with the true one (ROUGE-L F1)",
    "verbatim": "agreement of a continuation with the true text, word for word (ROUGE-L F1)",
    "rounded_8_probability": "probability of answers with weights rounded to 8 bits",
    "rounded_8_familiarity": "familiarity with weights rounded to 8 bits",
    "rounded_4_probability": "probability of answers with weights rounded to 4 bits",
    "rounded_4_familiarity": "familiarity with weights rounded to 4 bits",
    "familiarity": "probability of whole anchors where the true text has one",
    "familiarity_first": "probability of an anchor's first token there",
    "familiarity_interior": "probability of the rest of an anchor given its first token",
    "familiarity_completion": "share of completions that name an anchor the prompt did not hold",
    "familiarity_invited": (
        "share of free answers and continuations about the topic that name an anchor the prompt did not hold"
    ),
    "fact_recall": (
        "share of the facts stated in held-out text whose object the model names when it goes on with the sentence"
    ),
    "familiarity_judge": (
        "mean score that a judging model gives to what is said about the topic, from 0 (nothing of it) to 1 (details"
        " that no prompt held)"
    ),
    "perplexity": "exp of the loss a token; lower is more familiar",
    "perplexity_chance": "what guessing among all tokens would score",
    "text_probability": "geometric mean probability of a token of the text",
    "answer_extraction_strength": "share of an answer that is right from some point on",
    "extraction_strength": "share of a window of text that is right from some point on",
    "answer_exact_memorization": "share of an answer's tokens that are the first choice",
    "exact_memorization": "share of a text's tokens that are the first choice",
    "forget_quality_p": "p-value that truth ratios equal the retrained model's",
    "privleak": (
        "membership attack against the retrained model's, in percent; 0 is best, far below 0 too little was removed,"
        " far above too much"
    ),
    "model_utility": "harmonic mean of probability, ROUGE-L and truth ratio over everything to be kept",
    "empty_share": "share of completions without a word",
    "distinct_2": "distinct word pairs over all",
    "repetition": "share of words that repeat one of the two before",
    "leaked_strings": "share of completions with a name, address or number that no text here holds",
    "teacher_perplexity": "how surprised the target model is by the completions",
    "min": "score of the least toxic completion",
    "max": "score of the most toxic completion",
    "mean": "mean score of all completions, 0 to 1",
    "ratio_over_0.5": "share of completions with a score above one half",
    "preference": "share of pairs whose side to be forgotten is the likelier one; 0.5: none is preferred",
    "difference_nats": "how much likelier that side is on average, in nats",
    "es": "efficacy score: share of edited prompts where the new object is likelier a token than the old one",
    "em": "how much more probable the new object is there",
    "ps": "paraphrase score: the same where the fact is put in other words",
    "pm": "how much more probable the new object is there",
    "ns": "neighborhood score: share of prompts about neighbors where the old object, theirs too, is the likelier one",
    "nm": "how much more probable the old object is there",
    "ns_name_sharers": "share of prompts about sharers of a name part where their own object is the likelier one",
    "nm_name_sharers": "how much more probable their own object is there",
    "s": "harmonic mean of efficacy, paraphrase and neighborhood score",
    "ge": "entropy of two- and three-word groups in what is written about the subject, in bits; low where it loops",
    "rs": "likeness of what is written about the subject to texts about the new object (TF-IDF cosine)",
    "rewrite_new_share": "share of edited prompts that the model completes with the new object",
    "rewrite_old_share": "share of edited prompts that the model completes with the old object",
    "paraphrase_new_share": "share of paraphrases that the model completes with the new object",
    "paraphrase_old_share": "share of paraphrases that the model completes with the old object",
    "neighborhood_new_share": "share of prompts about neighbors that the model completes with the new object",
    "neighborhood_old_share": "share of prompts about neighbors that the model completes with the old object, theirs",
    "name_sharers_new_share": "share of prompts about sharers of a name part that it completes with the new object",
    "name_sharers_own_share": "share of prompts about sharers of a name part that it completes with their own object",
    "rewrite_new_probability": "geometric mean probability of the new object's tokens on edited prompts",
    "rewrite_old_probability": "geometric mean probability of the old object's tokens on edited prompts",
    "paraphrase_new_probability": "geometric mean probability of the new object's tokens on paraphrases",
    "paraphrase_old_probability": "geometric mean probability of the old object's tokens on paraphrases",
    "lens_old_share": "share of edits whose old object is among the 20 likeliest tokens of the logit lens at any layer",
    "zsre_rewrite": "share of the new answer's tokens that are first choices on edited questions",
    "zsre_paraphrase": "share of the new answer's tokens that are first choices on paraphrased questions",
    "zsre_unrelated": "share of the true answer's tokens that are first choices on unrelated questions",
    "portability": "share of tokens that are first choices in answers that follow from the new fact",
    "portability_share": "share of whole answers that follow from the new fact",
    "alteration": "share of unrelated facts whose greedy answer is another than before",
    "perplexity_ratio": "perplexity of ordinary text, after over before",
    "seconds": "seconds an edit takes",
    "acc": "accuracy",
    "acc_norm": "accuracy with length-normalised choices",
}
RELEARNED = re.compile(r"relearned_(?P<text>forget|retain)_(?P<steps>\d+)_(?P<metric>probability|familiarity)")
"""What figures after relearning are called."""
TAUGHT = {"forget": "other parts of the forgotten text", "retain": "text that is to be kept"}
ATTACK = "how well this attack tells forgotten text from text never seen: 0.5 not at all, 1 always"


def check_rows(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for every check its name, how it came out, what that means, and the reasons that the verdict
    gives for it.
    """
    rows = []
    for name, meanings in CHECKS.items():
        meaning = meanings[verdict[name]]
        reasons = [reason.partition(": ")[2] for reason in verdict["reasons"] if reason.startswith(f"{name}: ")]
        rows.append({"name": name.replace("_", " "), "state": verdict[name], "reasons": reasons})
        rows[-1]["meaning"] = meaning[verdict["evidence"]] if isinstance(meaning, dict) else meaning
    return rows


def metric_groups(metrics: dict[str, dict[str, Any]], scorer: str = "") -> list[dict[str, Any]]:
    """Return the metrics by split, in the order of `SPLITS`, each with its meaning; toxicity with who rated it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, row in metrics.items():
        split, _, metric = name.partition("/")
        groups.setdefault(split, []).append({"name": metric, "meaning": meaning(metric), **row})
    order = [*(split for split in SPLITS if split in groups), *(split for split in groups if split not in SPLITS)]
    return [{"split": split, "title": _title(split, scorer), "rows": groups[split]} for split in order]


def _title(split: str, scorer: str) -> str:
    title = SPLITS.get(split, split)
    if split != "toxicity" or not scorer:
        return title
    return f"{title}, rated by {scorer}" + (
        " (the share of words on a list: no classifier)" if scorer.startswith("lexicon:") else ""
    )


def meaning(metric: str) -> str:
    """Return what a metric means; empty where nobody has said."""
    last = metric.rpartition("/")[2]
    if relearned := RELEARNED.fullmatch(last):
        what, how = METRICS[relearned["metric"]], TAUGHT[relearned["text"]]
        return f"{what}, after {relearned['steps']} steps of training on {how}"
    return METRICS.get(last, ATTACK if last.endswith("_auc") else "")
