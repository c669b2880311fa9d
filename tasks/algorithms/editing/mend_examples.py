"""What MEND learns from: facts that a model knows, each with other objects, and what is to stay beside them.

A fact is given objects that other facts of its relation have. What is to stay: its own unrelated statements, its
neighbors, those that share a part of its name, and facts about something else.
"""

import random
from collections.abc import Collection, Sequence
from typing import Any

from tasks.algorithms.editing.mend import MendExample
from tasks.algorithms.measuring.edit_questions import object_sequence, unrelated_facts
from tasks.algorithms.measuring.metrics import ScoredSequence
from tasks.algorithms.tokens.alignment import prefix_ids
from tasks.settings.edit_baselines import MendConfig
from tasks.settings.edit_request import EditRequest, Statement

OTHERS = 20
"""Facts about something else that stay beside an example."""


def mend_examples(
    tokenizer: Any, facts: Sequence[EditRequest], subjects: Collection[str], context: int, config: MendConfig
) -> list[MendExample]:
    """Return edits to learn from.

    Args:
        tokenizer: A fast tokenizer.
        facts: What the model knows, each with its present object.
        subjects: Of the edits that are to be judged: no fact about them is learned from.
        context: Positions that the model has.
        config: How many new objects a fact is given, and the seed of their draw.

    Raises:
        ValueError: If no fact is left, or none has another object that it could be given.
    """
    prefix, known = prefix_ids(tokenizer), [fact for fact in facts if fact.subject not in set(subjects) and fact.object]

    def row(prompt: str, object_: str) -> ScoredSequence:
        return object_sequence(prefix, tokenizer, prompt, object_, context)

    examples = [
        MendExample(
            edit=row(fact.question, target),
            rephrased=tuple(row(prompt, target) for prompt in fact.paraphrases),
            unrelated=tuple(row(one.prompt, one.object) for one in staying),
        )
        for fact in known
        if (staying := _staying(fact, known))
        for target in _objects(fact, known, config)
    ]
    if not examples:
        raise ValueError(
            f"there is nothing for MEND to learn from among {len(facts)} facts; wanted some about other subjects than"
            " those that are edited, with different objects"
        )
    return examples


def _objects(fact: EditRequest, known: Sequence[EditRequest], config: MendConfig) -> list[str]:
    """Return other objects of its relation; of any, where nobody says the relation."""
    others = sorted({other.object for other in known if other.relation == fact.relation} - {fact.object})
    drawn = random.Random(f"{config.seed} {fact.question}")
    return drawn.sample(others, min(config.objects, len(others)))


def _staying(fact: EditRequest, known: Sequence[EditRequest]) -> list[Statement]:
    """Return what an edit of the fact is to leave as it is."""
    neighbors = [Statement(prompt=prompt, object=fact.object) for prompt in fact.neighborhood]
    stated = [Statement(prompt=other.question, object=other.object) for other in known]
    return [*fact.unrelated, *fact.name_sharers, *neighbors, *unrelated_facts(stated, [fact.subject], OTHERS)]
