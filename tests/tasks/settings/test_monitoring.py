"""Claims: days and threshold are checked by name; a monitor asks what an evaluation asks."""

import pytest

from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.monitoring import MonitorConfig, MonitoringConfig


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"every": 0}, "monitor.every is 0; wanted a whole number of days >= 1"),
        ({"threshold": 0.0}, "monitor.threshold is 0.0; wanted a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, float], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        MonitorConfig(**changes)


def test_it_asks_what_an_evaluation_asks() -> None:
    assert isinstance(MonitoringConfig(), EvaluationConfig)
    assert MonitoringConfig().monitor == MonitorConfig(every=7, threshold=0.3)
