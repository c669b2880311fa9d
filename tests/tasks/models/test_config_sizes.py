"""Claims: a config of more layers than its weights can fill is refused at once, wherever the number stands."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import BadInputError
from tasks.models.checkpoints import inspect_model
from tasks.models.config_sizes import require_buildable


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**9},
        {"n_layer": 10**30},
        {"text_config": {"num_local_experts": 10**9}},
        {"encoder_layers": 2000},
    ],
)
def test_more_parts_than_tensors_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=r"^here: config\.json says \w+ is .*, and the weights hold 27 tensors"):
        require_buildable(config, 27, "here")


@pytest.mark.parametrize(
    "config",
    [{"num_hidden_layers": 80}, {"num_experts": 512}, {"layer": "many"}, {"vocab_size": 10**6}, {"n_layer": 1e9}],
)
def test_others_are_let_in(config: dict[str, Any]) -> None:
    require_buildable(config, 27, "here")


def test_a_model_with_such_a_config_is_refused_before_it_is_built(tiny_task: Any, tmp_path: Path) -> None:
    for file in tiny_task.model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 10**9}))
    started = time.monotonic()
    with pytest.raises(BadInputError, match=r"--model .*config\.json says num_hidden_layers is 1e\+09"):
        inspect_model(str(tmp_path), "target")
    assert time.monotonic() - started < 2
