"""The main flow once from end to end on a random GPT-2 of two layers, and once more from the cache."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import mlflow
import pandas
import pytest
import torch
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from pydantic import TypeAdapter
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from flows.methods import METHODS
from flows.selective_unlearning import selective_unlearning
from flows.steps.outcome import Outcome, StageOf
from flows.steps.settings import apply_settings, setting_names
from tasks import store, tracking, tracking_purge
from tasks.models.checkpoints import inspect_model
from tasks.reporting import run_history
from tasks.settings.selective_unlearning import PRESETS, SelectiveUnlearningConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json
from tasks.tracking_source import account
from tests.stand_ins.benchmark_files import NAMES as NAMES_OF_BENCHMARKS
from tests.stand_ins.benchmark_files import write_benchmarks
from tests.stand_ins.command import ROOT
from tests.stand_ins.tiny import NAMES, SETTINGS, TinyTask

TRAINING = ("reinforcement", "finetune")
STAGES = {
    *(
        "corpus",
        "anchors",
        "translation",
        "reinforcement",
        "teacher cache",
        "labels",
        "finetune",
        "scorecard",
        "report",
        "registration",
        "prompting",
        "facts",
    ),
    *("probing target", "probing unlearned", "benchmarking target", "benchmarking unlearned"),
    *("relearning target", "relearning unlearned"),
    *("relearning on retain text target", "relearning on retain text unlearned"),
}
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "scorecard.v1.json").read_text())


@dataclass(frozen=True, kw_only=True)
class Twice:
    """The same flow run twice in one home."""

    task: TinyTask
    digests_before: dict[str, str]
    home: Path
    request: UnlearningRequest
    config: SelectiveUnlearningConfig
    """Of both runs."""
    first: Outcome
    second: Outcome


@pytest.fixture(scope="module")
def twice(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_task: TinyTask,
    tiny_gpt2: Callable[..., GPT2LMHeadModel],
    prefect_server: str,
) -> Iterator[Twice]:
    folder = tmp_path_factory.mktemp("flow")
    task, home = replace(tiny_task, model=folder / "gpt2"), folder / "lethe"
    tiny_gpt2(3).save_pretrained(task.model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (task.model / name).write_bytes((tiny_task.model / name).read_bytes())
    before = digests(task.model)
    config = apply_settings(METHODS["whp"].preset("default", 0), [*SETTINGS, "relearning.texts=[forget, retain]"])
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(home / "results")}):
        patch.setenv("LETHE_HOME", str(home))
        patch.setattr(store, "_checked", set())
        first = selective_unlearning(task.request(), config)
        second = selective_unlearning(task.request(), config)
        yield Twice(
            task=task,
            digests_before=before,
            home=home,
            request=task.request(),
            config=config,
            first=first,
            second=second,
        )


def named(stages: dict[StageOf, str]) -> dict[str, str]:
    return {str(key): state for key, state in stages.items()}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def of_run(outcome: Outcome) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[UUID(outcome.flow_run)]))


def task_states(outcome: Outcome) -> dict[str, list[str]]:
    """Return name of a stage -> names of the states of its task runs."""
    states: dict[str, list[str]] = {}
    with get_client(sync_client=True) as api:
        for task in api.read_task_runs(flow_run_filter=of_run(outcome), limit=200):
            states.setdefault(task.name, []).append(task.state_name)
    return states


def nested_runs(outcome: Outcome) -> dict[str, Any]:
    api = tracking.client()
    experiment = api.get_run(outcome.mlflow_run).info.experiment_id
    return {
        run.info.run_name: run
        for run in api.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{outcome.mlflow_run}'")
    }


def target_digest(twice: "Twice") -> str:
    return inspect_model(str(twice.task.model), "target").digest


def test_both_runs_show_whose_they_are_and_the_model_that_they_registered(twice: Twice) -> None:
    for outcome in (twice.first, twice.second):
        run = tracking.client().get_run(outcome.mlflow_run)
        assert (run.data.tags["mlflow.source.name"], run.data.tags["mlflow.user"]) == (
            "flows.selective_unlearning",
            account(),
        )
        said = run.data.tags["mlflow.note.content"]
        for words in (
            "`whp` (arXiv:2310.02238) on model",
            "**Verdict not passed, evidence behavioural",
            "Registered as",
        ):
            assert words in said
        (shown,) = run.outputs.model_outputs
        assert tracking.client().get_logged_model(shown.model_id).name == "unlearned"


def load(folder: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()


def test_every_stage_is_computed_once_and_is_a_completed_task_run(twice: Twice) -> None:
    assert named(twice.first.stages) == dict.fromkeys(STAGES, "Completed")
    states = task_states(twice.first)
    # each under the name of its stage and of the model that it looks at
    assert states == {name: ["Completed"] for name in STAGES}


def test_the_scorecard_fits_its_schema(twice: Twice) -> None:
    card = read_json(store.path(twice.first.scorecard) / "scorecard.json")
    jsonschema.validate(card, SCHEMA)
    assert card["verdict"]["evidence"] == "behavioural"
    assert {
        "forget_test/perplexity",
        "retain_test/perplexity",
        "forget_test/familiarity",
        "benchmark/world/acc",
    } <= set(card["metrics"])
    assert card["provenance"]["unlearned model"] == twice.first.unlearned.digest


def test_the_scorecard_says_what_each_stage_took_and_keeps_it_when_nothing_is_computed_anew(twice: Twice) -> None:
    made = nested_runs(twice.first)
    cost = read_json(store.path(twice.first.scorecard) / "scorecard.json")["cost"]
    assert set(cost) == STAGES - {"scorecard", "report", "registration"}
    info = made["finetune"].info
    assert cost["finetune"] == pytest.approx((info.end_time - info.start_time) / 1000, abs=0.06)
    assert twice.second.scorecard.digest == twice.first.scorecard.digest


def test_the_target_checkpoint_is_untouched_and_some_weight_has_moved(twice: Twice) -> None:
    assert digests(twice.task.model) == twice.digests_before
    before, after = load(twice.task.model).state_dict(), load(store.path(twice.first.unlearned)).state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(value.isfinite().all() for value in after.values())


def test_the_registered_model_is_the_stored_one_to_the_bit(twice: Twice) -> None:
    name, _, version = twice.first.model_version.partition(" version ")
    found = tracking.client().get_model_version_by_alias(name, "candidate")
    assert str(found.version) == version
    with tracking.as_global_uri():
        registered = mlflow.transformers.load_model(f"models:/{name}@candidate").model
    ids = torch.arange(1, 61).view(2, 30)
    stored = load(store.path(twice.first.unlearned))
    with torch.no_grad():
        assert torch.equal(stored(ids).logits, registered(ids).logits)
        assert torch.equal(stored(ids).logits, load(store.path(twice.first.unlearned))(ids).logits)


def test_mlflow_has_a_finished_parent_with_a_finished_run_for_every_stage(twice: Twice) -> None:
    parent = tracking.client().get_run(twice.first.mlflow_run)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["lethe.prefect_flow_run"] == twice.first.flow_run
    assert {found.dataset.name for found in parent.inputs.dataset_inputs} == {"forget 1", "retain 1"}
    params = parent.data.params
    assert (params["preset"], params["seed"], params["settings.labels.block_size"]) == ("default", "0", "32")
    assert not [name for name in params if name.startswith("settings.verdict.")]
    assert (params["verdict"], params["target"]) == ("not passed", target_digest(twice)[:16])
    assert re.fullmatch(rf"[a-z]+-[a-z]+ whp {target_digest(twice)[:8]}", parent.info.run_name)
    assert not [name for name in parent.data.metrics if name.startswith("system/")]
    assert "forget_test/perplexity" in parent.data.metrics
    nested = nested_runs(twice.first)
    assert set(nested) == STAGES | {tracking.MACHINE}
    assert {run.info.status for run in nested.values()} == {"FINISHED"}
    for stage in TRAINING:
        assert len(run_history.curve(nested[stage].info.run_id, "loss_nats")) > 1


def test_mlflow_has_the_table_of_benchmarks(twice: Twice) -> None:
    assert [found.label for found in twice.first.benchmarks] == ["target", "unlearned"]
    folder = tracking.client().download_artifacts(twice.first.mlflow_run, "tables")
    table = pandas.read_csv(Path(folder) / "benchmarks.csv")
    card = read_json(store.path(twice.first.scorecard) / "scorecard.json")
    assert table.model.tolist() == ["target", "unlearned"]
    assert table["world/acc"].tolist() == pytest.approx(
        [card["metrics"]["benchmark/world/acc"][label] for label in ("target", "unlearned")], abs=1e-6
    )
    assert table["world/p"].notna().tolist() == [False, True]


def test_mlflow_has_the_models_answers_side_by_side(twice: Twice) -> None:
    folder = tracking.client().download_artifacts(twice.first.mlflow_run, "forget/tables")
    table = pandas.read_csv(Path(folder) / "answers.csv")
    assert list(table.columns) == ["split", "kind", "prompt", "truth", "target", "unlearned"]
    assert {"cloze", "asked", "continued"} <= set(table.kind)
    assert table.prompt.notna().all()
    assert set(table.split) >= {"forget_test", "retain_test"}


def test_the_second_run_trains_nothing_and_links_to_the_runs_that_did(twice: Twice) -> None:
    assert named(twice.second.stages) == dict.fromkeys(STAGES, "Cached")
    states = task_states(twice.second)
    assert {state for found in states.values() for state in found} == {"Cached"}
    assert [states[stage] for stage in TRAINING] == [["Cached"], ["Cached"]]
    made, linked = nested_runs(twice.first), nested_runs(twice.second)
    for stage in STAGES - {"registration"}:  # whose record is no artifact
        assert linked[stage].data.tags["lethe.cached"] == "true"
        assert linked[stage].data.tags["lethe.origin_run"] == made[stage].info.run_id, stage
        assert f"/runs/{made[stage].info.run_id})" in linked[stage].data.tags["mlflow.note.content"]
        assert linked[stage].data.tags[tracking.ARTIFACT] == made[stage].data.tags[tracking.ARTIFACT], stage
        assert linked[stage].info.status == "FINISHED"
    assert (twice.second.unlearned, twice.second.scorecard, twice.second.model_version) == (
        twice.first.unlearned,
        twice.first.scorecard,
        twice.first.model_version,
    )


def test_a_setting_that_leaves_the_anchors_as_they_are_costs_no_training(twice: Twice) -> None:
    config = apply_settings(twice.config, ["anchors.max_anchors=1000"])
    states = named(selective_unlearning(twice.request, config).stages)
    # the report lists all settings
    assert {stage for stage, state in states.items() if state != "Cached"} == {"anchors", "report"}


@pytest.mark.slow
def test_local_benchmarks_cost_no_training_and_are_keyed_by_content(twice: Twice, tmp_path: Path) -> None:
    data = write_benchmarks(tmp_path / "data")
    config = apply_settings(twice.config, ["benchmarking.limit=6"])
    first = selective_unlearning(replace(twice.request, benchmark_data=str(data)), config)
    assert {stage for stage, state in named(first.stages).items() if state != "Cached"} == {
        "benchmarking target",
        "benchmarking unlearned",
        "scorecard",
        "report",
    }
    assert {found.tasks for found in first.benchmarks} == {7}
    card = read_json(store.path(first.scorecard) / "scorecard.json")
    jsonschema.validate(card, SCHEMA)
    assert {f"benchmark/{name}/acc" for name in (*NAMES_OF_BENCHMARKS, "world")} <= set(card["metrics"])
    moved = data.rename(tmp_path / "moved")
    again = selective_unlearning(replace(twice.request, benchmark_data=str(moved)), config)
    assert set(again.stages.values()) == {"Cached"}


def test_the_prefect_ui_links_to_mlflow_and_shows_scorecard_and_progress(twice: Twice) -> None:
    with get_client(sync_client=True) as api:
        found = list(api.read_artifacts(flow_run_filter=of_run(twice.first), limit=200))
    by_key = {artifact.key: artifact for artifact in found}
    assert twice.first.mlflow_run in str(by_key["mlflow-run"].data)
    assert by_key["scorecard"].type == "table"
    assert "forget_test/perplexity" in str(by_key["scorecard"].data)
    progress = [artifact for key, artifact in by_key.items() if key.startswith("progress-")]
    assert {"progress-reinforcement", "progress-finetune"} <= set(by_key)
    assert {float(artifact.data) for artifact in progress} == {100.0}


def test_no_forgotten_term_is_in_anything_public(twice: Twice) -> None:
    said: list[str] = []
    api = tracking.client()
    experiment = api.get_run(twice.first.mlflow_run).info.experiment_id
    for run in api.search_runs([experiment]):
        said.append(
            str(
                [
                    run.info.run_name,
                    run.data.params,
                    run.data.tags,
                    run.data.metrics,
                    run.inputs.to_dictionary() if run.inputs else {},
                ]
            )
        )
    with get_client(sync_client=True) as client:
        for outcome in (twice.first, twice.second):
            said.append(str(client.read_artifacts(flow_run_filter=of_run(outcome), limit=200)))
            said.append(str(client.read_task_runs(flow_run_filter=of_run(outcome), limit=200)))
            said.append(str(client.read_flow_run(UUID(outcome.flow_run))))
            logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(outcome.flow_run)])))
            said += [log.message for log in logs]
    public = [
        path
        for path in twice.home.rglob("*")
        if path.is_file() and "forget" not in path.parts and not _holds_a_tokenizer(path)
    ]
    said += [path.read_text(errors="replace") for path in public if path.suffix != ".db"]
    assert len(said) > 40
    assert [(name, text[:200]) for text in said for name in NAMES if name in text] == []


def _holds_a_tokenizer(path: Path) -> bool:
    return path.name == "tokenizer.json"  # the target's own


def test_purge_leaves_no_file_with_a_forgotten_term(twice: Twice) -> None:
    def holding() -> list[Path]:
        files = [path for path in twice.home.rglob("*") if path.is_file() and not _holds_a_tokenizer(path)]
        return [path for path in files if any(name.encode() in path.read_bytes() for name in NAMES)]

    assert holding()
    assert store.purge().artifacts > 5
    assert tracking_purge.purge_artifacts().files > 0
    assert holding() == []


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", METHODS)
def test_the_config_of_every_method_goes_through_the_flows_schema_and_back(name: str, preset: str) -> None:
    method = METHODS[name]
    config = method.preset(preset, 3)
    written = json.loads(json.dumps(TypeAdapter(method.config).dump_python(config, mode="json")))
    flow = method.flow()
    assert (
        flow.validate_parameters({"request": {"forget": ["a.txt"], "model": "m"}, "config": written})["config"]
        == config
    )
    assert "config" in flow.parameters.properties


@pytest.mark.parametrize("name", METHODS)
def test_a_misspelt_setting_is_refused_by_the_flows_schema(name: str) -> None:
    method = METHODS[name]
    config = method.preset("default", 0)
    written = json.loads(json.dumps(TypeAdapter(method.config).dump_python(config, mode="json")))
    sections = list(dict.fromkeys(name.partition(".")[0] for name in setting_names(config) if "." in name))
    for section in (sections[0], "objective" if "objective" in sections else sections[-1]):
        given = {
            "request": {"forget": ["a.txt"], "model": "m"},
            "config": {**written, section: {**written[section], "misspelt": 1}},
        }
        with pytest.raises(Exception, match=r"Unexpected keyword argument|has no setting misspelt"):
            method.flow().validate_parameters(given)


def test_methods_that_change_weights_say_so() -> None:
    assert METHODS["whp"].changes_weights
