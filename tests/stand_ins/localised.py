"""What a trace named, made up, and the check that nothing else was trained."""

from collections.abc import Mapping

import torch

from tasks.artifacts import Localisation

MLP = "transformer.h.{layer}.mlp."
"""GPT-2's."""


def localisation(*layers: int, by: str = "trace") -> Localisation:
    """Return a record that names these layers."""
    return Localisation(
        kind="localisations",
        digest="0" * 64,
        sensitivity="forget",
        by=by,
        layers=layers,
        effects=(0.2, 0.1),
        facts=3,
        unknown=1,
    )


def check_mlps_alone(
    before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], *layers: int, biases: bool = True
) -> None:
    """Require that the MLPs of these layers changed, matrix by matrix, and that all else is the same to the bit."""
    inside = tuple(MLP.format(layer=layer) for layer in layers)
    wanted = [name for name in before if name.startswith(inside) and (biases or name.endswith(".weight"))]
    assert len(wanted) == (4 if biases else 2) * len(layers)
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == wanted
