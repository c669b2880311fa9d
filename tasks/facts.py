"""Stage `facts`: what the forget text states, as a table that a person can read and rank-one editing can use."""

from dataclasses import asdict

from tasks import formats, store, tracking
from tasks.algorithms.anchors import anchor_expression
from tasks.algorithms.facts import find_facts, recommend
from tasks.artifacts import AnchorTable, CorpusRef, FactTable
from tasks.stage import stage


@stage("facts", isolated=False)
def extract_facts(corpus: CorpusRef, dictionary: AnchorTable, run: str | None = None) -> FactTable:
    """Read facts out of questions and sentences of the forget text, and say which family of methods fits it."""
    with tracking.stage_run(run, "facts") as nested:
        documents = formats.read_documents(corpus, "forget")
        facts = find_facts(documents, anchor_expression(formats.read_dictionary(dictionary)))
        family, reason = recommend(documents, facts)
        digest = store.put("facts", lambda folder: formats.write_rows(folder / "facts.csv", [asdict(fact) for fact in facts]), sensitivity="forget")
        tracking.log_metrics(nested, {"facts": float(len(facts))})
        counts = {"facts": len(facts), "recommended": family, "reason": reason}
        return FactTable(kind="facts", digest=digest, sensitivity="forget", origin=nested or "", **counts)
