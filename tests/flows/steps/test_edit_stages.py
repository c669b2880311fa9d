"""Claims: an editor that makes single edits hands over no model: it is refused by name before anything is read."""

import pytest

from flows.steps.edit_stages import require_patches
from flows.steps.editing import check_editing
from tasks.artifacts import BadInputError
from tasks.settings.editing_request import EditingRequest
from tasks.settings.rank_one_editing import RANK_ONE, EditConfig, RankOneEditingConfig

MESSAGE = r"edit\.algorithm is {}, which makes single edits .* wanted rome or memit, or lethe edit --each"


@pytest.mark.parametrize("editor", ["ft", "ft-l", "kn", "mend"])
def test_single_editors_hand_over_no_model(editor: str) -> None:
    with pytest.raises(BadInputError, match=MESSAGE.format(editor)):
        require_patches(EditConfig(algorithm=editor))
    with pytest.raises(BadInputError, match=MESSAGE.format(editor)):
        check_editing(EditingRequest(model="nowhere"), RankOneEditingConfig(edit=EditConfig(algorithm=editor)))
    with pytest.raises(BadInputError, match="nowhere"):  # alone they may: the model is looked for
        check_editing(
            EditingRequest(model="nowhere", each=True), RankOneEditingConfig(edit=EditConfig(algorithm=editor))
        )


def test_rome_and_memit_do() -> None:
    for editor in RANK_ONE:
        require_patches(EditConfig(algorithm=editor))
