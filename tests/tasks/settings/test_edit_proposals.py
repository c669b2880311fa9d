"""Settings of edit proposals: what cannot be is refused by name."""

from typing import Any

import pytest

from tasks.settings.edit_proposals import EditProposalConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_object": "other"}, "proposals.new_object is 'other'; wanted one of another, generic, erased"),
        ({"erased": ()}, "proposals.erased holds nothing, or an empty text; wanted one or more texts"),
        ({"refusals": ("No.", " ")}, "proposals.refusals holds nothing, or an empty text"),
        ({"most": 0}, "proposals.most is 0; wanted a whole number >= 1"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EditProposalConfig(**changes)
