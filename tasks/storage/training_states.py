"""Training states in files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.algorithms.training.loop import TrainingState


def write_state(path: Path, state: "TrainingState") -> None:
    """Write a training state under a temporary name and rename it, so that there is always a whole one."""
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    save_file(
        {name: value.contiguous() for name, value in state.tensors.items()},
        temporary,
        metadata={"numbers": json.dumps(state.numbers)},
    )
    temporary.replace(path)


def read_state(path: Path) -> "TrainingState | None":
    """Read a training state, or nothing where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    from tasks.algorithms.training.loop import TrainingState

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - the file is no mapping
            return TrainingState(tensors=tensors, numbers=json.loads(stream.metadata()["numbers"]))
    except SafetensorError:  # cut short when the machine went down: begin anew
        return None
