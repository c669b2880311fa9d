"""A PostgreSQL server of a test's own, where the machine has the programs of one: they are found on the PATH, or where
Debian keeps them.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stand_ins.servers import free_port

_DEBIANS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: int(found.parent.name), reverse=True)
PROGRAMS = next((found for found in _DEBIANS if (found / "pg_ctl").is_file()), None)
PROGRAMS = PROGRAMS or (Path(path).parent if (path := shutil.which("pg_ctl")) else None)
"""Folder of its programs, or None."""
PASSWORD = "not-a-secret-1"  # noqa: S105 - of a server that ends with the test


@contextmanager
def postgresql() -> Iterator[Callable[[str], str]]:
    """Start a server on loopback that demands a password; yield what makes a database and returns its address."""
    folder, port, user = Path(tempfile.mkdtemp(prefix="postgres-")), free_port(), _account()
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            if user:
                shutil.chown(path, user)
        data = folder / "data"
        _call(user, "initdb", "-D", data, "-U", "lethe", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
        options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
        _call(user, "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        yield lambda name: _make(port, name)
        _call(user, "pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """Return whose server it is: it refuses to be root's."""
    return "postgres" if os.geteuid() == 0 else None


def _make(port: int, name: str) -> str:
    place = ["-h", "127.0.0.1", "-p", str(port), "-U", "lethe"]
    command = [str(PROGRAMS / "createdb"), *place, name]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PGPASSWORD": PASSWORD})
    return f"postgresql://lethe:{PASSWORD}@127.0.0.1:{port}/{name}"


def _call(user: str | None, program: str, *words: str | Path) -> None:
    subprocess.run([PROGRAMS / program, *words], check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
