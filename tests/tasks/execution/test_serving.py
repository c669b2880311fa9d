"""Claims: what is written down of servers is read as it was written, and damaged it is as if nothing were; its files
are their owner's alone.
"""

import os
from pathlib import Path

import pytest

from tasks.execution import serving
from tasks.execution.serving import Service, Serving
from tasks.settings.servers import ServersConfig

ANY = "0.0.0.0"  # noqa: S104 - nothing is bound to it

KNOWN = Serving(
    config=ServersConfig(host=ANY, names=("lethe",), prefect_port=4300),
    mark="mark",
    services=(Service(name="prefect", process=os.getpid(), started=1.5),),
    logs="/logs",
)


def test_it_is_read_as_it_was_written(lethe_home: Path) -> None:
    assert serving.read() is None
    serving.write(KNOWN)
    assert serving.read() == KNOWN
    place = lethe_home / "services"
    assert [place.stat().st_mode & 0o777, (place / "state.json").stat().st_mode & 0o777] == [0o700, 0o600]
    serving.forget()
    serving.forget()
    assert serving.read() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"names": 3}}', '{"config": {"names": [], "port": 1}}'])
def test_a_damaged_one_is_as_if_nothing_ran(text: str, lethe_home: Path) -> None:
    (serving.folder() / "state.json").write_text(text)
    assert serving.read() is None


def test_own_addresses_are_known_and_others_not(lethe_home: Path) -> None:
    assert not serving.is_own("http://lethe:5000")
    serving.write(KNOWN)
    assert [serving.is_own(f"http://lethe:{place}") for place in ("5000", "4300/api", "5001")] == [True, True, False]


def test_other_machines_ask_only_while_one_runs(lethe_home: Path) -> None:
    serving.write(KNOWN)
    assert serving.is_remote()
    serving.write(Serving(config=KNOWN.config, mark="mark", services=(), logs=""))
    assert not serving.is_remote()


def test_a_private_file_is_never_anybody_elses(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        serving.write_private(tmp_path / "password", "swordfish")
    finally:
        os.umask(before)
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["password"]
