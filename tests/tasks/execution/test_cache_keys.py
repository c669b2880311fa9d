"""Cache keys: what decides the outcome is in them, who asks is not; locks are freed by the kernel."""

import dataclasses
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks import store
from tasks.artifacts import Artifact, CheckpointRef, EditPatch, EditRun, InputFile, ProbeRecords
from tasks.execution import cache_keys, surroundings
from tasks.execution.cache_keys import (
    DATA,
    ROOT,
    StagePolicy,
    _imports,
    artifacts_in,
    code_digest,
    distributions,
    import_closure,
    importlib,
    source,
    stage_key,
)
from tasks.execution.locks import StageLocks
from tasks.finetune import finetune
from tasks.settings.assistants import ProviderConfig
from tasks.settings.labels import LabelConfig
from tasks.settings.selective_unlearning import SelectiveUnlearningConfig
from tests.stand_ins import stages
from tests.stand_ins.waiting import run_to_end

THREADS = 12
UPSTREAM = Artifact(kind="notes", digest="a" * 64, sensitivity="ordinary", origin="run-1")


def key(*, numeric: bool = False, function: Callable[..., Any] = stages.double, **inputs: Any) -> str:
    return stage_key(function, inputs, numeric=numeric)


def test_the_key_is_the_same_for_the_same_inputs_in_any_order() -> None:
    assert key(corpus=UPSTREAM, config=LabelConfig()) == key(config=LabelConfig(), corpus=UPSTREAM)


def test_the_key_depends_on_upstream_digests_and_kinds() -> None:
    other = dataclasses.replace(UPSTREAM, digest="b" * 64), dataclasses.replace(UPSTREAM, kind="corpora")
    assert len({key(corpus=artifact) for artifact in (UPSTREAM, *other)}) == 3


def test_the_key_ignores_where_an_artifact_came_from_and_where_it_lies() -> None:
    moved = dataclasses.replace(UPSTREAM, origin="run-2", location="/elsewhere")
    assert key(corpus=moved) == key(corpus=UPSTREAM)


def test_the_key_ignores_who_asks() -> None:
    assert key(corpus=UPSTREAM, run="1") == key(corpus=UPSTREAM, run="2") == key(corpus=UPSTREAM)


def test_a_model_by_another_name_is_the_same_model() -> None:
    target = CheckpointRef(kind="checkpoints", digest="a" * 64, sensitivity="ordinary", parameters=1, label="target")
    assert key(model=target) == key(model=dataclasses.replace(target, label="retrained"))
    assert key(model=target) != key(model=dataclasses.replace(target, digest="b" * 64))


def test_the_key_knows_whose_records_are_whose() -> None:
    records = ProbeRecords(kind="probes", digest="a" * 64, sensitivity="forget", passes={}, label="target")
    assert key(probes=[records]) != key(probes=[dataclasses.replace(records, label="retrained")])


def test_the_key_depends_on_the_content_of_an_input_file_and_not_on_its_folder() -> None:
    file = InputFile(path="/a/book.txt", digest="a" * 64, bytes=1)
    assert key(file=file) == key(file=dataclasses.replace(file, path="/b/book.txt"))
    assert key(file=file) != key(file=dataclasses.replace(file, digest="b" * 64))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(LabelConfig)])
def test_the_key_depends_on_every_setting(field: str) -> None:
    other = {"alpha": 1.0, "kind": "hard", "relu_on": "log_probabilities", "interior": "drop", "suppress_topic": 0.5}
    value = getattr(LabelConfig(), field)
    changed = dataclasses.replace(
        LabelConfig(), **{field: other.get(field, not value if isinstance(value, bool) else value * 2)}
    )
    assert key(config=changed) != key(config=LabelConfig())


def test_nested_settings_and_lists_are_in_the_key() -> None:
    config = SelectiveUnlearningConfig()
    assert key(config=dataclasses.replace(config, labels=LabelConfig(alpha=1))) != key(config=config)
    assert key(items=[1, 2]) != key(items=[2, 1])
    assert key(facts={"a": 1}) != key(facts={"a": 2})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ProviderConfig)])
def test_how_a_model_is_reached_is_no_part_of_the_key_and_what_it_answers_is(field: str) -> None:
    other = {"name": "openai", "base_url": "http://localhost/v1", "allow_remote": True}
    value = getattr(ProviderConfig(), field)
    changed = dataclasses.replace(
        ProviderConfig(), **{field: other.get(field, f"{value}x" if isinstance(value, str) else value + 1)}
    )
    reaching = field in ("timeout_s", "retries", "concurrency", "api_key_env", "api_key_block", "allow_remote")
    assert (key(config=changed) == key(config=ProviderConfig())) is reaching


def test_what_cannot_be_keyed_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a stage was given a set; wanted records"):
        key(items={1, 2})
    with pytest.raises(TypeError, match="a stage was given a object"):
        key(item=object())


def test_only_numeric_stages_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, numeric = key(), key(numeric=True)
    monkeypatch.setenv("LETHE_THREADS", "7")
    assert key() == plain
    assert key(numeric=True) != numeric
    monkeypatch.setenv("LETHE_THREADS", "1")
    monkeypatch.setattr(cache_keys, "_device_kind", lambda: "another accelerator")
    assert key(numeric=True) != numeric


def test_where_bits_do_not_count_unlike_machines_have_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with surroundings.kept_apart(False):
        numeric = key(numeric=True)
        assert numeric not in (key(), key(numeric=False))
        monkeypatch.setenv("LETHE_THREADS", "7")
        assert key(numeric=True) == numeric
        monkeypatch.setattr(cache_keys, "_device_kind", lambda: "NVIDIA H200")
        accelerated = key(numeric=True)
        assert accelerated != numeric  # other types, other kernels
        monkeypatch.setattr(cache_keys, "_device_kind", lambda: "NVIDIA A100")
        assert key(numeric=True) == accelerated
    assert key(numeric=True) not in (numeric, accelerated)


def test_the_key_depends_on_the_stage() -> None:
    assert key(function=stages.double) != key(function=stages.die)
    assert key(function=finetune.body).startswith("finetune-")


def test_the_import_closure_follows_imports_inside_functions_and_names_libraries() -> None:
    files, libraries = import_closure("tasks.finetune")
    names = {str(Path(file).relative_to(ROOT)) for file in files}
    assert {
        "tasks/finetune.py",
        "tasks/training/trainer.py",
        "tasks/algorithms/training/loop.py",
        "tasks/algorithms/objectives/generic_labels.py",
    } <= names
    assert "tasks/algorithms/tokens/alignment.py" in names  # imported inside `load_tokenizer`
    assert not [name for name in names if name.startswith(("flows/", "tests/"))]
    assert {"torch", "transformers", "safetensors"} <= libraries  # the latter two inside functions
    assert "tasks" not in libraries
    assert "json" not in libraries


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small `tasks` package: a stage that imports an algorithm inside a function, and a module that it does not
    import.
    """
    for name, text in {
        "tasks/__init__.py": "",
        "tasks/one.py": (
            "import json\ndef one():\n    from tasks.algorithms import sums\n    import torch\n    return sums\n"
        ),
        "tasks/algorithms/__init__.py": "",
        "tasks/algorithms/sums.py": "import numpy\n",
        "tasks/unrelated.py": "import mlflow\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.setattr(cache_keys, "ROOT", tmp_path)
    forget_digests()
    yield tmp_path
    forget_digests()


def forget_digests() -> None:
    for known in (source, distributions, import_closure, code_digest):
        known.cache_clear()


def digest_of_one() -> str:
    forget_digests()
    return code_digest("tasks.one")


def test_the_closure_of_a_small_tree_is_what_it_reaches(tree: Path) -> None:
    files, libraries = import_closure("tasks.one")
    assert {str(Path(file).relative_to(tree)) for file in files} >= {
        "tasks/one.py",
        "tasks/algorithms/sums.py",
        "tasks/algorithms/__init__.py",
    }
    assert libraries == {"numpy", "torch"}


def test_the_code_digest_depends_on_code_that_is_reached_and_on_no_other(tree: Path) -> None:
    before = digest_of_one()
    (tree / "tasks/unrelated.py").write_text("import mlflow  # changed\n")
    assert digest_of_one() == before
    (tree / "tasks/algorithms/sums.py").write_text("import numpy  # changed\n")
    assert digest_of_one() != before


def test_a_table_that_names_code_reaches_it(tree: Path) -> None:
    (tree / "tasks/one.py").write_text(
        '"""Loads `tasks.unrelated:Other` some day."""\nTABLE = {"sums": "tasks.algorithms.sums:Sums"}\n'
    )
    before, (files, libraries) = digest_of_one(), import_closure("tasks.one")
    assert {str(Path(file).relative_to(tree)) for file in files} == {"tasks/one.py", "tasks/algorithms/sums.py"}
    assert libraries == {"numpy"}  # those of the named code count too; a sentence about code is no import
    (tree / "tasks/algorithms/sums.py").write_text("import numpy  # changed\n")
    assert digest_of_one() != before


def test_code_that_a_stage_is_given_by_name_is_in_its_key_as_code_that_it_imports(tree: Path) -> None:
    def keys() -> list[str]:
        forget_digests()
        return [
            key(loss=named)
            for named in ("tasks.one:one", "tasks.unrelated:Other", "tasks.unrelated", "see tasks.unrelated:Other")
        ]

    before = keys()
    (tree / "tasks/unrelated.py").write_text("import mlflow  # changed\n")
    assert [found != earlier for found, earlier in zip(keys(), before, strict=True)] == [False, True, False, False]
    (tree / "tasks/algorithms/sums.py").write_text("import numpy  # changed\n")  # which `tasks.one` imports
    assert [found != earlier for found, earlier in zip(keys(), before, strict=True)] == [True, True, False, False]


def test_the_code_digest_depends_on_files_that_the_code_reads(tree: Path) -> None:
    (tree / "tasks/reporting/templates").mkdir(parents=True)
    (tree / "tasks/reporting/pages.py").write_text("")
    (tree / "tasks/one.py").write_text("import tasks.reporting.pages\n")
    (tree / "tasks/reporting/templates/page.html.j2").write_text("<h1>")
    before = digest_of_one()
    (tree / "tasks/reporting/templates/page.html.j2").write_text("<h2>")
    assert digest_of_one() != before


@pytest.mark.parametrize("module", DATA)
def test_the_files_that_modules_read_are_there(module: str) -> None:
    assert (ROOT / module).is_file()
    assert list((ROOT / module).parent.glob(DATA[module]))


def test_the_code_digest_depends_on_versions_of_libraries_that_are_reached(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, version = digest_of_one(), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0" if name.startswith("mlflow") else version(name))
    assert digest_of_one() == before
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0" if name == "numpy" else version(name))
    assert digest_of_one() != before


def test_keys_that_many_threads_ask_for_at_once_are_right_and_every_file_is_parsed_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = [f"tasks.stage_{number}" for number in range(THREADS)]
    for module in modules:
        (tree / f"{module.replace('.', '/')}.py").write_text(
            f"import tasks.algorithms.sums, tasks.one\nNAME = {module!r}\n" + "A = [1, 2, 3]\n" * 300
        )
    wanted = [code_digest(module) for module in modules]
    forget_digests()
    parsed, listed = Counter[bytes](), []
    parse, distributions = _imports, importlib.metadata.packages_distributions
    monkeypatch.setattr(cache_keys, "_imports", lambda code: parsed.update([code]) or parse(code))
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: listed.append(1) or distributions())
    together = threading.Barrier(THREADS)

    def ask(module: str) -> str:
        together.wait(30)
        return code_digest(module)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(ask, modules)) == wanted
    assert len(set(wanted)) == THREADS
    # the stages, and of what they share `one`, `sums` and its package
    assert (len(parsed), set(parsed.values())) == (THREADS + 3, {1})
    assert len(listed) == 1


def test_artifacts_are_found_inside_lists_and_tuples() -> None:
    assert artifacts_in([UPSTREAM, (UPSTREAM, None)]) == [UPSTREAM, UPSTREAM]
    assert artifacts_in(None) == []


def test_artifacts_that_a_record_names_are_found_with_it() -> None:
    patch = EditPatch(
        kind="patches", digest="p", sensitivity="forget", base="b", computed_on=("q",), layers=(0,), rank=1, edits=1
    )
    run = EditRun(kind="edit_runs", digest="r", sensitivity="forget", patch=patch, layer=0, left_out=0)
    assert artifacts_in((run, None)) == [run, patch]


def test_a_policy_computes_the_stages_key_where_there_is_no_earlier_result(
    lethe_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Empty:
        def exists(self, key: str) -> bool:
            return False

    monkeypatch.setattr(cache_keys, "get_result_store", Empty)
    policy = StagePolicy(function=stages.double)
    assert policy.compute_key(None, {"number": 1, "run": "r"}, {}) == key(number=1)


def test_only_the_holder_has_the_lock_and_only_the_holder_frees_it(lethe_home: Path) -> None:
    locks = StageLocks()
    assert locks.acquire_lock("stage", "first")
    assert locks.acquire_lock("stage", "first")  # its holder has it already
    assert locks.is_locked("stage")
    assert locks.is_lock_holder("stage", "first")
    assert not locks.is_lock_holder("stage", "second")
    with pytest.raises(ValueError, match="no lock of stage is held by second"):
        locks.release_lock("stage", "second")
    locks.release_lock("stage", "first")
    assert not locks.is_locked("stage")
    assert locks.wait_for_lock("stage", timeout=0)


def test_a_second_holder_waits_no_longer_than_it_wants(lethe_home: Path) -> None:
    locks = StageLocks()
    locks.acquire_lock("stage", "first")
    assert not StageLocks().acquire_lock("stage", "second", acquire_timeout=0.05)
    assert not locks.wait_for_lock("stage", timeout=0.05)
    assert StageLocks().acquire_lock("another stage", "second", acquire_timeout=0.05)
    locks.release_lock("stage", "first")


def test_another_process_sees_the_lock(lethe_home: Path) -> None:
    locks = StageLocks()
    locks.acquire_lock("stage", "first")
    code = "from tasks.execution.locks import StageLocks; print(StageLocks().is_locked('stage'))"
    found = run_to_end([sys.executable, "-c", code], cwd=ROOT)
    assert (found.returncode, found.stdout) == (0, "True\n"), found.stderr
    locks.release_lock("stage", "first")
    assert (store.home() / "locks").is_dir()
