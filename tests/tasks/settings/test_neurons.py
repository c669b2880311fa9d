"""Settings of a fact's neurons: bad ones are refused by name."""

import pytest

from tasks.settings.neurons import NeuronConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attribution": "shapley"},
            "neurons.attribution is 'shapley'; wanted one of integrated_gradients, activation",
        ),
        ({"tokens": "all"}, "neurons.tokens is 'all'; wanted one of subject, last_subject, last_token"),
        ({"points": 0}, "neurons.points is 0; wanted a whole number >= 1"),
        ({"draws": 0}, "neurons.draws is 0"),
        ({"points": 64, "most_points": 32}, "neurons.most_points is 32; wanted at least points, 64"),
        ({"tolerance": 0.0}, "neurons.tolerance is 0.0; wanted a number > 0"),
        ({"tolerance": float("nan")}, "neurons.tolerance is nan"),
        ({"threshold": 0.0}, "neurons.threshold is 0.0; wanted a number above 0, at most 1"),
        ({"most": 1.1}, "neurons.most is 1.1"),
        ({"share": -0.1}, "neurons.share is -0.1; wanted a number from 0 to 1"),
    ],
)
def test_bad_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuronConfig(**changes)
