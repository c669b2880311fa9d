"""Claims: losses and distributions are those of whole passes, from whatever layer, in every architecture, whatever the
rows' lengths; a matrix's change that is added to its output is that change.
"""

import pytest
import torch

from tasks.algorithms.editing.changes import WeightChange, edited
from tasks.algorithms.editing.statements import keep_statements
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.models.activations import added_output
from tasks.algorithms.models.architectures import ARCHITECTURES, is_transposed, mlp_output
from tests.reference.edit_baselines import nats
from tests.stand_ins.architectures import OPT_350M, tiny

STATEMENTS = [
    ScoredSequence(ids=(3, 5, 6, 7, 8, 20, 21), start=5),
    ScoredSequence(ids=(3, 9, 10), start=1),
    ScoredSequence(ids=(5, 6, 14, 15, 16, 20, 21, 22, 7), start=8),
]
KINDS = [*(kind for kind, each in ARCHITECTURES.items() if each.editable), "opt-350m"]


def model_of(kind: str) -> torch.nn.Module:
    return tiny("opt", **OPT_350M) if kind == "opt-350m" else tiny(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_whole_passes_from_whatever_layer(kind: str) -> None:
    model = model_of(kind)
    kept = keep_statements(model, STATEMENTS)
    wanted = torch.stack([nats(model, statement) for statement in STATEMENTS]).detach()
    for layer in (0, 1, 3):
        said = kept.log_probabilities(model, layer)
        assert said.shape == (5, 60)
        torch.testing.assert_close(kept.nats(said).detach(), wanted, atol=1e-4, rtol=1e-4)
    assert kept.mean(torch.ones(5)).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_change_that_is_added_to_its_output_is_that_change(kind: str) -> None:
    model = model_of(kind)
    matrix = mlp_output(model, 1)
    torch.manual_seed(0)
    change = 0.3 * torch.randn_like(matrix.weight)
    name = next(name for name, parameter in model.named_parameters() if parameter is matrix.weight)
    kept = keep_statements(model, STATEMENTS)
    with edited(model, [WeightChange(added={name: change})]):
        wanted = torch.stack([nats(model, statement) for statement in STATEMENTS]).detach()
    written = change if is_transposed(matrix) else change.T
    clean = kept.nats(kept.log_probabilities(model, 1)).detach()
    with added_output(matrix, lambda read: read @ written, kept.rows):
        found = kept.nats(kept.log_probabilities(model, 1)).detach()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, clean, atol=1e-2)
    assert torch.equal(kept.nats(kept.log_probabilities(model, 1)).detach(), clean)  # no hook stays


def test_no_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no statement"):
        keep_statements(model_of("gpt2"), [])
