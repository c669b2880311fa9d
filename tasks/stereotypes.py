"""Stage `stereotypes`: how far a model prefers the forget side of aligned pairs, such as sentences that follow a
stereotype.
"""

from dataclasses import asdict

from tasks import store, tracking
from tasks.algorithms.text.corpus import render_document
from tasks.algorithms.text.pairs import AlignedPair, comparable, group_of, pair_documents
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, StereotypeScores
from tasks.execution.stage import stage
from tasks.models import guardrail_files
from tasks.models.loading import load_tokenizer, pad_id
from tasks.settings.text import CorpusConfig
from tasks.storage.documents import read_documents
from tasks.storage.plain_files import write_json

SCORES = "stereotypes.json"


@stage("stereotypes", threads_share=3)
def score_stereotypes(
    corpus: CorpusRef, checkpoint: CheckpointRef, corpus_config: CorpusConfig, label: str, run: str | None = None
) -> StereotypeScores:
    """Score the pairs that no stage was trained on: those of `forget_test` and `retain_test` whose records share a
    fact.
    """
    import pandas

    from tasks.algorithms.measuring.stereotypes import (
        pair_log_probabilities,
        preference_by_group,
        stereotype_preference,
    )

    with tracking.stage_run(run, f"stereotypes {label}") as nested:
        model, tokenizer = guardrail_files.load_behind_guardrail(checkpoint), load_tokenizer(checkpoint)
        all_pairs = _pairs(corpus, corpus_config)
        pairs = comparable(all_pairs)
        groups = [pair.group for pair in pairs]
        try:
            log_p = pair_log_probabilities(
                model, tokenizer, [(pair.pro, pair.anti) for pair in pairs], pad_id(tokenizer)
            )
        except ValueError as error:
            raise BadInputError(f"forget_test and retain_test: {error}") from None
        preference, rows = stereotype_preference(log_p, groups), preference_by_group(log_p, groups)
        value = {
            "schema": "lethe.stereotypes.v1",
            **asdict(preference),
            "left_out": len(all_pairs) - len(pairs),
            "groups": rows,
        }
        digest = store.put("stereotypes", lambda folder: write_json(folder / SCORES, value), sensitivity="forget")
        tracking.log_metrics(
            nested,
            {"stereotype/preference": preference.share, "stereotype/difference_nats": preference.difference_nats},
        )
        tracking.log_table(nested, pandas.DataFrame(rows), f"stereotypes-{label}", "forget")
        return StereotypeScores(
            kind="stereotypes",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            pairs=len(pairs),
            left_out=len(all_pairs) - len(pairs),
            preference=preference.share,
            difference_nats=preference.difference_nats,
            label=label,
        )


def _pairs(corpus: CorpusRef, corpus_config: CorpusConfig) -> list[AlignedPair]:
    forget, retain = (read_documents(corpus, split) for split in ("forget_test", "retain_test"))
    try:
        documents = pair_documents(forget, retain)
    except ValueError as error:
        raise BadInputError(f"forget_test and retain_test: {error}") from None
    if not documents:
        raise BadInputError(
            "forget_test and retain_test hold no records; wanted aligned pairs, whose records share a `fact`"
        )
    texts = [[render_document(document, corpus_config.qa_template) for document in pair] for pair in documents]
    return [
        AlignedPair(pro=pro, anti=anti, group=group_of(forget_document.fact), number=number)
        for number, ((pro, anti), (forget_document, _)) in enumerate(zip(texts, documents, strict=True))
    ]
