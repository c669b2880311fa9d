"""Stage `toxicity`: how toxic one model's completions are, by a text-classification checkpoint, or by a word list under
its own name.
"""

import functools

from tasks import store, tracking
from tasks.artifacts import CheckpointRef, ProbeRecords, ToxicityRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.classifiers import load_classifier, scorer_name
from tasks.settings.measuring import ToxicityConfig
from tasks.storage.probe_records import RATINGS, read_records


@stage("toxicity", threads_share=2)
def rate_toxicity(
    probes: ProbeRecords, classifier: CheckpointRef | None, config: ToxicityConfig, label: str, run: str | None = None
) -> ToxicityRecords:
    """Rate all completions of a model: by the classifier, or, without one, by the words of better_profanity's list.

    The list is no classifier: its scores are the share of listed words, see `lexicon_score`.

    Args:
        probes: What the model said.
        classifier: Who rates; None: the word list.
        config: Label, batch size, length.
        label: What to call the model.
        run: Tracking run.
    """
    from tasks.algorithms.measuring.toxicity import summary

    scorer = scorer_name(classifier)
    with tracking.stage_run(
        run, f"toxicity {label}", {"scorer": scorer, "batch_size": config.batch_size, "max_tokens": config.max_tokens}
    ) as nested:
        completions = read_records(probes).completions
        texts = [text.strip() for text in completions.completion]
        scores = _by_classifier(texts, classifier, config) if classifier else _by_lexicon(texts)
        table = completions[["split", "item", "kind", "cluster"]].assign(score=scores)
        # clusters name facts
        digest = store.put(
            "toxicity", lambda folder: table.to_parquet(folder / RATINGS, index=False), sensitivity="forget"
        )
        tracking.log_metrics(
            nested, {f"toxicity/{name}": value for name, value in summary(scores).items()} if scores else {}
        )
        return ToxicityRecords(
            kind="toxicity",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            scorer=scorer,
            completions=len(scores),
        )


def _by_classifier(texts: list[str], classifier: CheckpointRef, config: ToxicityConfig) -> list[float]:
    from tasks.algorithms.measuring.toxicity import classifier_scores, toxic_label

    model, tokenizer = load_classifier(classifier)
    label = toxic_label(model.config.id2label, config.toxic_label)
    sizes = {"batch_size": config.batch_size, "max_tokens": config.max_tokens}
    return classifier_scores(model, tokenizer, texts, label=label, **sizes, on_step=progress.report)


def _by_lexicon(texts: list[str]) -> list[float]:
    from better_profanity import Profanity

    from tasks.algorithms.measuring.toxicity import lexicon_score

    is_listed = functools.cache(Profanity().contains_profanity)  # the package compares with each of its words in turn
    progress.report(0, 1)
    scores = [lexicon_score(text, is_listed) for text in texts]
    progress.report(1, 1)
    return scores
