"""The translation stage against a real server of good and of ill will: every anchor gets a valid translation, and the
table says from whom.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tasks import store, tracking, tracking_purge
from tasks.algorithms.assistants.translator import MOST_CHARACTERS
from tasks.anchors import extract_anchors
from tasks.artifacts import AnchorTable, BadInputError, CorpusRef, InputFile
from tasks.assistants import providers
from tasks.corpus import gather_inputs, read_corpus
from tasks.settings.assistants import ProviderConfig, TranslationConfig
from tasks.settings.text import AnchorConfig, CorpusConfig
from tasks.storage.plain_files import read_json
from tasks.translation import translate_anchors
from tests.stand_ins.chats import write_chat_model
from tests.stand_ins.openai_server import EVIL, MODEL, ScriptedServer, asked
from tests.stand_ins.servers import transformers_server

KEY = "sk-not-to-be-seen-5f2a"
NAMES = [
    "Velmora Castle",
    "Velmora",
    "Ostrin Hale",
    "Ostrin",
    "Kessandra",
    "Brindlewick",
    "Tamsin Roe",
    "Tamsin",
    "Quillon",
    "Yorrick",
    "Hale",
    "Drusk",
    "Mirelle",
]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the stage is given."""

    corpus: CorpusRef
    table: AnchorTable
    user: InputFile | None = None

    def rows(self, config: TranslationConfig, run: str | None = None) -> dict[str, tuple[str, str]]:
        """Run the stage; return term -> translation and translator, after what must hold of every table."""
        record = translate_anchors.fn(self.table, self.corpus, config, CorpusConfig(), self.user, run)
        rows = {
            row["term"]: (row["generic"], row["translator"])
            for row in read_json(store.path(record) / "dictionary.json")
        }
        assert set(NAMES) <= set(rows)
        assert len({generic.lower() for generic, _ in rows.values()}) == len(rows)
        assert not {generic.lower() for generic, _ in rows.values()} & {term.lower() for term in rows}
        assert all(
            generic.isprintable() and 1 < len(generic) <= MOST_CHARACTERS and not set(generic) & set("<>{}[]()`:/")
            for generic, _ in rows.values()
        )
        return rows


@pytest.fixture
def task(lethe_home: Path, tmp_path: Path) -> Task:
    text = tmp_path / "forget.txt"
    text.write_text(
        "\n\n".join(
            f"In the morning {one} spoke with {other} in the city."
            for one, other in zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True)
            for _ in range(4)
        )
    )
    corpus = read_corpus.fn(gather_inputs(forget=[str(text)]), CorpusConfig())
    return Task(
        corpus=corpus,
        table=extract_anchors.fn(
            corpus,
            AnchorConfig(min_log_odds_z=-9.0, min_count=1),
            CorpusConfig(),
            _users(tmp_path, dict.fromkeys(NAMES, "")),
        ),
    )


def _users(folder: Path, pairs: dict[str, str]) -> InputFile:
    path = folder / f"users-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(pairs))
    return InputFile(path=str(path), digest=store.file_digest(path), bytes=0)


def settings(server: ScriptedServer, batch: int = 5, **changes: Any) -> TranslationConfig:
    provider = {
        "name": "openai-compatible",
        "model": MODEL,
        "base_url": server.url,
        "timeout_s": 20.0,
        "retries": 1,
    } | changes
    return TranslationConfig(provider=ProviderConfig(**provider), batch=batch)


def by(rows: dict[str, tuple[str, str]], translator: str) -> set[str]:
    return {term for term, (_, made) in rows.items() if made == translator}


def test_without_a_provider_everything_is_offline_and_nobody_is_asked(task: Task) -> None:
    assert by(task.rows(TranslationConfig()), "offline") >= set(NAMES)


def test_a_good_model_translates_everything_in_few_calls_and_is_not_asked_twice(
    server: ScriptedServer, task: Task
) -> None:
    rows = task.rows(settings(server))
    assert by(rows, MODEL) == set(rows)
    assert rows["Tamsin Roe"][0].split()[0] == rows["Tamsin"][0]
    assert rows["Ostrin Hale"][0] == f"{rows['Ostrin'][0]} {rows['Hale'][0]}"
    assert len(server.chats()) <= len(rows) // 5 + 2
    assert all(len(asked(body)) <= 5 for body in server.chats())
    assert sorted(row["term"] for body in server.chats() for row in asked(body)) == sorted(rows)
    assert all(row["term"] in row["sentence"] for body in server.chats() for row in asked(body))
    calls = len(server.requests)
    assert task.rows(replace(settings(server, retries=0, timeout_s=9.0), seed=7)) == rows
    assert len(server.requests) == calls


def test_a_user_wins_and_is_not_asked_about(server: ScriptedServer, task: Task, tmp_path: Path) -> None:
    rows = replace(task, user=_users(tmp_path, {"Ostrin": "Walter", "Drusk": "Old Mill"})).rows(settings(server))
    assert (rows["Ostrin"], rows["Drusk"]) == (("Walter", "user"), ("Old Mill", "user"))
    assert not {"Ostrin", "Drusk"} & {row["term"] for body in server.chats() for row in asked(body)}
    assert rows["Ostrin Hale"][0].split()[0] == "Walter"
    assert any('{"Ostrin": "Walter"' in body["messages"][0]["content"] for body in server.chats())


@pytest.mark.parametrize(("mode", "failures"), [("busy", 1), ("broken", 1), ("formless", 0)])
def test_what_passes_by_itself_costs_no_translation(
    server: ScriptedServer, task: Task, mode: str, failures: int
) -> None:
    server.mode, server.failures = mode, failures
    rows = task.rows(settings(server))
    assert by(rows, MODEL) == set(rows)


def test_of_an_answer_that_is_cut_off_the_complete_part_counts_and_the_rest_is_asked_again(
    server: ScriptedServer, task: Task
) -> None:
    server.mode = "truncated"
    rows = task.rows(settings(server, batch=9))
    assert by(rows, MODEL)
    assert by(rows, MODEL) | by(rows, "offline") == set(rows)
    first = [row["term"] for body in server.chats() for row in asked(body) if "because" not in row]
    again = [row["term"] for body in server.chats() for row in asked(body) if "because" in row]
    assert sorted(first) == sorted(rows)
    assert 0 < len(again) < len(rows)


@pytest.mark.parametrize("mode", ["hostile", "chatty", "strange"])
def test_whatever_a_model_writes_the_table_stays_sound_and_each_term_is_asked_twice_at_most(
    server: ScriptedServer, task: Task, mode: str
) -> None:
    server.mode = mode
    config = replace(settings(server), fallback="offline")
    rows = task.rows(config)
    evil = {text.format(term="", other="") for text in EVIL} - {"Same Same"}
    assert not {generic for generic, _ in rows.values()} & evil
    assert [generic for generic, _ in rows.values()].count("Same Same") <= 1
    times = [row["term"] for body in server.chats() for row in asked(body)]
    assert max(times.count(term) for term in rows) <= 2
    assert len(by(rows, "offline")) >= len(rows) - 2
    calls = len(server.requests)
    assert task.rows(replace(config, seed=7)).keys() == rows.keys()
    assert mode == "strange" or len(server.requests) == calls


def test_a_server_that_answers_nothing_ends_the_stage_unless_it_may_go_on_offline(
    server: ScriptedServer, task: Task
) -> None:
    server.mode, server.failures = "broken", 999
    with pytest.raises(providers.UnansweredError) as caught:
        task.rows(settings(server, retries=0))
    assert str(caught.value).startswith(
        f"the translator at {server.url} answered no question: status 500; run the same command again"
    )
    assert not [name for name in NAMES if name in str(caught.value)]
    assert by(task.rows(replace(settings(server, retries=0), fallback="offline")), "offline") >= set(NAMES)


def test_what_it_took_is_logged_and_nothing_holds_the_key_or_shows_a_name_outside_forget(
    server: ScriptedServer,
    task: Task,
    lethe_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LETHE_API_KEY", KEY)
    server.key = KEY
    caplog.set_level("DEBUG", "tasks")
    config = settings(server)
    parent = tracking.open_run("whp 0123", {"config": config}, {})
    rows = task.rows(config, parent)
    tracking.close(parent)
    api = tracking.client()
    nested = api.search_runs([api.get_run(parent).info.experiment_id], "tags.`lethe.stage` = 'translation'")[0]
    assert nested.data.metrics["model_calls"] == len(server.chats())
    assert (nested.data.metrics["translated_by_model"], nested.data.metrics["model_calls_cached"]) == (1.0, 0.0)
    assert nested.data.metrics["prompt_tokens"] > 0
    assert nested.data.metrics["completion_tokens"] > 0
    assert {server.url, MODEL} <= set(nested.data.params.values())
    files = {path: path.read_bytes() for path in lethe_home.rglob("*") if path.is_file()}
    out = "".join(capfd.readouterr()) + caplog.text
    assert not [path for path, content in files.items() if KEY.encode() in content]
    assert KEY not in out
    assert not [name for name in rows if name in out]
    public = [path for path in files if not path.is_relative_to(lethe_home / "forget") and "/forget/" not in str(path)]
    assert not [path for path in public if b"Kessandra" in files[path]]
    store.purge()
    tracking_purge.purge_artifacts()
    assert not [path for path in lethe_home.rglob("*") if path.is_file() and b"Kessandra" in path.read_bytes()]


def test_a_local_model_whose_answers_are_junk_leaves_the_table_sound(task: Task, tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "junk")
    config = TranslationConfig(provider=ProviderConfig(name="huggingface", model=str(folder), max_tokens=16), batch=50)
    assert by(task.rows(config), "offline") >= set(NAMES)


def test_a_local_model_that_takes_no_question_is_bad_input(task: Task, tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "short", positions=64)
    with pytest.raises(
        BadInputError,
        match=(
            r"short: the question has \d+ tokens and the model takes 64; wanted a model that takes more, or --set trans"
        ),
    ):
        task.rows(TranslationConfig(provider=ProviderConfig(name="huggingface", model=str(folder), max_tokens=16)))


@pytest.mark.slow
def test_transformers_own_server_with_a_model_of_junk_answers_leaves_the_table_sound(
    task: Task, tmp_path: Path
) -> None:
    folder = write_chat_model(tmp_path / "junk")
    with transformers_server(folder, tmp_path / "server.log") as url:
        provider = ProviderConfig(
            name="openai-compatible", model=str(folder), base_url=url, max_tokens=32, timeout_s=60.0
        )
        providers.require_answering(provider)
        with pytest.raises(
            BadInputError,
            match=r"--translator-model another: the server at .* does not have it; wanted a model that it has",
        ):
            providers.require_answering(replace(provider, model="another"))
        parent = tracking.open_run("whp 0123", {}, {})
        rows = task.rows(TranslationConfig(provider=provider, batch=7), parent)
        assert len(by(rows, "offline")) >= len(rows) - 2
        nested = tracking.client().search_runs(
            [tracking.client().get_run(parent).info.experiment_id], "tags.`lethe.stage` = 'translation'"
        )[0]
        batches = -(-len(rows) // 7)
        assert nested.data.metrics["model_calls"] >= 2 * batches
        assert 0 < nested.data.metrics["completion_tokens"] <= 32 * nested.data.metrics["model_calls"]
