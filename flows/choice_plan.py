"""`--method auto --dry-run`: which candidates the request allows, and what would become of each."""

from collections.abc import Sequence
from dataclasses import replace

from flows.candidates import Candidate, read_candidates, sort_out, whole_first
from flows.plan import Plan, plan
from flows.steps.wiring import DICTIONARY, FACTS, look_up
from tasks.settings.automatic import AutomaticConfig
from tasks.settings.unlearning_request import UnlearningRequest


def plan_choice(request: UnlearningRequest, config: AutomaticConfig) -> Plan:
    """Run corpus, halves, anchors, translation and facts, and say what would be tried; nothing is trained.

    Raises:
        BadInputError: If the request allows no candidate.
    """
    planned = plan(request, config, None, halved_by=config.seed)
    candidates, left_out = sort_out(read_candidates(config), request, config, planned.anchors, planned.facts)
    halved = [one for one in candidates[whole_first(candidates) :] if one.trains]
    shares = config.rungs if len(halved) > 1 else ()
    told = {one.words: _turn(one, shares if one in halved else ()) + _cached(one, planned) for one in candidates}
    return replace(planned, candidates=told | {words: f"left out: {reason}" for words, reason in left_out.items()})


def _turn(candidate: Candidate, shares: Sequence[float]) -> str:
    """Return how it would begin."""
    if shares:
        return f"trained to {shares[0]:g} of its steps, and further if it keeps up"
    return "trained whole" if candidate.trains else "made at once"


def _cached(candidate: Candidate, planned: Plan) -> str:
    """Return how much of it, trained whole, is in the cache."""
    call = candidate.method.declare()(planned.corpus, planned.target, candidate.config)
    found = look_up(call, {DICTIONARY: planned.anchors, FACTS: planned.facts})
    count = sum(record is not None for record in found.values())
    return f"; {count} of {len(found)} stages cached"
