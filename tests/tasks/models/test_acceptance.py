"""Claims: what a config says in another type than it should is no reason to fail; what is let in and what is not, the
fault tests of users' models try.
"""

from typing import Any

import pytest

from tasks.models.acceptance import require_decoder


@pytest.mark.parametrize(
    "config", [{"model_type": ["llama"]}, {"model_type": {}}, {"architectures": 3}, {"architectures": "ForCausalLM"}]
)
def test_fields_of_another_type_are_looked_at_and_no_more(config: dict[str, Any]) -> None:
    require_decoder(config, "here")
