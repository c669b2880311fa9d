"""Tables across runs: every figure over the target model's, what was left against what was kept, and paired tests."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.algorithms.verdicts.paired_tests import paired_difference
from tasks.algorithms.verdicts.trade_offs import pareto_front
from tasks.artifacts import ComparedRun

if TYPE_CHECKING:
    import pandas

LEFT = ("forget_test/probability", "forget_test/familiarity", "forget_test/text_probability")
"""What measures how much of the forgotten is left: the first that every run has."""
KEPT = {split: (f"{split}/probability", f"{split}/text_probability") for split in ("retain_test", "sibling")}
"""What measures how much is kept: the first that every run has."""
COMPARED = (
    "forget_test/probability",
    "forget_test/familiarity",
    "forget_test/familiarity_completion",
    "forget_test/perplexity",
    "retain_test/probability",
    "retain_test/perplexity",
    "sibling/probability",
    "sibling/perplexity",
    "general/probability",
    "general/perplexity",
)
"""Metrics of the table with a row a run; the long table has them all."""
TOXICITY = ("toxicity/mean", "toxicity/max")
"""Beginnings of further metrics of that table, by whom they were rated."""
MEASURING = (
    "corpus",
    "halves",
    "prompting",
    "probing",
    "benchmarking",
    "relearning",
    "judging",
    "toxicity",
    "stereotypes",
    "rounding",
)
"""Stages that judge a model, whatever method made it."""
LEAST_CLUSTERS = 2
"""Independent items without which nothing can be said about how a difference varies."""


def all_figures(runs: Sequence[ComparedRun], cards: Sequence[Mapping[str, Any]]) -> "pandas.DataFrame":
    """Return one row a run and metric: the figures, the unlearned model's interval, and both over the target model's
    figure.

    A ratio is missing where the target's figure is 0 or missing. The interval of the ratio takes the target's figure as
    given.
    """
    import pandas

    rows = [
        {
            "run": run.name,
            "metric": _metric_name(name, card["provenance"]),
            **{model: row[model] for model in ("target", "unlearned", "retrained")},
        }
        | dict(zip(("low", "high"), row["ci95"] or (None, None), strict=True))
        | {"n": row["n"]}
        for run, card in zip(runs, cards, strict=True)
        for name, row in card["metrics"].items()
    ]
    frame = pandas.DataFrame(rows).astype(
        dict.fromkeys(("target", "unlearned", "retrained", "low", "high", "n"), float)
    )
    divisor = frame.target.where(frame.target != 0)
    return frame.assign(
        ratio=frame.unlearned / divisor,
        ratio_low=frame.low / divisor,
        ratio_high=frame.high / divisor,
        ratio_retrained=frame.retrained / divisor,
    )


def _metric_name(metric: str, provenance: Mapping[str, Any]) -> str:
    """Toxicity by a word list and toxicity by a classifier are two metrics: the scorer is part of the name, so that
    neither stands for the other.
    """
    return f"{metric} by {provenance.get('toxicity scorer', 'nobody')}" if metric.startswith("toxicity/") else metric


def seconds_of_making(card: Mapping[str, Any]) -> float | None:
    """Return how long the stages took that made the unlearned model, added up; None where nobody knows."""
    spent = [seconds for stage, seconds in card.get("cost", {}).items() if stage.partition(" ")[0] not in MEASURING]
    return round(sum(spent), 1) if spent and card["provenance"].get("method") != "evaluation" else None


def summary(
    runs: Sequence[ComparedRun], cards: Sequence[Mapping[str, Any]], figures: "pandas.DataFrame"
) -> "pandas.DataFrame":
    """Return one row a run: what it is, its verdict, what it cost, and for each metric of `COMPARED` figure, interval
    and ratio to the target.
    """
    import pandas

    rows = [
        {
            "run": run.name,
            "method": run.method,
            "seed": run.seed,
            "passed": run.card.passed,
            "evidence": run.card.evidence,
            "seconds": seconds_of_making(card),
        }
        for run, card in zip(runs, cards, strict=True)
    ]
    frame = pandas.DataFrame(rows).set_index("run")
    columns = {"unlearned": "", "low": ".low", "high": ".high", "ratio": ".ratio"}
    rated = sorted({name for name in figures.metric if name.startswith(TOXICITY)})
    for metric in [*COMPARED, *rated]:
        selected = figures[figures.metric == metric].set_index("run")
        if len(selected):
            frame = frame.join(
                selected[list(columns)].rename(columns={name: metric + end for name, end in columns.items()})
            )
    return frame.reset_index()


def shared_metric(figures: "pandas.DataFrame", names: Sequence[str]) -> str:
    """Return the first of these metrics that every run has a ratio of, else the first that any run has, else an empty
    text.
    """
    counts = figures[figures.ratio.notna()].groupby("metric").run.nunique()
    candidates = [name for name in names if name in counts]
    return next(
        (name for name in candidates if counts[name] == figures.run.nunique()), candidates[0] if candidates else ""
    )


def trade_off(figures: "pandas.DataFrame", left: str, kept: str) -> "pandas.DataFrame":
    """Return one row a run that has both: what is left and what is kept over the target's, intervals, and whether it is
    on the front.

    Args:
        figures: What `all_figures` returns.
        left: Metric of the forgotten; less is better.
        kept: Metric of the kept; more is better.

    Returns:
        Columns run, left, left_low, left_high, left_retrained, the same of kept, and front.
    """
    columns = {"ratio": "", "ratio_low": "_low", "ratio_high": "_high", "ratio_retrained": "_retrained"}
    parts = [
        figures[figures.metric == metric]
        .set_index("run")[list(columns)]
        .rename(columns={name: stem + end for name, end in columns.items()})
        for stem, metric in (("left", left), ("kept", kept))
    ]
    frame = parts[0].join(parts[1], how="inner").dropna(subset=["left", "kept"]).reset_index()
    front = pareto_front(list(zip(frame.left.tolist(), frame.kept.tolist(), strict=True)))
    return frame.assign(front=[place in front for place in range(len(frame))])


def paired_tests(
    runs: Sequence[ComparedRun], cards: Sequence[Mapping[str, Any]], items: "Sequence[pandas.DataFrame | None]"
) -> "pandas.DataFrame":
    """Test each run's unlearned model against the first run's, item by item, for every metric of which both hold the
    same items.

    Args:
        runs: The runs; the first is what the others are held against.
        cards: Their scorecards: items are the same only if they come from the same text.
        items: Their items.parquet, or None.

    Returns:
        One row a run and metric: n, difference (this run's items less the first's, averaged), standard_error, low,
            high, p_value, and
        the statistic that makes the mean of the items a figure. Where no test can be made they are missing, and
        `reason` says why.
    """
    import pandas

    first, *others = [None if table is None else _by_metric(table) for table in items]
    rows = []
    for run, by_metric, card in zip(runs[1:], others, cards[1:], strict=True):
        if first is None or by_metric is None:
            lacking = [holder.name for holder, tables in ((runs[0], first), (run, by_metric)) if tables is None]
            tests = [{"metric": None, "reason": f"no items.parquet in {' and '.join(lacking)}"}]
        else:
            tests = _tests(by_metric, first, card["provenance"], cards[0]["provenance"])
        rows += [{"run": run.name, "against": runs[0].name, **test} for test in tests]
    return pandas.DataFrame(
        rows,
        columns=[
            "run",
            "against",
            "metric",
            "statistic",
            "n",
            "difference",
            "standard_error",
            "low",
            "high",
            "p_value",
            "reason",
        ],
    )


def _tests(
    mine: "dict[str, pandas.DataFrame]",
    first: "dict[str, pandas.DataFrame]",
    my_origin: Mapping[str, Any],
    first_origin: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Test every metric; what can be tested nowhere, for one reason, is one row without a metric."""
    tests = []
    for metric in sorted({*mine, *first}):
        same = _source_digest(metric, my_origin) == _source_digest(metric, first_origin)
        tests.append(
            {
                "metric": metric,
                **(_test(mine.get(metric), first.get(metric)) if same else {"reason": _difference_in_text(metric)}),
            }
        )
    reasons = {test["reason"] for test in tests}
    return [{"metric": None, "reason": reasons.pop()}] if len(reasons) == 1 and reasons != {None} else tests


def _difference_in_text(metric: str) -> str:
    rated = " or rated by different scorers" if metric.startswith("toxicity/") else ""
    return f"the runs were judged on different text{rated}"


def _source_digest(metric: str, provenance: Mapping[str, Any]) -> Any:
    """Return the digest of the text that a metric's items come from: its split's own, or that which the split was cut
    from, else all.
    """
    split = metric.partition("/")[0]
    own = provenance.get(f"{split} data") or provenance.get(f"{split.removesuffix('_test')} data")
    scorer = [str(provenance.get("toxicity scorer"))] if split == "toxicity" else []
    return own or sorted(f"{name} {value}" for name, value in provenance.items() if name.endswith(" data")) + scorer


def _by_metric(items: "pandas.DataFrame") -> "dict[str, pandas.DataFrame]":
    """Return the unlearned model's items by metric, each row named by cluster, item, and its place among those of equal
    name.
    """
    frame = (
        items[(items.model == "unlearned").to_numpy()].reset_index(drop=True).astype({"metric": str, "cluster": str})
    )
    frame["weight"] = frame.get("weight", 1.0)
    frame["place"] = frame.groupby(["metric", "cluster", "item"]).cumcount()
    return {
        str(metric): part.set_index(["cluster", "item", "place"]).sort_index()
        for metric, part in frame.groupby("metric")
    }


def _test(mine: "pandas.DataFrame | None", first: "pandas.DataFrame | None") -> dict[str, Any]:
    if mine is None or first is None:
        return {"reason": "one of the runs has no such metric"}
    if not mine.index.equals(first.index):
        return {
            "reason": (
                f"other items: {len(mine.index.intersection(first.index))} in common of {len(mine)} and {len(first)}"
            )
        }
    clusters, weights = mine.index.get_level_values("cluster"), mine.weight.to_numpy(float)
    if clusters.nunique() < LEAST_CLUSTERS:
        return {"reason": f"{clusters.nunique()} independent item; wanted {LEAST_CLUSTERS} or more"}
    scale = weights / weights.mean()  # so that the plain mean of the scaled numbers is the weighted mean
    numbers = [part.value.to_numpy(float) * scale for part in (mine, first)]
    test = paired_difference(*numbers, clusters=None if clusters.is_unique else list(clusters))
    return {
        "statistic": str(mine.statistic.iloc[0]),
        **{name: getattr(test, name) for name in ("n", "difference", "standard_error", "p_value")},
        **dict(zip(("low", "high"), test.ci95, strict=True)),
        "reason": None,
    }


def remarks(runs: Sequence[ComparedRun], cards: Sequence[Mapping[str, Any]], pairs: "pandas.DataFrame") -> list[str]:
    """Return what a reader has to know before the runs are held against each other, one sentence each."""
    sentences, apart = [], {"target model": "different target models", "forget data": "different text to forget"}
    if different := [
        words for name, words in apart.items() if len({str(card["provenance"].get(name)) for card in cards}) > 1
    ]:
        sentences.append(
            f"The runs have {' and '.join(different)}: ratios to each run's own target model can be compared, the"
            " figures themselves cannot."
        )
    if len({run.card.evidence for run in runs}) > 1:
        sentences.append(
            "The runs have evidence of different strength: a verdict with gold evidence says more than one without."
        )
    absent = [
        run.name
        for run, card in zip(runs, cards, strict=True)
        if all(row["target"] is None for row in card["metrics"].values())
    ]
    sentences += [
        f"{name} was judged without its target model, so that it has no ratios and is not in the plot."
        for name in absent
    ]
    sentences += [
        f"No paired test of {row.run} against {row.against}: {row.reason}."
        for row in pairs[pairs.metric.isna()].itertuples()
    ]
    tests = int(pairs.p_value.notna().sum())
    if tests > 1:
        sentences.append(
            f"p-values are not corrected for the {tests} tests: about {tests * 0.05:.1f} of them would lie below 0.05"
            " by chance."
        )
    return sentences
