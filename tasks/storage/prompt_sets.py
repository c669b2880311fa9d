"""Prompts in files."""

from tasks import store
from tasks.algorithms.text.invitations import Invitation
from tasks.artifacts import PromptSet
from tasks.storage.plain_files import read_json


def read_invitations(prompts: PromptSet) -> list[Invitation]:
    """Read what the models are invited to speak about."""
    rows = read_json(store.path(prompts) / "prompts.json")
    return [Invitation(**{**row, "references": tuple(row["references"])}) for row in rows]
