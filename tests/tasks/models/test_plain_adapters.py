"""Claims: a base that no folder can be called is none; what else is taken and what not, the fault tests of users'
adapters try.
"""

from pathlib import Path

import pytest

from tasks.artifacts import BadInputError
from tasks.models.plain_adapters import base_folder


@pytest.mark.parametrize("named", ["x" * 5000, "/" + "x" * 5000, "\x00", "", None, 3, ["/x"]])
def test_a_base_that_is_nowhere_is_refused(tmp_path: Path, named: object) -> None:
    with pytest.raises(BadInputError, match=r"an adapter whose base is .*, which is no model folder here"):
        base_folder(tmp_path, {"base_model_name_or_path": named}, "--model here")
