"""Claims: a removal request says whom it is about, why and until when, in a day that is read in one way only; it names
text and a model.
"""

from datetime import date

import pytest

from tasks.settings.removal_requests import RemovalRequest, read_due
from tasks.settings.unlearning_request import UnlearningRequest

TEXT = UnlearningRequest(forget=("a.txt",), model="m")


def asked(**changes: object) -> RemovalRequest:
    return RemovalRequest(**{"subject": "N", "reason": "a law", "due": "2026-12-31", "text": TEXT, **changes})


def test_a_day_is_read_as_people_write_it_in_every_country() -> None:
    assert read_due("2028-02-29") == date(2028, 2, 29)


@pytest.mark.parametrize("due", ["31.12.2026", "2026-02-30", "20261231", "2026-W53-4", "soon", "", "2026-1-1"])
def test_what_is_no_day_is_refused(due: str) -> None:
    with pytest.raises(ValueError, match=r"is no day; wanted one as YYYY-MM-DD"):
        asked(due=due)


@pytest.mark.parametrize("name", ["subject", "reason"])
def test_blank_words_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is empty"):
        asked(**{name: "  "})


@pytest.mark.parametrize("text", [UnlearningRequest(forget=(), model="m"), UnlearningRequest(forget=("a.txt",))])
def test_text_and_model_are_named(text: UnlearningRequest) -> None:
    with pytest.raises(ValueError, match="names no text or no model"):
        asked(text=text)


def test_approval_is_of_the_result_of_a_removal_request() -> None:
    assert UnlearningRequest(forget=("a.txt",), removal="R-0001", approve=True).approve
    with pytest.raises(ValueError, match="approve is set without a removal request"):
        UnlearningRequest(forget=("a.txt",), approve=True)
