"""Claims: the notebooks are valid and hold no results, every cell compiles, what they import exists and where they link
to too; run from their first cell to their last (marked, and skipped without the extra `notebook`) they end without an
error and draw their plots.
"""

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks import tracking
from tests.stand_ins.command import ROOT, environment

PLOTS = {"flows/walkthrough.ipynb": 6, "mlflow/compare_runs.ipynb": 1}
"""Notebook -> pictures that it draws."""
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
LONGEST_CELL = 30
"""Lines; a cell says one thing."""


def cells(notebook: str, kind: str) -> list[dict[str, Any]]:
    found = json.loads((ROOT / notebook).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_every_notebook_is_looked_at() -> None:
    found = {str(path.relative_to(ROOT)) for room in ("flows", "mlflow", "deployments") for path in files(room)}
    assert found == set(PLOTS)


def files(room: str) -> list[Path]:
    return [path for path in (ROOT / room).rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]


@pytest.mark.parametrize("notebook", PLOTS)
def test_it_is_a_notebook_of_the_fourth_format(notebook: str) -> None:
    found = json.loads((ROOT / notebook).read_text(encoding="utf-8"))
    assert (found["nbformat"], found["nbformat_minor"] >= 5) == (4, True)
    assert found["metadata"]["kernelspec"]["name"] == "python3"
    assert {cell["cell_type"] for cell in found["cells"]} == {"markdown", "code"}
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])
    assert source(found["cells"][0]).startswith("# ")
    if importlib.util.find_spec("nbformat"):
        importlib.import_module("nbformat").validate(found)


@pytest.mark.parametrize("notebook", PLOTS)
def test_it_holds_no_results(notebook: str) -> None:
    """They would change with every run, and hold what is to be forgotten."""
    assert [cell for cell in cells(notebook, "code") if cell["outputs"] or cell["execution_count"]] == []
    assert not [cell for cell in cells(notebook, "code") if cell["metadata"]]


@pytest.mark.parametrize("notebook", PLOTS)
def test_its_cells_compile_are_short_and_import_what_there_is(notebook: str) -> None:
    for cell in cells(notebook, "code"):
        tree = ast.parse(source(cell))
        assert len(source(cell).splitlines()) <= LONGEST_CELL, source(cell)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert [importlib.import_module(name.name) for name in node.names]
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.parametrize("notebook", PLOTS)
def test_it_prepares_the_environment_before_anything_else(notebook: str) -> None:
    """Variables that Prefect and MLflow read when they are loaded, and the rights of files."""
    first = source(cells(notebook, "code")[0])
    assert "environment.prepare()" in first
    assert set(re.findall(r"^(?:from|import) (\S+)", first, re.MULTILINE)) <= {"warnings", "flows.terminal"}


@pytest.mark.parametrize("notebook", PLOTS)
def test_its_links_lead_somewhere(notebook: str) -> None:
    for target in LINK.findall("\n".join(map(source, cells(notebook, "markdown")))):
        assert ((ROOT / notebook).parent / target).exists(), target


def run_whole(notebook: str, home: Path) -> list[dict[str, Any]]:
    """Run a notebook beside its own file, with a LETHE_HOME, and return its code cells."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    found = nbformat.read(ROOT / notebook, as_version=4)
    place = {"metadata": {"path": str((ROOT / notebook).parent)}}
    client = nbclient.NotebookClient(found, timeout=1800, kernel_name="python3", resources=place)
    client.execute(env=environment(home))
    return [cell for cell in found.cells if cell.cell_type == "code"]


def pictures(ran: list[dict[str, Any]]) -> int:
    return sum("image/png" in output.get("data", {}) for cell in ran for output in cell["outputs"])


def said(ran: list[dict[str, Any]]) -> str:
    """Return what the cells printed and showed, as text."""
    outputs = [output for cell in ran for output in cell["outputs"]]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.slow
def test_the_walk_through_forgets_a_series_and_rewrites_a_fact(tmp_path: Path) -> None:
    ran = run_whole("flows/walkthrough.ipynb", tmp_path / "lethe")
    assert pictures(ran) == PLOTS["flows/walkthrough.ipynb"]
    assert re.search(r"^(not )?passed - evidence: gold$", said(ran), re.MULTILINE)
    assert not (ROOT / "flows" / ".lethe").exists()


@pytest.mark.slow
def test_runs_are_compared_as_mlflow_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "lethe"
    environment(home)
    monkeypatch.setenv("LETHE_HOME", str(home))
    for method, left, passed in (("whp", 0.1, True), ("npo", 0.4, False)):
        run = tracking.open_run(f"{method} 1234", {"config": {"alpha": left, "seed": 0}}, {"lethe.method": method})
        figures = {"forget_test/probability": left, "retain_test/probability": 0.7}
        rows = {name: {"unlearned": value, "target": 0.8, "retrained": 0.1} for name, value in figures.items()}
        tracking.log_scorecard(run, {"metrics": rows, "verdict": {"passed": passed, "evidence": "gold"}})
        tracking.close(run)
    ran = run_whole("mlflow/compare_runs.ipynb", home)
    assert pictures(ran) == 1
    assert "2 runs at lethe" in said(ran)
    assert re.search(r"config\.alpha +0\.1 +0\.4", said(ran))
    assert "config.seed" not in said(ran)


@pytest.mark.slow
def test_a_store_without_runs_is_said(tmp_path: Path) -> None:
    ran = run_whole("mlflow/compare_runs.ipynb", tmp_path / "lethe")
    assert "0 runs at lethe; `lethe demo` makes one" in said(ran)
