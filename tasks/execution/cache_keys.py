"""Cache keys of stages, and locks that die with their holder.

    key = outputs of upstream stages (digests) + config + code digest of the import closure inside `tasks/`
          + versions of the libraries that this closure imports
          + device kind, and where equal bits are asked for the very device and the thread count

Code that a stage is given by name, as `tasks.module:Name`, counts with its closure as code that it imports does.

An unchanged anchor table therefore means that labels hit, whatever changed upstream. What this reads of the code, it
reads once a process: the digest of a stage is that of the code which the process runs.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.results import ResultStore, get_result_store

from tasks import store
from tasks.artifacts import Artifact, CheckpointRef, InputFile
from tasks.execution import isolation, surroundings
from tasks.settings.syntax import parsed

_log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
UNKEYED = frozenset({"run", "label", "cost"})
"""Parameters that say who asks, not what is asked for: the tracking run, what to call the model, how long its making
took."""
BY_NAME = re.compile(r"(tasks(?:\.\w+)+):\w+")
"""`tasks.module:Name` as a string: how tables name what is loaded when it is asked for."""
DATA = {"tasks/reporting/pages.py": "templates/*.j2", "tasks/benchmarks/local_files.py": "*.yaml"}
"""Modules whose outcome depends on files beside them, which are no imports."""


T = TypeVar("T")


_asking = threading.RLock()
"""Stages are keyed in task threads, several at a time; what they ask of the code is found out once."""


def once(function: Callable[..., T]) -> Callable[..., T]:
    """Remember what a function returned, as `functools.cache` does; a thread that asks meanwhile waits for the first
    answer.
    """
    cached = functools.cache(function)

    @functools.wraps(function)
    def locked(*arguments: Any) -> T:
        with _asking:
            return cached(*arguments)

    locked.cache_clear = cached.cache_clear
    return locked


@dataclasses.dataclass(frozen=True)
class Source:
    """A file as it was when it was first read."""

    digest: str
    imports: tuple[str, ...] = ()
    """Modules that its code may load; also names of what is in them."""


@once
def import_closure(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the files inside `tasks/` that a module reaches by import, and the top-level libraries that they import.

    Imports are read from the source, those inside functions included, and so are names that tables give as
    `tasks.module:Name`; nothing is executed.
    """
    files, libraries, queue = set(), set(), [module]
    while queue:
        file = _source_of(queue.pop())
        if file is None or str(file) in files:
            continue
        files.add(str(file))
        if pattern := DATA.get(file.relative_to(ROOT).as_posix()):
            files.update(str(data) for data in file.parent.glob(pattern))
        for name in source(file).imports:
            if name.split(".")[0] == "tasks":
                queue.append(name)
            elif name.split(".")[0] not in sys.stdlib_module_names:
                libraries.add(name.split(".")[0])
    return frozenset(files), frozenset(libraries)


def _source_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@once
def source(file: Path) -> Source:
    """Read a file; the imports of what is no Python are none."""
    content = file.read_bytes()
    return Source(digest=hashlib.sha256(content).hexdigest(), imports=_imports(content) if file.suffix == ".py" else ())


def _imports(code: bytes) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(parsed(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := BY_NAME.fullmatch(node.value))
        ):
            found.append(named[1])
    return tuple(found)


@once
def distributions() -> Mapping[str, list[str]]:
    """Return top-level library -> the installed distributions that bring it."""
    return importlib.metadata.packages_distributions()


@once
def code_digest(module: str) -> str:
    """Return the digest of the code that a module reaches inside `tasks/` and of the versions of the libraries it
    imports.
    """
    files, libraries = import_closure(module)
    sums = {str(Path(file).relative_to(ROOT)): source(Path(file)).digest for file in files}
    names = {name for library in libraries for name in distributions().get(library, ())}
    versions = {name: importlib.metadata.version(name) for name in names}
    return _digest([sums, versions, platform.python_version_tuple()[:2]])


def stage_key(function: Callable[..., Any], inputs: Mapping[str, Any], *, numeric: bool) -> str:
    """Return the cache key of a stage called with `inputs`.

    Args:
        function: The task's function.
        inputs: Its arguments by name.
        numeric: Whether its numbers depend on the machine: to the last bit on device and thread count, but for rounding
            on nothing but whether there is an accelerator.
    """
    asked = {name: _content(value) for name, value in sorted(inputs.items()) if name not in UNKEYED}
    machine = (_machine() if surroundings.is_bitwise() else [_is_accelerated()]) if numeric else []
    return f"{function.__name__}-{_digest([code_digest(function.__module__), asked, machine])[:32]}"


def _machine() -> list[Any]:
    """Return what the last bits of a stage's numbers depend on."""
    return [_device_kind(), isolation.cores()]


def _is_accelerated() -> str:
    """Return what decides types and kernels, and with them more than the last bits."""
    return "cpu" if _device_kind() in ("cpu", platform.machine()) else "accelerator"


def _content(value: Any) -> Any:
    """Return what of a value decides the outcome: the digest of an artifact, the fields of a config that are not marked
    otherwise, and of a text that names code (`tasks.module:Name`) also that code, as if the stage imported it.
    """
    if isinstance(value, Artifact):
        # a model by another name is the same model
        label = "" if isinstance(value, CheckpointRef) else getattr(value, "label", "")
        return [value.kind, value.digest, label]
    if isinstance(value, InputFile):
        return [Path(value.path).name, value.digest]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _content(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.metadata.get("keyed", True)
        }
    if isinstance(value, Mapping):
        return {str(name): _content(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_content(item) for item in value]
    if isinstance(value, str) and (named := BY_NAME.fullmatch(value)):
        return [value, code_digest(named[1])]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(
        f"a stage was given a {type(value).__name__}; wanted records, configs, texts or numbers, which can be keyed"
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _device_kind() -> str:
    """Name the accelerators without importing torch, which takes seconds: a run that hits every cache never
    needs it.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") == "":
        return "cpu"
    found = [
        line
        for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in file.read_text().splitlines()
    ]
    return ",".join(line.split(":", 1)[1].strip() for line in found if line.startswith("Model:")) or platform.machine()


@dataclasses.dataclass
class StagePolicy(CachePolicy):
    """Prefect's view of `stage_key`; a record whose artifacts are gone or damaged is not a hit."""

    function: Callable[..., Any] | None = None
    numeric: bool = False

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        """Return the stage's key; each damaged earlier result moves it on by one, so that the stage is
        computed anew.
        """
        surroundings.take_up(getattr(task_ctx and task_ctx.task, "sent", None))
        base = key = stage_key(self.function, inputs, numeric=self.numeric)
        results, again = get_result_store(), 0
        while results.exists(key) and kept_record(self.function, results, key) is None:
            again += 1
            key = f"{base}.{again}"
        return key


def kept_record(function: Callable[..., Any], results: ResultStore, key: str) -> Any:
    """Return the record that a stage left under a key, or None where it is damaged, or an artifact of it is."""
    try:
        record = results.read(key).result
    except Exception as error:  # whatever a damaged file makes of itself
        _log.warning("the record %s cannot be read (%s): its stage is computed anew", key, type(error).__name__)
        return None
    if not _is_of(record, get_type_hints(function).get("return", Any)):
        _log.warning("the record %s is a %s: its stage is computed anew", key, type(record).__name__)
        return None
    return record if all(store.intact(artifact) for artifact in artifacts_in(record)) else None


def _is_of(value: Any, hint: Any) -> bool:
    """Return whether a value is what an annotation says; what is inside of lists and mappings is not looked at."""
    if hint is Any:
        return True
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_is_of(value, one) for one in inner)
    if kind is tuple and inner and inner[-1] is not Ellipsis:  # JSON has lists alone
        return isinstance(value, (list, tuple)) and len(value) == len(inner) and all(map(_is_of, value, inner))
    return isinstance(value, (list, tuple) if kind in (tuple, list) else NoneType if kind is None else kind)


def artifacts_in(value: Any) -> list[Artifact]:
    """Return the artifacts that a stage's result names, and those that these name in turn."""
    if isinstance(value, Artifact):
        return [value, *(each for name in vars(value) for each in artifacts_in(getattr(value, name)))]
    return [artifact for item in value for artifact in artifacts_in(item)] if isinstance(value, (list, tuple)) else []
