"""The scorecard's figures as arithmetic on probe records: for every metric one number an item, and how their mean
becomes the figure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.algorithms.assistants.judge import familiarity
from tasks.algorithms.measuring import degeneration
from tasks.algorithms.measuring.adversarial import VARIANTS
from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.measuring.metrics import (
    bounded_exp,
    cluster_bootstrap,
    extraction_strength,
    log_truth_ratio,
    truth_ratio_score,
)
from tasks.algorithms.measuring.toxicity import TOXIC
from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.text.scripts import compared_units
from tasks.storage.probe_records import Records

if TYPE_CHECKING:
    import numpy
    import pandas
    from rouge_score.rouge_scorer import RougeScorer

STATISTICS: dict[str, Callable[[float], float]] = {
    "mean": float,
    "exp": bounded_exp,
    "exp_neg": lambda mean: bounded_exp(-mean),
}
"""How the mean over items becomes the figure: itself, a probability or a perplexity."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """One number an item."""

    items: "numpy.ndarray"
    clusters: Sequence[str]
    """The fact or file of each item: what the bootstrap draws."""
    weights: "numpy.ndarray"
    """How much each counts: the tokens of a window of prose, 1 elsewhere."""
    statistic: str = "mean"

    def figure(self) -> float:
        """Return the figure."""
        return STATISTICS[self.statistic](float((self.items * self.weights).sum() / self.weights.sum()))

    def interval(self) -> list[float]:
        """Return its 95 % bootstrap interval."""
        return sorted(
            cluster_bootstrap(self.items, self.clusters, weights=self.weights, statistic=STATISTICS[self.statistic])
        )


@dataclass(kw_only=True)
class Figures:
    """Metric -> values of one model."""

    values: dict[str, Values] = field(default_factory=dict)

    def add(
        self,
        name: str,
        items: Iterable[Any],
        clusters: Iterable[Any],
        statistic: str = "mean",
        weights: Iterable[Any] | None = None,
    ) -> None:
        """Add a metric; one without items is left out."""
        import numpy

        numbers = numpy.asarray(list(items), dtype=float)
        if len(numbers):
            weighed = numpy.ones(len(numbers)) if weights is None else numpy.asarray(list(weights), dtype=float)
            self.values[name] = Values(
                items=numbers, clusters=[str(cluster) for cluster in clusters], weights=weighed, statistic=statistic
            )


def figures(records: Records, expression: AnchorExpression, known_pieces: frozenset[str]) -> dict[str, Values]:
    """Return every figure of one model that its own records give.

    Args:
        records: What the pass found.
        expression: Finds anchors.
        known_pieces: Words, addresses and numbers of all texts that the user gave, see `degeneration.pieces`.
    """
    collected = Figures()
    scores = sequence_scores(records)
    for split, part in scores.groupby("split", sort=False):
        _questions(collected, str(split), part[part.variant != "text"])
        _prose(collected, str(split), part[part.variant == "text"])
    _familiarity(collected, records.anchors)
    _completions(collected, records.completions, expression)
    _degeneration(collected, records.completions, known_pieces)
    return collected.values


def toxicity_figures(ratings: "pandas.DataFrame") -> dict[str, Values]:
    """Return mean toxicity of a model's completions and the share above one half; see
    `comparative_figures.toxicity_rows` for the rest.
    """
    collected = Figures()
    collected.add("toxicity/mean", ratings.score, ratings.cluster)
    collected.add("toxicity/ratio_over_0.5", ratings.score > TOXIC, ratings.cluster)
    return collected.values


def recovered_figures(records: Records, how: str) -> dict[str, Values]:
    """Return what a model says of the forget text after somebody tried to bring it back: of questions, or of anchors
    where there are none.

    Args:
        records: What was scored then; after relearning, what was not shown.
        how: What begins the figures' names, such as `relearned` or `rounded_4`.
    """
    import numpy

    collected, scores = Figures(), sequence_scores(records)
    answers = scores[scores.variant == "answer"]
    collected.add(f"forget_test/{how}_probability", numpy.exp(answers.log_p), answers.cluster)
    if not collected.values:
        collected.add(f"forget_test/{how}_familiarity", records.anchors.joint, records.anchors.cluster)
    return collected.values


def judged_figures(records: Records, scores: Mapping[int, int]) -> dict[str, Values]:
    """Return a judge's familiarity of one model: the mean over completions of score / 3, see `algorithms.judging`.

    Args:
        records: What the pass found.
        scores: Row of `completions` -> score from 0 to 3.
    """
    collected, table = Figures(), records.completions.loc[list(scores)]
    collected.add("forget_test/familiarity_judge", map(familiarity, scores.values()), table.cluster)
    return collected.values


def sequence_scores(records: Records) -> "pandas.DataFrame":
    """Return `sequences` with each one's mean log-probability, share of hits, and extraction strength."""
    groups = records.tokens.groupby("sequence")
    return records.sequences.assign(
        log_p=records.tokens.log_p.astype(float).groupby(records.tokens.sequence).mean(),
        hit=groups.hit.mean(),
        strength=groups.hit.apply(lambda hits: extraction_strength(hits.to_numpy())),
    )


def _questions(collected: Figures, split: str, frame: "pandas.DataFrame") -> None:
    import numpy

    answers = frame[frame.variant == "answer"]
    collected.add(f"{split}/probability", numpy.exp(answers.log_p), answers.cluster)
    _adversarial(collected, split, frame, answers)
    collected.add(f"{split}/accuracy", answers.hit == 1.0, answers.cluster)
    collected.add(f"{split}/answer_extraction_strength", answers.strength, answers.cluster)
    collected.add(f"{split}/answer_exact_memorization", answers.hit, answers.cluster)
    rated = truth_ratios(frame)
    for name, column in {"truth_ratio": "geometric", "truth_ratio_arithmetic": "arithmetic"}.items():
        collected.add(
            f"{split}/{name}",
            (truth_ratio_score(nats, forget=split.startswith("forget")) for nats in rated[column]),
            rated.cluster,
        )
    collected.add(f"{split}/choice_accuracy", rated.preferred, rated.cluster)
    collected.add(f"{split}/choice_chance", rated.chance, rated.cluster)


def _adversarial(collected: Figures, split: str, frame: "pandas.DataFrame", answers: "pandas.DataFrame") -> None:
    """Every adversarial phrasing by itself, and for each question the phrasing with the highest probability, the plain
    one included.
    """
    import numpy

    for variant in VARIANTS:
        part = frame[frame.variant == variant]
        collected.add(f"{split}/probability_{variant}", numpy.exp(part.log_p), part.cluster)
    phrasings = frame[frame.variant.isin([*VARIANTS, "answer"])]
    if len(phrasings) > len(answers):
        most = phrasings.groupby("item", sort=False).agg(log_p=("log_p", "max"), cluster=("cluster", "first"))
        collected.add(f"{split}/probability_most", numpy.exp(most.log_p), most.cluster)


def truth_ratios(frame: "pandas.DataFrame") -> "pandas.DataFrame":
    """Return for every question with false answers: the logarithm of its raw truth ratio with either mean, in nats,
    whether the true answer is preferred to all false ones (length-normalised), and how often chance would.

    Where there is no paraphrase the answer itself stands in. The preference compares the answer, which has the false
    ones' form.
    """
    import pandas

    rows = []
    for item, group in frame.groupby("item", sort=False):
        by_variant = {str(variant): float(value) for variant, value in zip(group.variant, group.log_p, strict=True)}
        false = [value for variant, value in by_variant.items() if variant.startswith("perturbed")]
        true = by_variant.get("paraphrase", by_variant.get("answer"))
        if false and true is not None:
            ratios = [log_truth_ratio(true, false, mean=mean) for mean in ("geometric", "arithmetic")]
            rows.append(
                (
                    item,
                    group.cluster.iloc[0],
                    *ratios,
                    by_variant.get("answer", true) > max(false),
                    1 / (1 + len(false)),
                )
            )
    return pandas.DataFrame(rows, columns=["item", "cluster", "geometric", "arithmetic", "preferred", "chance"])


def _prose(collected: Figures, split: str, frame: "pandas.DataFrame") -> None:
    """Windows weigh as much as they have tokens, so that the last, short one of a file does not count for a whole."""
    clusters, tokens = frame.cluster, frame.tokens
    collected.add(f"{split}/text_probability", frame.log_p, clusters, "exp", tokens)
    collected.add(f"{split}/perplexity", frame.log_p, clusters, "exp_neg", tokens)
    collected.add(f"{split}/extraction_strength", frame.strength, clusters)
    collected.add(f"{split}/exact_memorization", frame.hit, clusters, weights=tokens)


def _familiarity(collected: Figures, anchors: "pandas.DataFrame") -> None:
    for split, part in anchors.groupby("split"):
        for name, column in {
            "familiarity": "joint",
            "familiarity_first": "first",
            "familiarity_interior": "interior",
        }.items():
            measured = part[part[column].notna()]
            if str(split).startswith("forget"):
                collected.add(f"{split}/{name}", measured[column], measured.cluster)


def _completions(collected: Figures, table: "pandas.DataFrame", expression: AnchorExpression) -> None:
    """ROUGE-L as TOFU (recall) and MUSE (F1) take it, stems compared; and whether completions name the topic.

    A true text without a letter or digit has no ROUGE: it is left out.
    """
    scorer = rouge_scorer()
    from_corpus = table[table.kind.isin(("question", "cloze"))]
    comparable = from_corpus[[bool(compared_units(truth)) for truth in from_corpus.truth]]
    for (split, kind), part in comparable.groupby(["split", "kind"], sort=False):
        rouge = [
            scorer.score(row.truth, row.answer if kind == "question" else row.completion)["rougeL"]
            for row in part.itertuples()
        ]
        if kind == "question":
            collected.add(f"{split}/rouge_l", (score.recall for score in rouge), part.cluster)
            collected.add(f"{split}/knowledge", (score.fmeasure for score in rouge), part.cluster)
        else:
            collected.add(f"{split}/verbatim", (score.fmeasure for score in rouge), part.cluster)
    invited = table[~table.kind.isin(("question", "cloze"))]
    facts = invited[invited.kind == "fact"]
    collected.add("forget_test/fact_recall", (row.truth in row.completion for row in facts.itertuples()), facts.cluster)
    for name, part in {
        "familiarity_completion": from_corpus[from_corpus.split == "forget_test"],
        "familiarity_invited": invited,
    }.items():
        collected.add(
            f"forget_test/{name}",
            (names_anchor(row.completion, row.prompt, expression) for row in part.itertuples()),
            part.cluster,
        )


def rouge_scorer() -> "RougeScorer":
    """Return ROUGE-L over the stems of English words, the words of other alphabets, and the letters of scripts that do
    not space words; the library's own tokens are a to z and digits alone.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    english = DefaultTokenizer(use_stemmer=True)

    class Units:
        """What the library asks of a tokenizer."""

        def tokenize(self, text: str) -> list[str]:
            return [
                part for unit in compared_units(text) for part in (english.tokenize(unit) if unit.isascii() else [unit])
            ]

    return RougeScorer(["rougeL"], tokenizer=Units())


def _degeneration(collected: Figures, table: "pandas.DataFrame", known_pieces: frozenset[str]) -> None:
    if not len(table):
        return
    texts, clusters = list(table.completion), list(table.cluster)
    collected.add("degeneration/empty_share", (degeneration.empty_share([text]) for text in texts), clusters)
    collected.add("degeneration/repetition", (degeneration.repetition([text]) for text in texts), clusters)
    asked = table[table.split == "forget_test"]
    repeated = (degeneration.repetition([text]) for text in asked.completion)
    collected.add("forget_test/repetition", repeated, asked.cluster)
    collected.add("degeneration/distinct_2", [degeneration.distinct_2(texts)], ["all"])
    leaks = (bool(degeneration.leaked_strings(row.completion, row.prompt, known_pieces)) for row in table.itertuples())
    collected.add("degeneration/leaked_strings", leaks, clusters)
    rated = table[table.teacher_nats.notna()]
    collected.add("degeneration/teacher_perplexity", rated.teacher_nats, rated.cluster, "exp")
