"""Claims: bad settings of SCRUB are refused by name; what bounds the ascent is said in words."""

import pytest

from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0.5, "beta": 0.6}, r"scrub.alpha \+ scrub.beta is 0.5 \+ 0.6 = 1.1; wanted 1"),
        ({"alpha": 1.0, "beta": 0.0}, "scrub.beta is 0"),
        ({"form": "original", "beta": 0.0}, "scrub.beta is 0"),
        ({"gamma": 0.5}, "scrub.gamma is 0.5; wanted 0 in form language_model"),
        ({"form": "original", "gamma": -1.0}, "scrub.gamma is -1"),
        ({"form": "original", "alpha": float("nan")}, "scrub.alpha is nan"),
        ({"form": "joint"}, "scrub.form is 'joint'; wanted one of language_model, original"),
        ({"positions": "some"}, "scrub.positions is 'some'"),
        ({"temperature": 0.0}, "scrub.temperature is 0"),
        ({"bound": 0.0}, "scrub.bound is 0"),
        ({"surprisal_share": -0.5}, "scrub.surprisal_share is -0.5; wanted a number >= 0"),
        ({"surprisal_share": float("nan")}, "scrub.surprisal_share is nan"),
        ({"expected_weight": -0.1}, "scrub.expected_weight is -0.1; wanted a number >= 0"),
        ({"max_epochs": 0}, "scrub.max_epochs is 0"),
    ],
)
def test_senseless_losses_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScrubConfig(**changes)


def test_senseless_trainings_and_rewinds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"training.block_size is 8"):
        ScrubTrainingConfig(block_size=8)
    with pytest.raises(ValueError, match=r"training.looks is 0"):
        ScrubTrainingConfig(looks=0)
    with pytest.raises(ValueError, match=r"training.guard is 'on'; wanted one of steer, watch, off"):
        ScrubTrainingConfig(guard="on")
    with pytest.raises(ValueError, match=r"rewind.every_epochs is 0"):
        RewindConfig(every_epochs=0)


def test_the_report_is_told_whether_the_ascent_is_bounded() -> None:
    assert ScrubConfig(bound=3.0).max_step == "bounded: each forget token's divergence is clipped at 3 nats"
    driven = "bounded: each forget token's divergence is driven to 0.65 of its surprisal in the retain text"
    assert ScrubConfig(bound=12.0, surprisal_share=0.65).max_step == f"{driven}, 12 nats at most, and drawn back beyond"
    assert ScrubConfig(bound=None, surprisal_share=0.65).max_step == f"{driven}, and drawn back beyond"
    assert ScrubConfig(bound=None).max_step.startswith("unbounded")
