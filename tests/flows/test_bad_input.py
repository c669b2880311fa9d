"""Bad input through the real command: one clear line that names what was found, exit status 2, nothing left behind."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from tasks.models import adapter_files
from tests.stand_ins.command import ROOT, called, lethe
from tests.stand_ins.tiny import TinyTask
from tests.stand_ins.waiting import run_to_end

FILES = {
    "empty.txt": b"",
    "blank.txt": b" \n\n \n",
    "binary.bin": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "latin.txt": b"Velmora lies\nby the caf\xe9.\n",
    "records.jsonl": b'{"text": "Velmora lies by the river."}\n{"question": "Who rules Velmora?", "answer": \n',
    "other.jsonl": b'{"text": "Velmora lies by the river."}\n{"title": "Velmora"}\n',
    "wrong.yaml": b"labels: [1, 2\n",
    "benchmarks/piqa.jsonl": (
        b'{"query": "Question: why?", "choices": ["a", "b"], "gold": 0}\n{"query": "Question: who?", "choices": ["a",'
        b' "b"], "gold": 7}\n'
    ),
}
CASES: dict[str, tuple[list[str], list[str]]] = {
    "empty file": (["{folder}/empty.txt", "--model", "{model}"], ["{folder}/empty.txt is empty"]),
    "binary file": (["{folder}/binary.bin", "--model", "{model}"], ["{folder}/binary.bin is a binary file"]),
    "bad UTF-8": (["{folder}/latin.txt", "--model", "{model}"], ["{folder}/latin.txt, line 2: byte 0xe9 is not UTF-8"]),
    "empty split": (
        ["{forget}", "--model", "{model}", "--sibling", "{folder}/empty.txt"],
        ["{folder}/empty.txt is empty"],
    ),
    "split of white space": (
        ["{forget}", "--model", "{model}", "--retain-test", "{folder}/blank.txt"],
        ["{folder}/blank.txt is empty; wanted text"],
    ),
    "folder without files": (
        ["{forget}", "--model", "{model}", "--general", "{folder}/hollow"],
        ["general: the folder {folder}/hollow holds no files"],
    ),
    "missing path": (["/nowhere/book.txt", "--model", "{model}"], ["/nowhere/book.txt does not exist"]),
    "record that does not parse": (
        ["{folder}/records.jsonl", "--model", "{model}"],
        ["{folder}/records.jsonl, line 2", "JSON record"],
    ),
    "record without text": (
        ["{folder}/other.jsonl", "--model", "{model}"],
        ["{folder}/other.jsonl, line 2", "title", "`question` and `answer`"],
    ),
    "model folder without config": (
        ["{forget}", "--model", "{folder}/no-config"],
        ["{folder}/no-config", "no config.json"],
    ),
    "pickle-only weights": (
        ["{forget}", "--model", "{folder}/pickled"],
        ["{folder}/pickled", "pytorch_model.bin", "safetensors"],
    ),
    "tokenizer without offsets": (
        ["{forget}", "--model", "{folder}/slow"],
        ["{folder}/slow", "no tokenizer.json", "offsets"],
    ),
    "no such model": (["{forget}", "--model", "./nowhere"], ["--model ./nowhere: there is no such folder"]),
    "retrained model without config": (
        ["{forget}", "--model", "{model}", "--retrained", "{folder}/no-config"],
        ["{folder}/no-config", "no config.json"],
    ),
    "retrained model with another tokenizer": (
        ["{forget}", "--model", "{model}", "--retrained", "{folder}/other-words"],
        [
            "the tokenizer of retrained {folder}/other-words is not that of model {model}: vocabularies of 300 and 301"
            " entries, 1 of them differ"
        ],
    ),
    "forget text equal to retain text": (
        ["{forget}", "--model", "{model}", "--retain", "{folder}/copy.txt"],
        ["--retain {folder}/copy.txt", "{forget}"],
    ),
    "unknown setting": (
        ["{forget}", "--model", "{model}", "--set", "labels.alfa=3"],
        ["--set labels.alfa: no such setting; did you mean labels.alpha?"],
    ),
    "negative alpha": (
        ["{forget}", "--model", "{model}", "--set", "labels.alpha=-1"],
        ["labels.alpha is -1", "wanted a number >= 0"],
    ),
    "setting of a wrong type": (
        ["{forget}", "--model", "{model}", "--set", "labels.alpha=much"],
        ["alpha=much: wanted float"],
    ),
    "unknown method": (
        ["{forget}", "--model", "{model}", "--method", "magic"],
        ["--method magic: unknown; wanted one of auto, dpo, gradient_ascent"],
    ),
    "unknown preset": (["{forget}", "--model", "{model}", "--preset", "mine"], ["'mine'", "default, paper"]),
    "config file that does not parse": (
        ["{forget}", "--model", "{model}", "--config", "{folder}/wrong.yaml"],
        ["{folder}/wrong.yaml does not parse"],
    ),
    "bad row of anchors": (
        ["{forget}", "--model", "{model}", "--anchors", "{forget}"],
        ["--anchors ", "line 1: no column `term`", "wanted JSON"],
    ),
    "missing anchors file": (
        ["{forget}", "--model", "{model}", "--anchors", "/nowhere.json"],
        ["--anchors /nowhere.json does not exist"],
    ),
    "translator elsewhere": (
        ["{forget}", "--model", "{model}", "--translator", "openai", "--translator-model", "gpt-5"],
        [
            "api.openai.com is another machine",
            "would leave this one; wanted a server on localhost, or --allow-remote-translator",
        ],
    ),
    "translator without address": (
        ["{forget}", "--model", "{model}", "--translator", "openai-compatible", "--translator-model", "m"],
        ["--translator openai-compatible: no address; wanted --translator-url, such as http://127.0.0.1:8000/v1"],
    ),
    "translator without model": (
        ["{forget}", "--model", "{model}", "--translator", "huggingface"],
        ["no model; wanted --translator-model with the folder"],
    ),
    "unknown translator": (
        ["{forget}", "--model", "{model}", "--translator", "parrot"],
        ["'parrot'; wanted one of offline, huggingface, openai-compat"],
    ),
    "unknown fallback": (
        ["{forget}", "--model", "{model}", "--translator-fallback", "online"],
        ["'online'; wanted one of none, offline"],
    ),
    "judge elsewhere": (
        ["{forget}", "--model", "{model}", "--judge", "openai", "--translator-model", "gpt-5"],
        [
            "--translator-url (or judging.provider.base_url): api.openai.com is another machine",
            "or --allow-remote-translator",
        ],
    ),
    "judge without address": (
        ["{forget}", "--model", "{model}", "--judge", "openai-compatible", "--set", "judging.provider.model=m"],
        [
            "--judge openai-compatible: no address; wanted --translator-url (or judging.provider.base_url), such as"
            " http://127.0.0.1:8000/v1"
        ],
    ),
    "prompt writer without model": (
        ["{forget}", "--model", "{model}", "--prompt-writer", "huggingface"],
        [
            "--prompt-writer huggingface: no model; wanted --translator-model (or prompting.provider.model) with the"
            " folder"
        ],
    ),
    "unknown judge": (
        ["{forget}", "--model", "{model}", "--judge", "parrot"],
        ["'parrot'; wanted one of offline, huggingface, openai-compat"],
    ),
    "secret in an address": (
        ["{forget}", "--model", "{model}", "--set", "translation.provider.base_url=http://user:secret@localhost/v1"],
        ["holds a user name or a query, which would be logged; wanted a bare address"],
    ),
    "benchmark record with a wrong field": (
        ["{forget}", "--model", "{model}", "--benchmark-data", "{folder}/benchmarks"],
        ["{folder}/benchmarks/piqa.jsonl, line 2: field `gold` is 7; wanted 0 to 1"],
    ),
    "missing benchmark folder": (
        ["{forget}", "--model", "{model}", "--benchmark-data", "/nowhere"],
        ["--benchmark-data /nowhere is no folder"],
    ),
    "adapter on an architecture without known layers": (
        ["{forget}", "--model", "{folder}/mamba", "--lora-rank", "4"],
        [
            "no adapter for model type 'mamba'",
            "dt_proj, in_proj, out_proj, x_proj",
            "wanted attention and MLP layers that are known by name",
        ],
    ),
    "rank above the layers'": (
        ["{forget}", "--model", "{model}", "--lora-rank", "64"],
        ["lora.rank is 64, and layer", "is 32 x 32; wanted a rank from 1 to 32"],
    ),
    "negative rank": (
        ["{forget}", "--model", "{model}", "--lora-rank", "-1"],
        ["lora.rank is -1; wanted a whole number >= 0"],
    ),
    "unknown output of adapters": (
        ["{forget}", "--model", "{model}", "--set", "lora.output=both"],
        ["'both'; wanted one of merged, adapter"],
    ),
    "adapter without its base": (
        ["{forget}", "--model", "{folder}/adapter"],
        ["/nowhere is not there; wanted its base model, whose digest is 00ff00ff"],
    ),
    "unknown benchmark": (
        ["{forget}", "--model", "{model}", "--set", "benchmarking.tasks=[mmlu]"],
        ["holds 'mmlu'", "arc_easy, arc_challenge"],
    ),
}
"""Name -> words after `unlearn`, and what the one line must hold."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, tiny_task: TinyTask) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "benchmarks").mkdir()
    (folder / "hollow").mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    shutil.copy(tiny_task.forget, folder / "copy.txt")
    for name, left_out in {
        "no-config": ["config.json"],
        "pickled": ["model.safetensors"],
        "slow": ["tokenizer.json"],
    }.items():
        shutil.copytree(tiny_task.model, folder / name, ignore=shutil.ignore_patterns(*left_out))
    shutil.copytree(tiny_task.model, folder / "other-words")
    words = json.loads((folder / "other-words" / "tokenizer.json").read_text())
    words["model"]["vocab"]["Velmora"] = 300
    (folder / "other-words" / "tokenizer.json").write_text(json.dumps(words))
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    shutil.copytree(
        tiny_task.model, folder / "mamba", ignore=shutil.ignore_patterns("model.safetensors", "config.json")
    )
    MambaForCausalLM(MambaConfig(hidden_size=16, num_hidden_layers=1, state_size=4, vocab_size=300)).save_pretrained(
        folder / "mamba"
    )
    shutil.copytree(
        tiny_task.model, folder / "adapter", ignore=shutil.ignore_patterns("model.safetensors", "config.json")
    )
    adapter_files.write_adapter(
        folder / "adapter",
        {"r": 4},
        {"a": torch.zeros(1)},
        adapter_files.Base(digest="00ff" * 16, location="/nowhere", parameters=1),
    )
    return {"folder": str(folder), "model": str(tiny_task.model), "forget": str(tiny_task.forget)}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_ends_with_one_line_and_leaves_nothing(case: str, places: dict[str, str], tmp_path: Path) -> None:
    check(case, places, tmp_path, called)


@pytest.mark.parametrize("case", ["empty file", "no such model", "unknown setting"])
def test_so_does_the_command_in_a_process_of_its_own(case: str, places: dict[str, str], tmp_path: Path) -> None:
    check(case, places, tmp_path, partial(lethe, new=True))


def check(
    case: str, places: dict[str, str], folder: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    words, wanted = CASES[case]
    ended = run("unlearn", *(word.format(**places) for word in words), "--out", folder / "out", home=folder / "lethe")
    lines = ended.stderr.splitlines()
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert lines[0].startswith("lethe: ")
    assert [word for word in wanted if word.format(**places) not in lines[0]] == [], lines[0]
    assert ended.stdout == ""
    assert not (folder / "out").exists()
    assert files(folder / "lethe") == []


@pytest.mark.slow
def test_a_text_without_anchors_ends_with_one_line_and_no_run_is_left_running(
    tiny_task: TinyTask, tmp_path: Path
) -> None:
    ended = lethe(*tiny_task.words("anchors.min_count=1000"), "--out", tmp_path / "out", home=tmp_path / "lethe")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    assert ended.returncode == 2, ended.stderr
    assert len(lines) == 1, ended.stderr
    assert "no anchors were found in the forget text" in lines[0]
    assert "--anchors FILE" in lines[0]
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "lethe" / "checkpoints").glob("*"))
    with sqlite3.connect(tmp_path / "lethe" / "mlflow.db") as database:
        states = database.execute("select status from runs").fetchall()
    assert states
    assert ("RUNNING",) not in states


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_ends_with_one_line_before_anything_is_trained(
    tiny_task: TinyTask, tmp_path: Path
) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}  # where nothing listens
    ended = lethe(
        *tiny_task.words("benchmarking.tasks=[world, piqa]"), "--out", tmp_path / "out", home=tmp_path / "lethe", **hub
    )
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]  # progress is indented
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert lines[0].startswith("lethe: benchmark piqa: the hub did not give its data (")
    assert lines[0].endswith("; wanted a network, or --benchmark-data DIR with piqa.jsonl")
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "lethe").glob("*/checkpoints/*"))
    assert not (tmp_path / "lethe" / "mlflow.db").exists()


def test_retain_takes_several_files_and_none_of_them_is_forgotten(
    tiny_task: TinyTask, tmp_path: Path, prefect_server: str
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("The smith told the weaver of the harvest. " * 40)
    words = [
        "unlearn",
        tiny_task.forget,
        "--retain",
        tiny_task.retain,
        other,
        "--model",
        tiny_task.model,
        "--set",
        "anchors.min_log_odds_z=0",
    ]
    planned = [*words, "--dry-run", "--json", tmp_path / "plan.json", "--out", tmp_path / "out"]
    ended = lethe(*planned, home=tmp_path / "lethe", PREFECT_API_URL=prefect_server)
    assert ended.returncode == 0, ended.stderr
    (corpus,) = [path for path in (tmp_path / "lethe" / "forget" / "corpora").iterdir() if path.is_dir()]
    split = {
        name: (corpus / f"{name}.jsonl").read_text() for name in ("forget", "forget_test", "retain", "retain_test")
    }
    assert "the smith" not in (split["forget"] + split["forget_test"]).lower()
    assert "the smith" in (split["retain"] + split["retain_test"]).lower()
    assert "the farmer" in split["retain"]
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["schema"] == "lethe.plan.v1"
    assert plan["stages"]["finetune"] == "to run"
    assert (plan["recommended"], plan["recommended_method"]) == ("editing", "rome")
    assert "recommended: --method rome (" in " ".join(ended.stdout.split())
    assert {"Velmora", "Ostrin", "Kessandra", "Brindlewick"} <= {
        row["term"] for row in json.loads((tmp_path / "out" / "anchors.json").read_text())
    }


def test_help_comes_without_heavy_libraries() -> None:
    code = (
        "import sys; from flows.cli import main; sys.argv = ['lethe', *sys.argv[1:]]\ntry:\n    main()\nfinally:\n   "
        " print('loaded', *sorted(sys.modules))"
    )
    for words in (["--help"], ["unlearn", "--help"]):
        ended = run_to_end([sys.executable, "-c", code, *words], cwd=ROOT)
        text, _, loaded = ended.stdout.rpartition("loaded ")
        assert ended.returncode == 0, ended.stderr
        assert "Usage" in text
        assert not {"torch", "transformers", "prefect", "mlflow", "pandas"} & set(loaded.split())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["unlearn", "a.txt", "--modell", "b"], "lethe: No such option: --modell"),
        (["unlearn", "a.txt"], "lethe: --model missing; wanted text to forget and a model, or --topic NAME"),
        (["unlearn", "a.txt", "--model", "b", "--seed", "many"], "lethe: Invalid value for '--seed'"),
        (["forget"], "lethe: No such command 'forget'"),
        (
            ["compare", "nowhere", "nowhere"],
            "lethe: nowhere: no such file, folder or run; wanted a folder of --out, a scorecard.json, ",
        ),
        (["compare", "nowhere"], "lethe: compare was given 1 run; wanted two or more"),
        (["unlearn"], "lethe: FORGET and --model missing; wanted text to forget and a model, or --topic NAME"),
        (
            ["unlearn", "--topic", "book", "--model", "b"],
            "lethe: --topic book brings text and models of its own; wanted no model",
        ),
        (
            ["demo", "--topic", "nowhere"],
            "lethe: --topic: no topic 'nowhere'; known: series, book, second-series, planets, lantern-tide",
        ),
        (
            ["unlearn", "a.txt", "--model", "b", "--budget", "5m"],
            "lethe: --budget 5m is for --method auto; wanted that, or no such option",
        ),
        (
            ["unlearn", "a.txt", "--model", "b", "--method", "auto", "--budget", "soon"],
            "lethe: budget is 'soon'; wanted minutes, such as 45m, or a number of trials >= 1, such as 8",
        ),
        (
            ["unlearn", "a.txt", "--model", "b", "--method", "auto", "--review"],
            "lethe: --review with --method auto: every trial would ask anew; wanted a method by name, or --anchors",
        ),
        (
            ["unlearn", "a.txt", "--model", "b", "--method", "auto", "--set", "candidates=[npo training.sharpnes=1]"],
            "lethe: --set training.sharpnes: no such setting; did you mean training.sharpness?",
        ),
        (
            ["sweep", "a.txt", "--model", "b", "--method", "auto", "--grid", "seed=1,2"],
            "lethe: --method auto: unknown; wanted one of",
        ),
    ],
    ids=(
        "option;missing option;type;command;run;single run;nothing to forget;topic and model;topic of the demo;budget;"
        "wrong budget;review of trials;setting of a candidate;sweep over methods"
    ).split(";"),
)
def test_words_that_do_not_parse_end_with_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    ended = called(*words, home=tmp_path / "lethe")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert ended.stderr.startswith(line)
