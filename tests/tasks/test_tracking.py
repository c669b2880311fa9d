"""Tracking against a real MLflow store: parent and nested runs, batches, retries, cache links, sensitivity, nothing
left running.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from mlflow.entities import Run
from mlflow.utils.validation import _validate_metric_name

from tasks import store, tracking, tracking_purge
from tasks.artifacts import Artifact, InputFile, Sensitivity
from tasks.reporting import run_history
from tasks.settings.labels import LabelConfig
from tasks.tracking_source import account
from tests.stand_ins.waiting import wait_for


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One database for all tests here: making one takes seconds."""
    folder = tmp_path_factory.mktemp("lethe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETHE_HOME", str(folder))
        yield folder


@pytest.fixture
def parent() -> Iterator[str]:
    run = tracking.open_run("whp 12345678", {"config": LabelConfig()}, {"lethe.method": "whp"})
    yield run
    tracking.close(run)


def get(run: str) -> Run:
    return tracking.client().get_run(run)


def nested_in(parent: str) -> list[Run]:
    api = tracking.client()
    return list(api.search_runs([get(parent).info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"))


def running() -> list[str]:
    api = tracking.client()
    found = api.get_experiment_by_name(tracking.EXPERIMENT)
    return [run.info.run_name for run in api.search_runs([found.experiment_id], "attributes.status = 'RUNNING'")]


def names_of_artifacts(run: str, folder: str = "") -> set[str]:
    return {file.path for file in tracking.client().list_artifacts(run, folder or None)}


def test_the_store_is_a_database_under_the_home_unless_a_server_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking.tracking_uri() == f"sqlite:///{home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.tracking_uri() == "http://127.0.0.1:5000"


def test_a_parent_run_has_flat_params_and_tags(parent: str) -> None:
    found = get(parent)
    assert found.info.run_name == "whp 12345678"
    assert found.data.params["config.alpha"] == "5.0"
    assert found.data.tags["lethe.method"] == "whp"
    assert len(found.data.tags["mlflow.source.git.commit"]) == 40
    assert (found.data.tags["mlflow.user"], found.data.tags["mlflow.source.name"]) == (account(), "lethe")


def test_a_stage_is_a_finished_nested_run_with_its_settings(parent: str) -> None:
    with tracking.stage_run(parent, "labels", LabelConfig(alpha=2)) as nested:
        assert get(nested).info.status == "RUNNING"
    found = get(nested)
    assert [run.info.run_id for run in nested_in(parent)] == [nested]
    assert (found.info.status, found.info.run_name, found.data.params["alpha"]) == ("FINISHED", "labels", "2")


def test_without_a_parent_a_stage_tracks_nothing() -> None:
    with tracking.stage_run(None, "labels", LabelConfig()) as nested:
        assert nested is None
        tracking.log_metrics(nested, {"loss": 1.0})
        tracking.log_table(nested, pandas.DataFrame(), "none", "forget")
        tracking.log_artifact(nested, Path("/nowhere"), "forget")


def test_a_failed_stage_is_failed_and_its_retry_goes_on_with_the_same_run(parent: str) -> None:
    with pytest.raises(OSError, match="once"), tracking.stage_run(parent, "labels", LabelConfig()) as first:
        raise OSError("once")
    assert get(first).info.status == "FAILED"
    with tracking.stage_run(parent, "labels", LabelConfig()) as again:
        tracking.log_metrics(again, {"labels/positions": 3.0})
    assert again == first
    assert get(first).info.status == "FINISHED"
    assert len(nested_in(parent)) == 1


@pytest.mark.parametrize("steps", [1, tracking.FLUSH_ROWS, 2 * tracking.FLUSH_ROWS + 7])
def test_all_step_metrics_arrive(parent: str, steps: int) -> None:
    with tracking.stage_run(parent, "finetune") as nested, tracking.StepLog(nested) as log:
        for step in range(1, steps + 1):
            log(step, {"loss_nats": 1 / step, "learning_rate": step})
    assert run_history.curve(nested, "loss_nats") == [(step, pytest.approx(1 / step)) for step in range(1, steps + 1)]
    assert len(run_history.curve(nested, "learning_rate")) == steps


def test_step_metrics_arrive_even_if_training_fails(parent: str) -> None:
    with (
        pytest.raises(FloatingPointError),
        tracking.stage_run(parent, "finetune") as nested,
        tracking.StepLog(nested) as log,
    ):
        log(1, {"loss_nats": 2.0})
        raise FloatingPointError("loss nan at step 2")
    assert run_history.curve(nested, "loss_nats") == [(1, 2.0)]


def labels(origin: str, sensitivity: Sensitivity = "forget") -> Artifact:
    return Artifact(kind="labels", digest="a" * 64, sensitivity=sensitivity, origin=origin)


def test_a_cache_hit_is_a_finished_nested_run_that_links_to_its_origin(parent: str) -> None:
    with tracking.stage_run(parent, "labels") as made:
        pass
    tracking.mark_made(labels(made))
    later = tracking.open_run("later", {}, {})
    for _ in range(2):  # a retry goes on with the run of the earlier try
        tracking.link_cached(later, "labels", labels(made))
    tracking.close(later)
    (found,) = nested_in(later)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "labels")
    assert (found.data.tags["lethe.cached"], found.data.tags["lethe.origin_run"]) == ("true", made)
    assert found.data.tags["mlflow.note.content"] == (
        f"From cache; made by the run [labels {made[:8]}]({tracking.run_page(made)})."
    )
    assert found.data.tags[tracking.ARTIFACT] == get(made).data.tags[tracking.ARTIFACT]


@pytest.mark.parametrize("sensitivity", ["forget", "ordinary"])
def test_an_origin_on_another_server_is_told_by_name_and_digest(parent: str, sensitivity: Sensitivity) -> None:
    found = labels("b" * 32, sensitivity)
    tracking.mark_made(found)  # a stage that passes it on
    tracking.link_cached(parent, "labels", found)
    (linked,) = nested_in(parent)
    digest = store.keyed("a" * 64) if sensitivity == "forget" else "a" * 64
    assert tracking.name_artifact(found) == linked.data.tags[tracking.ARTIFACT] == digest
    assert linked.data.tags["mlflow.note.content"] == (
        f"From cache; made by a run that this server does not know: `labels`, id `{'b' * 32}`, on its own server the"
        f" one with the tag `lethe.artifact` = `{digest}`."
    )


def test_notes_are_paragraphs_in_their_order(parent: str) -> None:
    for words in ("First.", "**Then** a [link](#/models/a)."):
        tracking.add_note(parent, words)
    assert get(parent).data.tags[tracking.NOTE] == "First.\n\n**Then** a [link](#/models/a)."


def test_a_suspended_run_goes_on_as_the_run_that_it_was() -> None:
    tags = {tracking.FLOW_RUN: "1a2b"}
    run = tracking.open_run("whp", {"method": "whp"}, tags)
    with tracking.stage_run(run, "corpus") as nested:
        pass
    tracking.suspend(run)
    assert running() == []
    other = tracking.open_run("whp", {}, {tracking.FLOW_RUN: "another"})
    assert other != run
    assert get(run).info.status == "SCHEDULED"  # no other run takes it for dead
    assert tracking.open_run("whp", {"method": "whp"}, tags) == run
    assert get(run).info.status == "RUNNING"
    tracking.link_cached(run, "corpus", Artifact(kind="corpora", digest="a" * 64, sensitivity="forget", origin=nested))
    assert "lethe.cached" not in get(nested).data.tags  # by itself
    assert get(nested).info.status == "FINISHED"
    tracking.close(run)
    later = tracking.open_run("whp", {}, tags)
    assert later not in (run, other)
    for each in (other, later):
        tracking.close(each)


def test_a_suspended_run_that_will_not_go_on_ends() -> None:
    run = tracking.open_run("whp", {}, {tracking.FLOW_RUN: "1a2b"})
    tracking.end_suspended("1a2b")
    assert get(run).info.status == "RUNNING"  # it was not suspended
    tracking.suspend(run)
    tracking.end_suspended("another")
    assert get(run).info.status == "SCHEDULED"
    tracking.end_suspended("1a2b")
    assert get(run).info.status == "KILLED"


def test_close_leaves_nothing_running() -> None:
    run = tracking.open_run("whp", {}, {})
    stage = tracking.stage_run(run, "finetune")
    nested = stage.__enter__()
    assert len(running()) == 2
    tracking.close(run, "FAILED")
    assert running() == []
    assert [get(found).info.status for found in (run, nested)] == ["FAILED", "FAILED"]


def test_the_runs_that_nobody_holds_any_more_are_killed_when_the_next_run_opens() -> None:
    past, future = int(time.time() - 3600), int(time.time() + 60)
    elsewhere = tracking.open_run("elsewhere", {}, {"lethe.lease": f"{future} {'a' * 32}"})
    dead = tracking.open_run("dead", {}, {"lethe.lease": f"{past} {'b' * 32}"})
    nested = tracking.stage_run(dead, "finetune")
    nested_run = nested.__enter__()
    alive = tracking.open_run("alive", {}, {})
    assert [get(run).info.status for run in (dead, nested_run, elsewhere, alive)] == [
        "KILLED",
        "KILLED",
        "RUNNING",
        "RUNNING",
    ]
    for run in (elsewhere, alive):
        tracking.close(run)
    assert running() == []


def test_forget_artifacts_lie_under_forget_and_purge_removes_them_from_all_runs(
    parent: str, tmp_path: Path, home: Path
) -> None:
    secret, card = tmp_path / "anchors.csv", tmp_path / "scorecard.json"
    secret.write_text("term,generic\nVelmora,the town\n")
    card.write_text("{}")
    with tracking.stage_run(parent, "translation") as nested:
        for run in (parent, nested):
            tracking.log_artifact(run, secret, "forget", "tables")
            tracking.log_artifact(run, card, "public")
        tracking.log_table(nested, pandas.DataFrame({"term": ["Velmora"], "generic": [None]}), "dictionary", "forget")
    assert names_of_artifacts(nested) == {"forget", "scorecard.json"}
    assert names_of_artifacts(nested, "forget/tables") == {
        f"forget/tables/{name}" for name in ("anchors.csv", "dictionary.csv", "dictionary.json")
    }
    assert tracking_purge.purge_artifacts().files > 0
    assert [names_of_artifacts(run) for run in (parent, nested)] == [{"scorecard.json"}, {"scorecard.json"}]
    assert not [
        path for path in (home / "mlflow-artifacts").rglob("*") if path.is_file() and "Velmora" in path.read_text()
    ]
    assert tracking_purge.purge_artifacts().files == 0


def test_a_table_is_written_as_mlflow_reads_it_and_leaves_nothing_in_the_temporary_folder(
    parent: str, tmp_path: Path, home: Path
) -> None:
    began: list[Path] = []
    frame = pandas.DataFrame({"term": ["Velmora", "=1+1"], "generic": [None, "the town"], "count": [1, 2]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", lambda *args, **kwargs: began.append(tmp_path) or str(tmp_path))
        for _ in range(2):  # a retry goes on with the run of the earlier try
            tracking.log_table(parent, frame, "dictionary", "forget")
    assert (began, list((home / "forget" / "scratch").iterdir())) == ([], [])
    experiment = get(parent).info.experiment_id
    with tracking.as_global_uri():
        shown = tracking.client().load_table(experiment, "forget/tables/dictionary.json", run_ids=[parent])
    assert shown.astype(object).where(shown.notna(), None).to_dict("list") == frame.astype(object).where(
        frame.notna(), None
    ).to_dict("list")
    assert json.loads(get(parent).data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "forget/tables/dictionary.json", "type": "table"}
    ]


def test_data_sets_are_inputs_by_split_and_number_and_their_names_are_forget_artifacts(
    parent: str, tmp_path: Path
) -> None:
    files = [InputFile(path=f"/texts/{name}.txt", digest=digest * 64, bytes=10) for name, digest in ("ab", "bc")]
    tracking.log_inputs(parent, {"forget": files})
    found = {one.dataset.name: one for one in get(parent).inputs.dataset_inputs}
    assert set(found) == {"forget 1", "forget 2"}
    assert found["forget 1"].tags[0].value == "forget"
    assert found["forget 1"].dataset.digest == store.keyed("b" * 64)[:32]
    assert not any(word in str(get(parent)) for word in ("/texts", "a.txt", "b" * 32))
    places = json.loads(Path(tracking.client().download_artifacts(parent, "forget/inputs.json", tmp_path)).read_text())
    assert [(place["path"], place["digest"]) for place in places] == [(file.path, file.digest) for file in files]


def test_a_scorecard_becomes_metrics_of_valid_names_and_tags(parent: str) -> None:
    row = {"target": 0.9, "unlearned": 0.1, "retrained": None, "ci95": [0.0, 0.2], "n": 10}
    verdict: dict[str, Any] = {
        "forgotten": True,
        "passed": False,
        "evidence": "behavioural",
        "reasons": ["forgotten: Velmora"],
    }
    metrics = {"benchmark/world/acc": row, "forget_test/probability": row, "toxicity/ratio>0.5": row}
    card = {"metrics": metrics, "verdict": verdict}
    tracking.log_scorecard(parent, card, ("sibling/probability", "forget_test/probability"))
    found = get(parent).data
    assert (found.params["verdict"], found.params["verdict.tier"]) == ("not passed", "behavioural")
    assert next(iter(found.metrics)) == "forget_test/probability"  # MLflow's page that compares runs opens on it
    assert found.metrics["forget_test/probability"] == 0.1
    assert found.metrics["forget_test/probability.target"] == 0.9
    assert "forget_test/probability.retrained" not in found.metrics
    assert found.metrics["toxicity/ratio-0.5"] == 0.1
    assert found.tags["lethe.verdict.forgotten"] == "True"
    assert found.tags["lethe.scorecard"] == tracking.card_digest(dict(reversed(card.items())))
    assert found.tags["lethe.scorecard"] != tracking.card_digest({**card, "verdict": {**verdict, "passed": True}})
    assert not [value for value in found.tags.values() if "Velmora" in value]


@pytest.mark.parametrize("name", ["forget/familiarity", "a b", "p>0.5", "Größe", "x:y=z(1)"])
def test_metric_names_are_valid(name: str) -> None:
    _validate_metric_name(tracking.metric_name(name))


def test_long_params_are_cut(parent: str) -> None:
    run = tracking.open_run("long", {"facts": {"text": "x" * 9000}}, {})
    assert len(get(run).data.params["facts.text"]) == 500
    tracking.close(run)


def test_the_address_of_a_run_says_what_to_start_first(parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, how = tracking.run_address(parent)
    assert address.endswith(f"/runs/{parent}")
    assert how == "Start `lethe up` first."
    monkeypatch.setattr(tracking, "experiment_id", lambda api: "1")
    monkeypatch.setattr(tracking, "client", lambda: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@runs.example.org/")
    assert tracking.run_address("a")[0] == "http://runs.example.org/#/experiments/1/runs/a"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://someone:secret@db/runs")
    assert tracking.run_address("a")[1].startswith("Start `mlflow server --backend-store-uri postgresql://db/runs ")


def test_system_metrics_go_to_a_run_beside_the_figures_and_stop(parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with tracking.system_metrics(parent):
        wait_for(lambda: any(run.data.metrics for run in nested_in(parent)), "a first sample")
    assert get(parent).info.status == "RUNNING"
    (machine,) = nested_in(parent)
    assert (machine.info.run_name, machine.info.status) == ("machine", "FINISHED")
    assert "lethe.stage" not in machine.data.tags
    assert {name.partition("/")[0] for name in machine.data.metrics} == {"system"}
    assert get(parent).data.metrics == {}


def test_the_run_of_the_load_ends_with_a_run_that_an_error_ended() -> None:
    run = tracking.open_run("whp", {}, {})
    with pytest.raises(OSError, match="once"), tracking.system_metrics(run):
        raise OSError("once")
    tracking.close_after(OSError("once"), run)
    assert [found.info.status for found in (get(run), *nested_in(run))] == ["FAILED", "FAILED"]


def test_no_run_is_left_running_however_deep_it_is_nested(parent: str) -> None:
    trial = tracking.open_run("trial 1", {}, {"mlflow.parentRunId": parent})
    stage = tracking.open_run("finetune", {}, {"mlflow.parentRunId": trial})
    tracking.close(parent, "KILLED")
    assert [get(run).info.status for run in (parent, trial, stage)] == ["KILLED"] * 3
