"""Guardrails on disk: a file beside the weights, so that a guarded model is a model folder like any other.

The folder is self-contained: `--out`, `lethe evaluate --model` and a copy on another machine all find the guardrail,
and its digest is part of the checkpoint's, so nothing measured with one guardrail is taken for another's. The file
holds the forgotten terms; the artifact is therefore of class `forget`, and purged as such. Only what answers or is
scored is loaded behind it (`load_behind_guardrail`); everything that trains takes the bare weights from
`checkpoints.load_model`, as whoever has the weights can.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models.checkpoints import BEHAVIOUR, GUARDRAIL
from tasks.models.json_files import read_object
from tasks.models.loading import load_model, load_tokenizer

if TYPE_CHECKING:
    from tasks.algorithms.unlearning.guardrail import Guardrail

SCHEMA = "lethe.guardrail.v1"


def has_guardrail(checkpoint: CheckpointRef) -> bool:
    """Return whether a model folder has a guardrail."""
    return (store.path(checkpoint) / GUARDRAIL).is_file()


def load_behind_guardrail(checkpoint: CheckpointRef) -> Any:
    """Load a checkpoint as its users meet it: behind its guardrail, where it has one."""
    model = load_model(checkpoint)
    if not has_guardrail(checkpoint):
        return model
    from tasks.algorithms.unlearning.guardrail import GuardrailModel

    try:
        return GuardrailModel(model, load_tokenizer(checkpoint), read_guardrail(store.path(checkpoint))).eval()
    except ValueError as error:
        raise BadInputError(f"{checkpoint.label} model {checkpoint.name}: {error}") from None


def require_room(target: CheckpointRef, prefix: str) -> None:
    """Refuse a prefix that is too long for a model's context, before anything is measured; no weights are loaded.

    Raises:
        BadInputError: If it takes more than half of the positions.
    """
    from transformers import AutoConfig

    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.unlearning.guardrail import beginnings, room_left

    config = AutoConfig.from_pretrained(store.path(target), local_files_only=True, trust_remote_code=False)
    try:
        room_left(beginnings(load_tokenizer(target), prefix), context_size(config))
    except ValueError as error:
        raise BadInputError(f"{target.label} model {target.name}: {error}") from None


def read_guardrail(folder: Path) -> "Guardrail":
    """Read a model folder's guardrail.

    Raises:
        BadInputError: If the file holds something else.
    """
    from tasks.algorithms.unlearning.guardrail import Guardrail

    file = folder / GUARDRAIL
    try:
        content = read_object(file, str(folder))
        if content.pop("schema") != SCHEMA or not _fits(content):
            raise ValueError
        return Guardrail(**content | {"terms": tuple(content["terms"])})
    except (ValueError, KeyError, TypeError):
        raise BadInputError(
            f"{file} is no guardrail; wanted schema {SCHEMA} with prefix, refusal, floor and terms"
        ) from None


def _fits(content: dict[str, Any]) -> bool:
    texts = [content["prefix"], content["refusal"], *content["terms"]]
    floor = content["floor"]
    return all(isinstance(text, str) for text in texts) and isinstance(floor, float) and 0 < floor < 1


def save_guarded(target: CheckpointRef, guardrail: "Guardrail", origin: str | None) -> CheckpointRef:
    """Copy a model folder to the store and put a guardrail beside its weights."""
    source = store.path(target)

    def write(folder: Path) -> None:
        for file in sorted(source.iterdir()):
            if file.is_file() and (file.suffix == ".safetensors" or file.name in KEPT or file.suffix == ".model"):
                shutil.copyfile(file, folder / file.name)
        text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(guardrail)}, indent=1, ensure_ascii=False)
        (folder / GUARDRAIL).write_text(text, encoding="utf-8")

    digest = store.put("checkpoints", write, sensitivity="forget")
    return CheckpointRef(
        kind="checkpoints",
        digest=digest,
        sensitivity="forget",
        parameters=target.parameters,
        label="unlearned",
        origin=origin or "",
    )


KEPT = frozenset({*BEHAVIOUR, "model.safetensors.index.json", "vocab.json", "merges.txt", "added_tokens.json"}) - {
    GUARDRAIL
}
"""Files of a model folder that are copied, beside the weights."""
