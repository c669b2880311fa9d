"""How the results of the benchmarks are shown: for each a table, its columns, and what it calls its rows."""

from tests.benchmarks.cells import Table, extremes, failed, joined, number, several, share, spread, words

METHODS = {
    "target": "*target*",
    "retrained": "*retrained*",
    **{
        name: f"`{name}`"
        for name in (
            *("whp", "gradient_ascent", "gradient_difference", "npo", "simnpo", "dpo", "idk"),
            *("rmu", "undial", "scrub", "task_vector", "guardrail"),
        )
    },
}
CHECKED = {"checks that failed": failed, "passed": share("passed", "runs")}
STEPS = {
    "head's share of a pass": number("head share", form=".0%"),
    "s a step, textbook": number("textbook", "seconds", form=".2f"),
    "s, live": number("live", "seconds", form=".2f"),
    "s, cached (of textbook, of live)": several(
        number("cached", "seconds", form=".2f"),
        number("cached", "seconds of textbook", form=".2f", unit="x"),
        number("cached", "seconds of live", form=".2f", unit="x"),
    ),
    "MB, textbook": number("textbook", "megabytes", form=".0f"),
    "MB, live": number("live", "megabytes", form=".0f"),
    "MB, cached (of textbook, of live)": several(
        number("cached", "megabytes", form=".0f"),
        number("cached", "megabytes of textbook", form=".2f", unit="x"),
        number("cached", "megabytes of live", form=".2f", unit="x"),
    ),
    "s to make the cache": number("cached", "seconds to make", form=".0f"),
}

TABLES: dict[str, Table] = {
    "figures": Table(
        first="figure",
        columns={
            "mean": number("mean"),
            "95 % of the mean": joined(" to ", number("low"), number("high")),
            "least": number("least"),
            "most": number("most"),
            "wanted": words("wanted"),
        },
        rows={
            "target forget": "probability of answers, target model",
            "unlearned forget": "the same, unlearned",
            "retrained forget": "the same, retrained without the topic",
            "|forget gap|": "distance to the retrained model",
            "retain ratio": "retained topics, of the target's probability",
            "sibling ratio": "sibling topics, used nowhere",
            "general perplexity ratio": "perplexity of general prose, of the target's",
            "true answer preferred, target": "true answer preferred to four false ones, target",
            "true answer preferred, unlearned": "the same, unlearned",
            "true answer preferred, retrained": "the same, retrained",
        },
    ),
    "methods": Table(
        first="method",
        columns={
            "left": spread("forget"),
            "asked in the way that brings out most": number("most"),
            "true answer preferred": number("true preferred"),
            "after relearning": number("back"),
            "Min-K AUC": number("min-k auc", form=".2f"),
            "kept": spread("retain", form=".2f", unit="x"),
            "sibling": number("sibling", form=".2f", unit="x"),
            "general perplexity": number("general ppl", form=".2f", unit="x"),
            **CHECKED,
            "s": number("seconds", form=".0f"),
        },
        rows=METHODS,
    ),
    "adapters": Table(
        first="method",
        columns={
            "left": number("adapters", "forget"),
            "whole weights": number("whole weights", "forget"),
            "kept": number("adapters", "retain", form=".2f", unit="x"),
            "after relearning": number("adapters", "back"),
            "whole weights, after relearning": number("whole weights", "back"),
            "checks that failed": lambda row: failed(row["adapters"]),
        },
        rows=METHODS,
    ),
    "adapter_rates": Table(
        first="adapters of rank 16",
        columns={"left": number("left"), "target": number("target"), "kept": number("kept", unit="x")},
    ),
    "scrub_weights": Table(
        first="weights",
        columns={
            "last loss, nats": number("last_loss_nats", form=".3g"),
            "KL retain": number("retain_kl_nats", form=".3g"),
            "KL forget": number("forget_kl_nats", form=".3g"),
            "stereotyped side likelier": number("stereotype_preference"),
            "healthy": words("healthy"),
            "why not": words("reasons"),
        },
    ),
    "books": Table(
        first="figure",
        columns={
            "target": number("target", form=".4g"),
            "unlearned": number("unlearned", form=".4g"),
            "of the target's": number("ratio", form=".4g"),
            "least, most": extremes("ratio", form=".4g"),
            "retrained, of the target's": number("retrained ratio", form=".4g"),
        },
        rows={
            "forget_test/familiarity_first": "probability of an anchor's first token",
            "forget_test/familiarity": "of whole anchors",
            "forget_test/familiarity_interior": "of an anchor's rest, given its first token",
            "forget_test/familiarity_completion": "completions that name an anchor",
            "forget_test/perplexity": "perplexity of the book itself",
            "retain_test/perplexity": "of the retained books, unseen part",
            "general/perplexity": "of *The Lost World* (same author as a retained book)",
            "sibling/perplexity": "of *Peter Pan* (children's book, used nowhere)",
            "passed": "verdict passed, share of the seeds",
        },
    ),
    "tofu": Table(
        first="figure",
        columns={
            "target": number("target", form=".4g"),
            "unlearned": number("unlearned", form=".4g"),
            "least, most": extremes("unlearned", form=".4g"),
            "retrained": number("retrained", form=".4g"),
        },
        rows={
            "forget_test/probability": "forget10: probability of answers",
            "forget_test/probability_most": "the same, asked in the way that brings out most",
            "forget_test/rouge_l": "forget10: ROUGE-L recall",
            "forget_test/truth_ratio": "forget10: truth ratio (1: no answer stands out)",
            "forget_test/choice_accuracy": "forget10: true answer preferred to the false ones",
            "forget_test/answer_extraction_strength": "forget10: extraction strength",
            "forget_test/answer_exact_memorization": "forget10: exact memorization",
            "forget/forget_quality_p": "forget quality, p",
            "retain_test/probability": "retained authors: probability",
            "retain_test/rouge_l": "retained authors: ROUGE-L recall",
            "retain_test/truth_ratio": "retained authors: truth ratio",
            "sibling/probability": "real authors: probability",
            "general/probability": "world facts: probability",
            "utility/model_utility": "model utility",
            "passed": "verdict passed, share of the seeds",
        },
    ),
    "methods_tofu": Table(
        first="method",
        columns={
            "probability of answers": number("forget"),
            "ROUGE-L recall": number("rouge"),
            "truth ratio": number("truth ratio"),
            "forget quality, p": number("quality p", form=".2g"),
            "retained authors, of the target's": number("retain", form=".2f", unit="x"),
            "model utility": number("utility", form=".4f"),
            "checks that failed": failed,
        },
        rows=METHODS,
    ),
    "teacher": Table(first="objective, what is trained, parameters of the model", columns=STEPS),
    "teacher_gpu": Table(first="objective, what is trained, parameters of the model", columns=STEPS),
    "topics": Table(
        first="asked about, after forgetting",
        columns={
            "target": number("target"),
            "unlearned": number("unlearned"),
            "retrained": number("retrained"),
            "left of the target's": spread("left", unit="x"),
            "passed": share("passed", "runs"),
        },
        rows={
            "series": "a whole series: all of it",
            "second-series": "another series: all of it",
            "book: its own facts": "one book of a series: facts of its own",
            "book: facts told again later": "the same book: facts that later books tell again",
            "book: facts of later books": "the same book: facts of the later books alone",
            "planets": "an article on the planets, of which the rest of the world goes on to speak",
        },
    ),
    "topics_books": Table(
        first="asked about",
        columns={
            "target": number("target"),
            "Alice alone forgotten": spread("Alice alone", unit="x"),
            "both forgotten": spread("both books", unit="x"),
        },
        rows={
            "Alice: forget_test/familiarity_first": "*Alice*: the first token of a name",
            "Alice: forget_test/familiarity": "*Alice*: whole names",
            "Alice: forget_test/familiarity_interior": "*Alice*: the rest of a name, given its first token",
            "Looking-Glass: forget_test/familiarity_first": "names that only *Looking-Glass* holds, first token",
            "Looking-Glass: forget_test/familiarity": "names that only *Looking-Glass* holds, whole",
            "Looking-Glass: forget_test/familiarity_interior": "the rest of such a name, given its first token",
            "retain_test/perplexity": "perplexity of the retained books",
        },
    ),
    "coverage": Table(
        first="asked about",
        columns={
            "target": number("target"),
            "the book alone forgotten": spread("the book alone"),
            "with what the model tells (`--expand-coverage`, no look)": spread("with what the model tells"),
            "retrained": number("retrained"),
        },
        rows={
            "book: its own facts": "the book's own facts",
            "book: facts told again later": "facts that later books tell again",
            "book: facts of later books": "facts of the later books alone",
        },
    ),
    "coverage_found": Table(
        first="found by asking",
        columns={"least": number("least", form=".4g"), "most": number("most", form=".4g")},
        rows={
            "told": "things that the target model names and no text to be kept holds",
            "share": "share of them that the book covers",
            "uncovered": "names not covered",
            "of later books": "of these, told by the later books",
            "facts": "facts of the book that it was asked for",
            "reproduced": "facts that it completes",
        },
    ),
    "translators": Table(
        first="translator",
        columns={
            "calls": number("model_calls", form=","),
            "tokens in / out": joined(" / ", number("prompt_tokens", form=","), number("completion_tokens", form=",")),
            "s": number("seconds", form=".1f"),
            "anchors translated by it": share("by the model", "anchors"),
            "passed": words("passed"),
            "answers left": number("forget probability"),
            "retrained": number("retrained"),
        },
    ),
    "anchor_recall": Table(
        first="book",
        columns={
            "recall": number("recall", form=".2f"),
            "precision": number("precision", form=".2f"),
            "names listed": number("listed", form=","),
            "rules improved on it": words("rules improved on it"),
        },
        rows={
            "baum_wizard_of_oz": "*The Wizard of Oz*",
            "carroll_alice_in_wonderland": "*Alice in Wonderland*",
            "barrie_peter_pan": "*Peter Pan*",
            "twain_tom_sawyer": "*Tom Sawyer*",
            "doyle_the_lost_world": "*The Lost World*",
            "kipling_the_jungle_book": "*The Jungle Book*",
        },
    ),
    "planted": Table(
        first="planted model",
        columns={
            "wanted": words("wanted"),
            **{f"passed: {tier}": share(tier, "cases") for tier in ("gold", "proxy", "behavioural")},
            "checks that failed, over all tiers": failed,
        },
        rows={
            "untouched": "untouched",
            "blanked": "blanked: answers everything with blanks",
            "refusing": "refusing: trained to refuse the topic",
            "suppressed": "suppressed: the topic's words lowered at the output",
            "noisy": "noisy: noise on every weight until the topic is gone",
            "recoverable": "recoverable: gives one wrong answer, the right one comes back",
            "retrained": "retrained without the topic, on another seed than the reference",
        },
    ),
    "input_scale": Table(
        first="stage",
        columns={
            "rise of the peak, MB": number("megabytes", form=".0f"),
            "s of processor time": number("seconds", form=".0f"),
            "positions": number("positions", form=",.0f"),
        },
    ),
    "fact_model": Table(
        first="model",
        columns={
            "known": spread("known"),
            "known in held-out wordings": spread("known held out"),
            "total effect": spread("total"),
            "restored by the last subject token": spread("last"),
            "of layer": words("layers"),
            "by an earlier one, at most": spread("earlier"),
            "s to train": number("seconds", "mean", form=".0f"),
        },
        rows={
            "gpt2": "GPT-2 form",
            "llama": "Llama form",
            "no mask": "without the training mask",
            "no mask, distractors in 0.9": "the same, distractors in 0.9 of the sentences",
            "no mask, three-part names": "the same, names of three words",
            "no distractors": "with the mask, without distractors",
            "objects weigh as other words": "objects weigh as other words do",
            "six layers": "six layers",
        },
    ),
    "label_speed": Table(
        first="interior tokens",
        columns={
            "bare passes, tokens/s": number("bare", form=",.0f"),
            "labels, tokens/s": number("labels", form=",.0f"),
            "ratio": number("ratio", form=".2f"),
        },
    ),
    "cached_run": Table(
        first="phase",
        columns={
            "s by the clock": number("seconds", form=".1f"),
            "s of processor, the command's own process": number("processor", form=".1f"),
            "stages": number("stages", form=".0f"),
        },
    ),
}
