"""Prompts from files, which are named by file and line where they do not read, and from a real server of good and of
ill will.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import store, tracking
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.facts import FactTriple
from tasks.algorithms.text.invitations import Invitation
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef
from tasks.assistants import providers
from tasks.facts import keep_facts
from tasks.prompting import make_invitations, read_prompts
from tasks.settings.assistants import PromptingConfig, ProviderConfig
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import write_dictionary
from tasks.storage.documents import write_splits
from tasks.storage.plain_files import write_json
from tasks.storage.prompt_sets import read_invitations
from tests.stand_ins.chats import write_chat_model
from tests.stand_ins.command import ROOT
from tests.stand_ins.openai_server import MODEL, ScriptedServer
from tests.stand_ins.scripted_answers import rows

NAMES = ["Velmora", "Ostrin", "Kessandra", "Brindlewick", "Quillon", "Yorrick", "Drusk", "Mirelle"]
PUBLISHED = ROOT.parent / "shared" / "data" / "whp"


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published prompts are not here")
@pytest.mark.parametrize(
    ("name", "count", "referring"), [("evaluation_prompts.json", 199, 199), ("probability_prompts.json", 37, 0)]
)
def test_the_published_prompts_are_read(name: str, count: int, referring: int) -> None:
    found = list(read_prompts(PUBLISHED / name))
    assert (len(found), sum(bool(item.references) for item in found)) == (count, referring)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1,\n]", ", line 2: "),
        (b"\xe9", " is not UTF-8"),
        (b"{}", "holds no list of prompts"),
        (None, " does not exist"),
    ],
)
def test_a_file_that_does_not_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "prompts.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"^--prompts \S+prompts\.json") as error:
        list(read_prompts(tmp_path / "prompts.json"))
    assert message in str(error.value)


def made(writing: PromptingConfig, count: int = 12, run: str | None = None) -> list[Invitation]:
    """Run the stage on a small text; return its prompts, after what must hold of every set."""
    text = [
        Document(source="book", text=f"In the morning {one} spoke with {other} by the river.")
        for one, other in zip(NAMES, NAMES[::-1], strict=True)
    ]
    corpus = store.put(
        "corpora", lambda folder: write_splits(folder, {"forget": text, "forget_test": text[:1]}), sensitivity="forget"
    )
    listed = [{"term": name, "generic": "Tom", "kind": "PERSON"} for name in NAMES]
    dictionary = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", listed), sensitivity="forget"
    )
    record = make_invitations.body(
        CorpusRef(kind="corpora", digest=corpus, sensitivity="forget", documents={"forget": len(text)}, characters={}),
        AnchorTable(kind="dictionaries", digest=dictionary, sensitivity="forget", anchors=len(NAMES), pipeline="none"),
        keep_facts([], "whp", "", None),
        (),
        ProbingConfig(invitations=count),
        CorpusConfig(),
        writing,
        run,
    )
    found = read_invitations(record)
    assert len({item.text for item in found}) == len(found) == record.prompts
    assert all(
        item.references and not [name for name in item.references if name.lower() in item.text.lower()]
        for item in found
        if item.kind == "written"
    )
    return found


def kinds(found: list[Invitation]) -> list[str]:
    return [item.kind for item in found if item.kind != "fact"]


def settings(server: ScriptedServer, fallback: str = "none", batch: int = 5, **changes: Any) -> PromptingConfig:
    provider = {
        "name": "openai-compatible",
        "model": MODEL,
        "base_url": server.url,
        "timeout_s": 20.0,
        "retries": 1,
    } | changes
    return PromptingConfig(provider=ProviderConfig(**provider), fallback=fallback, batch=batch)


def test_without_a_provider_prompts_are_written_by_rules(lethe_home: Path) -> None:
    assert kinds(made(PromptingConfig())) == ["asked", "continued"] * 6


def test_a_good_model_writes_all_of_them_in_few_calls_and_is_not_asked_twice(server: ScriptedServer) -> None:
    found = made(settings(server))
    assert kinds(found) == ["written"] * 12
    assert {name for item in found for name in item.references} <= set(NAMES)
    assert {item.subtlety for item in found if item.kind == "written"} == set(range(11))
    # eight names; a third question begins with the first ones again
    assert sorted(len(rows(body, "name")) for body in server.chats()) == [3, 5, 5]
    assert all(row["name"] in row["sentence"] for body in server.chats() for row in rows(body, "name"))
    calls = len(server.requests)
    assert made(settings(server, retries=0, timeout_s=9.0)) == found
    assert len(server.requests) == calls


def test_the_offline_ones_fill_what_a_model_does_not_give(server: ScriptedServer) -> None:
    server.mode = "truncated"
    found = kinds(made(settings(server, batch=12, max_tokens=900)))
    assert len(found) == 12
    assert 0 < found.count("written") < 12
    assert found == sorted(found, key=lambda kind: kind != "written")


@pytest.mark.parametrize("mode", ["hostile", "chatty"])
def test_whatever_a_model_writes_the_prompts_stay_sound(server: ScriptedServer, mode: str) -> None:
    server.mode = mode
    assert kinds(made(settings(server))) == ["asked", "continued"] * 6
    assert len(server.chats()) <= 6
    if mode == "hostile":
        assert any("it repeats a passage of the text" in body["messages"][-1]["content"] for body in server.chats())


@pytest.mark.parametrize(("mode", "failures"), [("busy", 1), ("broken", 1), ("formless", 0)])
def test_what_passes_by_itself_costs_no_prompt(server: ScriptedServer, mode: str, failures: int) -> None:
    server.mode, server.failures = mode, failures
    assert kinds(made(settings(server))) == ["written"] * 12


def test_a_server_that_answers_nothing_ends_the_stage_unless_it_may_go_on_offline(server: ScriptedServer) -> None:
    server.mode, server.failures = "broken", 999
    with pytest.raises(
        providers.UnansweredError,
        match=r"^the prompt writer at http://\S+ answered no question: status 500; run the same command again",
    ):
        made(settings(server, retries=0))
    assert kinds(made(settings(server, "offline", retries=0))) == ["asked", "continued"] * 6


def test_what_it_took_is_logged_and_no_forgotten_text_is_outside_forget(
    server: ScriptedServer, lethe_home: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", "tasks")
    server.mode = "hostile"
    parent = tracking.open_run("whp 0123", {"config": settings(server)}, {})
    made(settings(server), 5, parent)
    tracking.close(parent)
    api = tracking.client()
    (nested,) = api.search_runs([api.get_run(parent).info.experiment_id], "tags.`lethe.stage` = 'prompting'")
    logged = nested.data.metrics
    assert (logged["prompts_written"], logged["model_calls"], logged["prompts"] >= 5) == (
        0.0,
        len(server.chats()),
        True,
    )
    assert logged["prompts_refused"] >= 10
    assert logged["prompt_tokens"] > 0
    assert not [
        name for name in NAMES if name in "".join(capfd.readouterr()) + caplog.text + json.dumps(nested.data.params)
    ]
    public = [
        path
        for path in lethe_home.rglob("*")
        if path.is_file() and not path.is_relative_to(lethe_home / "forget") and "/forget/" not in str(path)
    ]
    assert not [path for path in public if b"Kessandra" in path.read_bytes()]


def test_a_local_model_whose_answers_are_junk_leaves_it_to_the_rules(lethe_home: Path, tmp_path: Path) -> None:
    provider = ProviderConfig(name="huggingface", model=str(write_chat_model(tmp_path / "junk")), max_tokens=16)
    assert kinds(made(PromptingConfig(provider=provider))) == ["asked", "continued"] * 6


def _no_corpus() -> CorpusRef:
    digest = store.put(
        "corpora",
        lambda folder: write_splits(folder, {"forget": [Document(source="book", text="Nothing.")]}),
        sensitivity="forget",
    )
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={"forget": 1}, characters={})


def test_only_sentences_that_the_test_text_alone_states_are_to_be_finished(lethe_home: Path) -> None:
    rows = [{"term": "Ostrin", "generic": "Tom", "kind": "PERSON"}]
    digest = store.put("dictionaries", lambda folder: write_dictionary(folder, rows), sensitivity="forget")
    dictionary = AnchorTable(kind="dictionaries", digest=digest, sensitivity="forget", anchors=1, pipeline="none")
    stated = {"subject": "Ostrin", "object": "Velmora"}
    facts = [
        FactTriple(**stated, prompt="{} lives in", source="pattern"),
        FactTriple(**stated, prompt="{} was born in", source="a model", split="forget_test"),
        FactTriple(**stated, prompt="Where is {}?", source="question", split="forget_test"),
    ]
    prompts = read_invitations(
        make_invitations.body(
            _no_corpus(), dictionary, keep_facts(facts, "whp", "", None), (), ProbingConfig(invitations=2)
        )
    )
    assert [(item.kind, item.text, item.references) for item in prompts if item.references] == [
        ("fact", "Ostrin was born in", ("Velmora",))
    ]
    assert {item.kind for item in prompts} == {"asked", "continued", "fact"}
