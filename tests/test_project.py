"""The project as a whole: everything imports, layers hold, names resolve, nothing shadows a library."""

import ast
import importlib
import sys
from pathlib import Path

import pytest
import yaml

from flows.methods import AUTOMATIC, METHODS
from tests.stand_ins.command import ROOT
from tests.stand_ins.waiting import run_to_end

SOURCES = sorted(path.relative_to(ROOT) for layer in ("flows", "tasks") for path in (ROOT / layer).rglob("*.py"))
MODULES = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in SOURCES]
MOST_LINES = 400
COMPUTE_WITH = {
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "spacy",
    "scipy",
    "sklearn",
    "matplotlib",
    "lm_eval",
    "datasets",
    "mlflow",
}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_file_is_too_long(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


def test_no_package_imports_anything_by_itself() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            assert not [
                node
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, (ast.Import, ast.ImportFrom))
            ], path


def test_no_file_bears_the_name_of_a_library_that_it_could_shadow() -> None:
    """A path entrypoint puts `flows/` on the search path; deeper folders never stand there."""
    taken = {
        "datasets",
        "evaluate",
        "mlflow",
        "prefect",
        "torch",
        "transformers",
        "accelerate",
        "tokenizers",
        "safetensors",
    }
    exposed = [path.parts[1].removesuffix(".py") for path in SOURCES if len(path.parts) > 1]
    assert not taken & set(exposed)


def test_the_mlflow_folder_holds_no_python_and_the_library_is_what_is_imported() -> None:
    assert list((ROOT / "mlflow").rglob("*.py")) == []
    import mlflow

    assert mlflow.__version__
    assert not Path(mlflow.__file__).is_relative_to(ROOT / "mlflow")


def test_import_contracts_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    ended = run_to_end(command, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout
    assert " 0 broken" in ended.stdout


@pytest.mark.parametrize("name", METHODS)
def test_the_entrypoint_of_every_method_resolves_to_a_flow(name: str) -> None:
    from prefect import Flow

    assert isinstance(METHODS[name].flow(), Flow)
    assert METHODS[name].preset("default", 0) == METHODS[name].preset("default", 0)
    assert METHODS[name].flow().__name__ == METHODS[name].module.rpartition(".")[2]
    assert callable(METHODS[name].declare())


NO_METHODS = (
    "flows.rank_one_editing:rank_one_editing",
    "flows.evaluation:evaluate",
    "flows.scheduled_reunlearning:scheduled_reunlearning",
    "flows.benchmark:benchmark",
)
"""Flows that change facts where methods of unlearning forget text, or look at what these made."""


def test_entrypoints_of_deployments_are_known_flows_in_module_form() -> None:
    from prefect.flows import Flow, load_flow_from_entrypoint

    for deployment in yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]:
        named = [method.entrypoint for method in (METHODS | AUTOMATIC).values()]
        assert deployment["entrypoint"] in [*named, *NO_METHODS]
        assert isinstance(load_flow_from_entrypoint(deployment["entrypoint"]), Flow)


def test_the_settings_of_every_method_are_read_without_torch() -> None:
    code = (
        "import sys; from flows.methods import AUTOMATIC, METHODS; assert [found.preset('default', 0) for found in"
        " (METHODS | AUTOMATIC).values()]; assert 'torch' not in sys.modules"
    )
    ended = run_to_end([sys.executable, "-c", code], cwd=ROOT)
    assert ended.returncode == 0, ended.stderr


def test_flows_and_stages_load_no_library_that_only_stages_compute_with() -> None:
    """Stages import what they compute with inside their functions: a run that finds them all in the cache must not wait
    for it.
    """
    stages = [
        name
        for name, path in zip(MODULES, SOURCES, strict=True)
        if path.parts[0] == "flows" or "\n@stage(" in (ROOT / path).read_text()
    ]
    assert {"flows.demo", "flows.gradient_unlearning", "tasks.pretraining", "tasks.scrub"} <= set(stages)
    code = (
        f"import importlib, sys\nfor name in {stages}: importlib.import_module(name)\nprint(*sorted({COMPUTE_WITH} &"
        " set(sys.modules)))"
    )
    ended = run_to_end([sys.executable, "-c", code], cwd=ROOT)
    assert (ended.returncode, ended.stdout.split()) == (0, []), ended.stderr


def test_the_command_is_installed() -> None:
    ended = run_to_end([Path(sys.executable).parent / "lethe", "--help"])
    assert ended.returncode == 0, ended.stderr
    assert {"demo", "unlearn", "purge"} <= set(ended.stdout.split())
