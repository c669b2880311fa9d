"""Claims: no Python file of the folder that a command is called in is run, whatever it is called: not by the command's
server, its guard, the fork server, nor by stages.
"""

import os
import sys
from pathlib import Path

import pytest

from tasks.execution.cache_keys import ROOT
from tests.stand_ins.waiting import run_to_end

KIND = "foreign code in the current folder"
BAITS = ("psutil", "uvicorn", "socket", "struct", "torch", "selectors", "transformers", "prefect", "sitecustomize")
CODE = """
import sys
sys.path.insert(1, sys.argv[1])
from flows.terminal import environment
environment.prepare()
from flows.steps import temporary_server
from tasks.execution import isolation
from tests.stand_ins import stages
from tests.stand_ins.waiting import run_to_end
temporary_server.require()
print(isolation.run_isolated(stages.double, {"number": 21}, stage="double", key=None, threads=1, timeout_s=300))
"""


@pytest.mark.faults
def test_files_of_the_current_folder_are_not_run(tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "ran"
    folder.mkdir()
    for name in BAITS:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r} + chr(10))\nraise ImportError\n")
    home = tmp_path / "lethe"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PREFECT_API_URL")}
    ended = run_to_end(
        [sys.executable, "-P", "-c", CODE, str(ROOT)],
        tmp_path,
        cwd=folder,
        env=clean | {"LETHE_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect")},
    )
    assert not mark.exists(), mark.read_text()
    assert (ended.returncode, ended.stdout.strip()) == (0, "42"), ended.stderr
