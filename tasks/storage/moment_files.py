"""Second moments in files: one float32 tensor, since their ridge is far above its rounding."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks import store
from tasks.artifacts import SecondMomentsRef
from tasks.storage.plain_files import read_json, write_json

if TYPE_CHECKING:
    import torch

    from tasks.algorithms.editing.second_moments import SecondMoments

FILE = "moments.safetensors"
ABOUT = "moments.json"


def write_moments(folder: Path, moments: "SecondMoments") -> None:
    """Write the moments of every layer, and how they were measured."""
    from safetensors.torch import save_file

    layers = {str(layer): matrix.float().cpu().contiguous() for layer, matrix in enumerate(moments.matrices)}
    save_file(layers, folder / FILE)
    write_json(
        folder / ABOUT,
        {"tokens": moments.tokens, "change": moments.change, "converged": moments.converged, "layers": len(layers)},
    )


def read_moment(moments: SecondMomentsRef, layer: int) -> "torch.Tensor":
    """Read C of one layer, (inner, inner), float64, without ridge.

    Raises:
        ValueError: If there is no such layer.
    """
    from safetensors import safe_open

    folder = store.path(moments)
    layers = read_json(folder / ABOUT)["layers"]
    if not 0 <= layer < layers:
        raise ValueError(f"layer is {layer}; wanted 0 to {layers - 1}, the layers whose second moments were measured")
    with safe_open(folder / FILE, "pt") as file:
        return file.get_tensor(str(layer)).double()
