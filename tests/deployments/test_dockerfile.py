"""Claims: what the image copies is part of the checkout and of the build's context, what it installs exists with the
locked versions, and no secret or store goes into it. No image is built here.
"""

import fnmatch
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", " ", (ROOT / "deployments" / "Dockerfile").read_text())
LINES = [line for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
CONTEXT = (ROOT / "deployments" / "Dockerfile.dockerignore").read_text().splitlines()


def all_of(instruction: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in LINES if line.split()[0] == instruction]


def test_it_is_made_of_instructions_in_an_order_that_can_be_built() -> None:
    names = [line.split()[0] for line in LINES]
    assert set(names) <= {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "CMD"}
    assert names[0] == "FROM"
    assert [names.index(name) for name in ("ARG", "COPY", "RUN", "USER", "CMD")] == sorted(
        names.index(name) for name in ("ARG", "COPY", "RUN", "USER", "CMD")
    )
    assert all_of("USER") == [["lethe"]]


def test_what_it_copies_is_in_the_checkout_and_in_the_context() -> None:
    copied = [source for words in all_of("COPY") for source in words[:-1]]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [source for source in copied if not any(f"{file}/".startswith(f"{source}/") for file in tracked)] == []
    assert sorted(line[1:] for line in CONTEXT if line.startswith("!")) == sorted(copied)
    assert "*" in CONTEXT


def test_what_the_package_needs_to_be_built_is_copied() -> None:
    copied = [source for words in all_of("COPY") for source in words[:-1]]
    project = (ROOT / "pyproject.toml").read_text()
    assert re.search(r'readme = "README.md"', project)
    assert re.search(r'license-files = \["LICENSE"\]', project)
    packages = re.search(r"include = \[(.*)\]", project)[1].replace('"', "").split(", ")
    assert [pattern for pattern in packages if not fnmatch.filter(copied, pattern)] == []


def test_every_argument_is_used_and_none_is_a_secret() -> None:
    arguments = [words[0].partition("=")[0] for words in all_of("ARG")]
    assert arguments == ["TORCH"]
    assert all(f"${name}" in TEXT for name in arguments)
    assert not re.search(r"password|secret|token", TEXT, re.IGNORECASE)


@pytest.mark.slow
def test_what_it_installs_can_be_resolved_with_the_locked_versions() -> None:
    (words,) = [words for run in all_of("RUN") if (words := _install(run))]
    assert "requirements.lock" in words
    words = [word for word in words if not word.startswith("--torch-backend")]
    words[words.index("--python") + 1] = sys.executable
    command = [sys.executable, "-m", "uv", *words[1:], "--dry-run"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def _install(run: list[str]) -> list[str]:
    """Return the words of `uv pip install`, if it is a part of this instruction."""
    parts = " ".join(shlex.quote(word) for word in run).split(shlex.quote("&&"))
    return next((shlex.split(part) for part in parts if part.strip().startswith("uv pip install")), [])
