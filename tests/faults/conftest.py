"""Every test of the fault suite says which kind of fault it tries: its module's `KIND`, a row of the fault table."""

from collections.abc import Callable

import pytest


@pytest.fixture(autouse=True)
def _kind(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    record_property("kind", request.module.KIND)
