"""`--review` against a real server: the run pauses, takes a person's tables and texts through the API, refuses wrong
ones, and goes on.
"""

import contextlib
import csv
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from transformers import LlamaForCausalLM

from tasks.algorithms.text.invitations import OPENINGS
from tests.stand_ins.command import environment, lethe, start
from tests.stand_ins.servers import prefect_server, prefect_settings
from tests.stand_ins.taught import taught_model
from tests.stand_ins.tiny import NAMES, TinyTask
from tests.stand_ins.tiny_models import train_tokenizer
from tests.stand_ins.waiting import PATIENCE_S, end_of, wait_for


@pytest.fixture(scope="module")
def surroundings() -> dict[str, str]:
    return prefect_settings()


@pytest.fixture(scope="module")
def server(surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    folder = tmp_path_factory.mktemp("server")
    address = temporary_settings({PREFECT_API_URL: surroundings["PREFECT_API_URL"]})
    with (
        prefect_server(environment(folder / "lethe", **surroundings), folder / "server.log"),
        address,
        get_client(sync_client=True) as client,
    ):
        yield client


def paused(server: SyncPrefectClient, key: str) -> FlowRun | None:
    """Return the run that waits for its form of that name."""
    found = [
        run
        for run in server.read_flow_runs()
        if run.state and run.state.is_paused() and run.state.state_details.pause_key == key
    ]
    return found[0] if found and inputs(server, found[0]) else None


@contextlib.contextmanager
def reviewed(*words: str | Path, error: Path, home: Path, **surroundings: str) -> Iterator[subprocess.Popen[str]]:
    """Run `lethe --review` until the block ends: a test that fails leaves nobody waiting for a person."""
    with start(*words, "--review", home=home, error=error, **surroundings) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_form(
    server: SyncPrefectClient, process: subprocess.Popen[str], key: str, error: Path, seconds: float = PATIENCE_S
) -> tuple[FlowRun, dict[str, Any]]:
    """Return the run that waits for a form, and the form: field -> what stands in it, and `description`."""
    run = wait_for(lambda: process.poll() is not None or paused(server, key), f"the form {key}", seconds, every_s=0.5)
    assert isinstance(run, FlowRun), error.read_text()
    found = inputs(server, run)
    fields = found[f"paused-{key}-schema"]["properties"]
    return run, {name: field["default"] for name, field in fields.items()} | {
        "description": found[f"paused-{key}-description"]
    }


def inputs(server: SyncPrefectClient, run: FlowRun) -> dict[str, Any]:
    return {
        found.key: found.decoded_value
        for found in server.filter_flow_run_input(run.id, key_prefix="paused", limit=10, exclude_keys=set())
    }


@pytest.mark.slow
def test_a_person_amends_anchors_and_facts_and_nothing_of_it_stays_on_the_server(
    server: SyncPrefectClient, surroundings: dict[str, str], tiny_task: TinyTask, tmp_path: Path
) -> None:
    error = tmp_path / "error.txt"
    with reviewed(
        *tiny_task.words(), "--out", tmp_path / "out", home=tmp_path / "lethe", error=error, **surroundings
    ) as process:
        run, form = wait_for_form(server, process, "review-1", error)
        assert {row["term"] for row in form["dictionary"]} == set(NAMES)
        assert (
            f"waits for a person at {surroundings['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{run.id}"
            in error.read_text()
        )
        fact, held_out = form["facts"][0], form["held_out_facts"][0]
        assert (fact["prompt"].count("{}"), {fact["subject"], fact["object"]} <= set(NAMES)) == (1, True)
        kept = [row for row in form["dictionary"] if row["term"] == "Ostrin"]
        assert (kept[0]["keep"], kept[0]["kind"] != "", kept[0]["count"] > 3) == (True, True, True)
        assert "Ostrin" in kept[0]["context"]
        kept += [{"term": "Velmora", "translation": "Greyham"}, {"term": "farmhouse", "translation": "cottage"}]
        resume_flow_run(run.id, run_input={"dictionary": [*kept, {"term": "Kessandra", "translation": "Ostrin"}]})
        _, form = wait_for_form(server, process, "review-2", error)
        assert "which is itself an anchor" in form["description"]
        mine = {"subject": "Velmora", "prompt": "The ruler of {} is", "object": "Tamsin"}
        resume_flow_run(run.id, run_input={"dictionary": kept, "facts": [fact, {**mine, "prompt": "{} and {} are"}]})
        _, form = wait_for_form(server, process, "review-3", error)
        assert "the prompt '{} and {} are' holds {} 2 times; wanted once" in form["description"]
        facts = [row["prompt"] for row in form["facts"] if row["keep"]]
        assert [facts[0], facts[-1]] == [fact["prompt"], "{} and {} are"]
        resume_flow_run(
            run.id, run_input={"dictionary": kept, "facts": [fact, mine], "held_out_facts": [held_out, fact]}
        )
        _, form = wait_for_form(server, process, "review-4", error)
        assert "kept for testing only what the text to forget does not state" in form["description"]
        resume_flow_run(run.id, run_input={"dictionary": kept, "facts": [fact, mine], "held_out_facts": [held_out]})
        process.wait(300)
    assert process.returncode == 0, error.read_text()
    rows = {row["term"]: row for row in table(tmp_path / "out" / "anchors.csv")}
    by = {term: (row["generic"], row["translator"]) for term, row in rows.items()}
    assert set(by) == {"Velmora", "farmhouse", "Ostrin"}
    assert (by["Velmora"], by["farmhouse"], by["Ostrin"][1]) == (("Greyham", "user"), ("cottage", "user"), "offline")
    assert int(rows["Velmora"]["count"]) > 3
    for row in (fact, held_out):
        del row["keep"]
    assert table(tmp_path / "out" / "facts.csv") == [
        {**fact, "source": "pattern", "split": "forget"},
        {**mine, "source": "user", "split": "forget"},
        {**held_out, "source": "pattern", "split": "forget_test"},
    ]
    prompts = [
        row
        for file in (tmp_path / "lethe").rglob("prompts.json")
        for row in json.loads(file.read_text())
        if row["kind"] == "fact"
    ]
    assert [row["text"] for row in prompts] == [held_out["prompt"].replace("{}", held_out["subject"])]
    assert inputs(server, run) == {}


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def telling_task(tiny_task: TinyTask, tiny_llama: Callable[..., LlamaForCausalLM], tmp_path: Path) -> TinyTask:
    """The tiny task with a model that tells of Dunmore, whom the text never mentions."""
    model, tokenizer = taught_model(
        [f"{opening.format(term=name)} was met by Dunmore." for opening in OPENINGS for name in NAMES],
        tiny_llama,
        train_tokenizer,
    )
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return replace(tiny_task, model=tmp_path / "model")


@pytest.mark.slow
def test_a_person_chooses_what_the_model_tells_that_is_forgotten_as_well(
    server: SyncPrefectClient, surroundings: dict[str, str], telling_task: TinyTask, tmp_path: Path
) -> None:
    error, words = tmp_path / "error.txt", telling_task.words("coverage.new_tokens=12")
    with reviewed(
        *words, "--expand-coverage", "--out", tmp_path / "out", home=tmp_path / "lethe", error=error, **surroundings
    ) as process:
        run, form = wait_for_form(server, process, "coverage-1", error)
        wanted, *unwanted = [row["text"] for row in form["texts"]]
        assert unwanted
        assert all("Dunmore" in text for text in (wanted, *unwanted))
        texts = [f" {wanted} ", "Dunmore was a miller.", " "]
        resume_flow_run(run.id, run_input={"texts": [{"text": text} for text in texts]})
        _, form = wait_for_form(server, process, "review-1", error)
        assert inputs(server, run).keys() == {f"paused-review-1-{part}" for part in ("schema", "description")}
        resume_flow_run(run.id, run_input={"dictionary": form["dictionary"]})
        said = end_of(process, tmp_path).stdout
    assert process.returncode == 0, error.read_text()
    assert "Names that it brings up and your text does not: Dunmore" in said
    files = [file.read_text() for file in (tmp_path / "lethe").rglob("forget.jsonl")]
    added = [
        [row["text"] for row in map(json.loads, file.splitlines()) if row["source"].startswith("elicited")]
        for file in files
    ]
    # the text as it was given, and with what was chosen
    assert sorted(added) == [[], [wanted, "Dunmore was a miller."]]
    assert inputs(server, run) == {}


def test_without_a_server_a_review_is_refused_before_anything_runs(tiny_task: TinyTask, tmp_path: Path) -> None:
    ended = lethe(*tiny_task.words(), "--review", home=tmp_path / "lethe", new=True)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert ended.stderr.startswith(
        "lethe: --review needs a Prefect server that stays up; found none: start one with `lethe up`"
    )
    assert [path for path in (tmp_path / "lethe").rglob("*") if path.is_file()] == []
