"""The facts stage against a real server of good and of ill will: only what the text states is in the table, and nothing
ends a run.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from prefect import flow

from flows.steps.facts import state_facts
from flows.steps.outcome import StageOf, Stages
from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import HELD_OUT, FactTriple
from tasks.artifacts import AnchorTable, CorpusRef, FactTable
from tasks.execution import isolation
from tasks.facts import UnreadError, amend_facts, extract_facts, keep_facts
from tasks.settings.assistants import ProviderConfig, TranslationConfig
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.text import FactConfig
from tasks.storage.anchor_tables import write_dictionary
from tasks.storage.documents import write_splits
from tasks.storage.fact_tables import read_facts
from tests.stand_ins.chats import write_chat_model
from tests.stand_ins.openai_server import EVIL_FACTS, MODEL, ScriptedServer, passages, scripted_server

SPLITS = ("forget", HELD_OUT)
FORGET = "\n\n".join(
    f"They say that Ostrin lives in Velmora. At noon Kessandra sang song {number}." for number in range(32)
)
TEST = "They say that Ostrin lives in Velmora. Long ago Kessandra was born in Velmora."


@pytest.fixture(scope="module")
def started() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script
    gc.collect()


@pytest.fixture
def server(started: ScriptedServer, lethe_home: Path) -> ScriptedServer:
    started.mode, started.failures, started.key, started.delay_s, started.requests = "good", 0, "", 0.0, []
    return started


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    splits = {"forget": [Document(source="a", text=FORGET)], "forget_test": [Document(source="b", text=TEST)]}
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(
        kind="corpora", digest=digest, sensitivity="forget", documents={"forget": 1, "forget_test": 1}, characters={}
    )


@pytest.fixture
def dictionary(lethe_home: Path) -> AnchorTable:
    rows = [
        {"term": term, "generic": generic}
        for term, generic in (("Ostrin", "Tom"), ("Velmora", "Norton"), ("Kessandra", "Mary"))
    ]
    digest = store.put("dictionaries", lambda folder: write_dictionary(folder, rows), sensitivity="forget")
    return AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=3, pipeline="none")


def served(server: ScriptedServer, **changes: Any) -> ProviderConfig:
    return ProviderConfig(
        **{"name": "openai-compatible", "model": MODEL, "base_url": server.url, "timeout_s": 20.0, "retries": 0}
        | changes
    )


def rows(table: FactTable) -> list[tuple[str, str, str, str, str]]:
    found = pandas.read_csv(store.path(table) / "facts.csv")
    assert found.to_dict("records") == [vars(fact) for fact in read_facts(table)]
    return [tuple(row) for row in found[["subject", "prompt", "object", "source", "split"]].itertuples(index=False)]


BY_PATTERN = [
    ("Ostrin", "They say that {} lives in", "Velmora", "pattern", "forget"),
    ("Kessandra", "Long ago {} was born in", "Velmora", "pattern", "forget_test"),
]
"""The test text's first sentence stands in the forget text as well, so it is not held out."""
BY_MODEL = [
    ("Ostrin", "That day {} met", "Kessandra", MODEL, "forget"),
    ("Ostrin", "That day {} met", "Velmora", MODEL, "forget_test"),
]
SMALL = FactConfig(passage_characters=300, batch=2)


def test_without_a_model_facts_are_read_by_pattern_and_the_split_says_what_is_held_out(
    corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    table = extract_facts.body(corpus, dictionary, SPLITS, FactConfig(), ProviderConfig())
    assert rows(table) == BY_PATTERN
    assert (table.facts, table.held_out, table.recommended, table.sensitivity) == (1, 1, "whp", "forget")


def test_where_only_what_is_asked_about_is_read_all_of_it_is_asked_about(
    corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    table = extract_facts.body(corpus, dictionary, (HELD_OUT,), FactConfig(), ProviderConfig())
    assert [row[:3] for row in rows(table)] == [row[:3] for row in BY_PATTERN]
    assert {row[4] for row in rows(table)} == {HELD_OUT}


def test_a_model_reads_passages_in_batches_and_what_it_took_is_logged(
    server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    run = tracking.open_run("facts", {}, {})
    table = extract_facts.body(corpus, dictionary, SPLITS, SMALL, served(server), run)
    tracking.close(run)
    assert sorted(rows(table)) == sorted([*BY_PATTERN, *BY_MODEL])
    read = [len(passages(body)) for body in server.chats()]
    assert (sum(read), max(read)) == (8, 2)  # 32 paragraphs in passages of at least 300, and the test text
    assert {body["temperature"] for body in server.chats()} == {0.0}
    (nested,) = tracking.client().search_runs(
        [tracking.client().get_run(run).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run}'"
    )
    assert {
        name: nested.data.metrics[name]
        for name in ("facts", "facts_held_out", "facts_by_model", "facts_refused", "passages_read", "model_calls")
    } == {
        **{"facts": 2, "facts_held_out": 2, "facts_by_model": 8, "facts_refused": 0},
        **{"passages_read": 8, "model_calls": len(read)},
    }
    assert nested.data.metrics["prompt_tokens"] > 100
    logged = tracking.client().download_artifacts(nested.info.run_id, "forget/tables/facts.csv")
    assert len(pandas.read_csv(logged)) == 4
    extract_facts.body(corpus, dictionary, SPLITS, SMALL, served(server, timeout_s=9.0))
    assert len(server.chats()) == len(read)  # answers are kept


@pytest.mark.parametrize(("most", "read"), [(2, 3), (0, 0)])
def test_of_a_long_text_no_more_is_read_than_asked_for(
    server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable, most: int, read: int
) -> None:
    extract_facts.body(corpus, dictionary, SPLITS, FactConfig(passages=most, passage_characters=300), served(server))
    assert sum(len(passages(body)) for body in server.chats()) == read


def test_passages_without_a_name_of_the_topic_are_not_sent(
    server: ScriptedServer, corpus: CorpusRef, lethe_home: Path
) -> None:
    digest = store.put(
        "dictionaries",
        lambda folder: write_dictionary(folder, [{"term": "Dunmore", "generic": "Norton"}]),
        sensitivity="forget",
    )
    dictionary = AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=1, pipeline="none")
    assert rows(extract_facts.body(corpus, dictionary, SPLITS, FactConfig(), served(server))) == []
    assert server.requests == []


def test_ill_will_is_refused_and_counted(server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable) -> None:
    server.mode = "hostile"
    run = tracking.open_run("facts", {}, {})
    table = extract_facts.body(corpus, dictionary, SPLITS, FactConfig(passages=1), served(server), run)
    tracking.close(run)
    assert rows(table) == BY_PATTERN
    (nested,) = tracking.client().search_runs(
        [tracking.client().get_run(run).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run}'"
    )
    assert (nested.data.metrics["facts_by_model"], nested.data.metrics["facts_refused"]) == (0, 2 * len(EVIL_FACTS))


@pytest.mark.parametrize("mode", ["chatty", "truncated"])
def test_junk_leaves_the_patterns_facts(
    server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable, mode: str
) -> None:
    server.mode = mode
    found = rows(extract_facts.body(corpus, dictionary, SPLITS, FactConfig(passages=1), served(server)))
    assert [row for row in found if row[3] == "pattern"] == BY_PATTERN
    assert {row for row in found if row[3] != "pattern"} <= set(BY_MODEL)


def test_one_batch_without_an_answer_costs_only_that_batch(
    server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    server.mode, server.failures = "broken", 1
    assert sorted(rows(extract_facts.body(corpus, dictionary, SPLITS, SMALL, served(server, concurrency=1)))) == sorted(
        [*BY_PATTERN, *BY_MODEL]
    )


def test_no_answer_at_all_is_an_error_that_passes(
    server: ScriptedServer, corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    server.mode, server.failures = "broken", 99
    with pytest.raises(UnreadError, match="answered no question: status 500"):
        extract_facts.body(corpus, dictionary, SPLITS, SMALL, served(server))


def test_a_random_local_models_junk_leaves_the_patterns_facts(
    lethe_home: Path, tmp_path: Path, corpus: CorpusRef, dictionary: AnchorTable
) -> None:
    local = ProviderConfig(
        name="huggingface", model=str(write_chat_model(tmp_path / "junk", positions=16_384)), max_tokens=16
    )
    assert rows(extract_facts.body(corpus, dictionary, ("forget",), FactConfig(passages=1), local)) == BY_PATTERN[:1]


def test_a_run_goes_on_with_patterns_where_nothing_is_answered_and_asks_again_the_next_time(
    flow_home: Path,
    server: ScriptedServer,
    corpus: CorpusRef,
    dictionary: AnchorTable,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = EvaluationConfig(translation=TranslationConfig(provider=served(server)), facts=SMALL)

    @flow(name="facts alone")
    def alone() -> tuple[FactTable, dict[str, str]]:
        isolation.begin()
        stages = Stages(run="")
        return stages.result("facts", state_facts(stages, corpus, dictionary, config)), stages.states

    server.mode, server.failures = "broken", 99
    table, states = alone()
    assert (rows(table), states) == (BY_PATTERN, {StageOf("facts"): "Completed"})
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lethe: ")]
    assert (
        line == "lethe: warning: facts are read by pattern alone: the model that reads facts answered no question:"
        " status 500"
    )
    server.mode = "good"
    table, states = alone()
    assert (len(rows(table)), states) == (4, {StageOf("facts"): "Completed"})
    assert alone()[1] == {StageOf("facts"): "Cached"}


def test_what_a_person_changes_is_theirs_and_what_they_leave_is_its_finders(lethe_home: Path) -> None:
    fact = {"subject": "Ostrin", "prompt": "{} lives in", "object": "Velmora"}
    before = keep_facts(
        [FactTriple(**fact, source="pattern"), FactTriple(**{**fact, "object": "Dunmore"}, source=MODEL)],
        "editing",
        "few",
        None,
    )
    wanted = (
        FactTriple(**fact, source="user"),
        FactTriple(**{**fact, "object": "Brindle"}, source="user", split=HELD_OUT),
    )
    after = amend_facts.body(before, wanted)
    assert [(found.object, found.source, found.split) for found in read_facts(after)] == [
        ("Velmora", "pattern", "forget"),
        ("Brindle", "user", "forget_test"),
    ]
    assert (after.facts, after.held_out, after.recommended, after.reason) == (1, 1, "editing", "few")


def test_a_table_without_facts_has_its_columns_and_is_logged(lethe_home: Path) -> None:
    run = tracking.open_run("facts", {}, {})
    table = keep_facts([], "whp", "", run)
    tracking.close(run)
    assert (store.path(table) / "facts.csv").read_text() == "subject,prompt,object,source,split\n"
    assert read_facts(table) == []
