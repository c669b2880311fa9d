"""Stage `prompting`: what the models of a run are invited to speak about, the same for all of them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tasks import formats, store, tracking
from tasks.algorithms.config import ProbingConfig
from tasks.algorithms.elicitation import Invitation, invitations, of_fact, read_published
from tasks.algorithms.facts import HELD_OUT
from tasks.algorithms.probing import spaced
from tasks.artifacts import AnchorTable, BadInputError, FactTable, InputFile, PromptSet
from tasks.stage import stage


@stage("prompting", isolated=False)
def make_invitations(dictionary: AnchorTable, facts: FactTable, given: tuple[InputFile, ...], config: ProbingConfig, run: str | None = None) -> PromptSet:
    """Write prompts about the anchors, about facts that the test text alone states in these words, and those of the user's files."""
    with tracking.stage_run(run, "prompting", {"invitations": config.invitations}) as nested:
        rows = formats.read_json(store.path(dictionary) / "dictionary.json")
        kinds = {row["term"]: row["kind"] for row in rows}
        told = [fact for fact in formats.read_facts(facts, HELD_OUT) if not fact.is_question]
        found = [*invitations(kinds, config.invitations), *map(of_fact, spaced(told, config.invitations))]
        found += [invitation for file in given for invitation in read_prompts(Path(file.path))]
        digest = store.put("prompts", lambda folder: formats.write_json(folder / "prompts.json", [asdict(item) for item in found]), sensitivity="forget")
        tracking.log_metrics(nested, {"prompts": float(len(found))})
        return PromptSet(kind="prompts", digest=digest, sensitivity="forget", origin=nested or "", prompts=len(found))


def read_prompts(path: Path) -> Iterator[Invitation]:
    """Read a file of prompts as they are published.

    Raises:
        BadInputError: If it is missing, no JSON, or a record of it has no prompt.
    """
    try:
        yield from read_published(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError:
        raise BadInputError(f"--prompts {path} does not exist; wanted a JSON file") from None
    except UnicodeDecodeError:
        raise BadInputError(f"--prompts {path} is not UTF-8; wanted a JSON file") from None
    except json.JSONDecodeError as error:
        raise BadInputError(f"--prompts {path}, line {error.lineno}: {error.msg}; wanted a JSON list of prompts") from None
    except ValueError as error:
        raise BadInputError(f"--prompts {path} {error}") from None
