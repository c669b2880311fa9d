"""Flow `auto`: the method and its settings are chosen by trials on one half of what is asked about, and the chosen
model is judged on the other half, which no trial has seen.

    corpus > halves > anchors > translation > facts > which candidates the request allows
    the first candidate whole > the others by successive halving > the best of them whole, until one passes
    the chosen model, from the cache, judged on the untouched half > comparison

A trial is a run of its method like any other, with a card, in the cache: a choice that was ended goes on when it is
called again. Whatever comes out on the untouched half is what is told: nothing is tried again because of it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas
from prefect.runtime import flow_run

from flows.candidates import Candidate, read_candidates, sort_out, whole_first
from flows.comparison import Compared, compare
from flows.methods import AUTOMATIC
from flows.steps.dictionary import translation
from flows.steps.facts import state_facts
from flows.steps.flow_runs import flow
from flows.steps.halving import Halving
from flows.steps.judging import tracked
from flows.steps.outcome import Outcome, Stages
from flows.steps.providers import say
from flows.steps.reading import read_text
from flows.steps.removals import work_on
from flows.steps.request import CheckedRequest
from flows.steps.tracked_runs import Told, digests, open_run
from flows.steps.unlearning import Choice, carry_out, check_unlearning
from flows.steps.verdict_state import concluded
from flows.steps.wiring import Wiring
from tasks import store, tracking
from tasks.algorithms.verdicts.shortfall import LARGEST, lacking, shortfalls
from tasks.artifacts import AnchorTable, BadInputError, BelowFloorError, FactTable, Scorecard
from tasks.execution.isolation import StageProcessDiedError
from tasks.halves import Half, take_half
from tasks.reporting.choice_rows import how_chosen, how_judged, in_part, in_words, standing
from tasks.settings.automatic import AutomaticConfig, read_budget
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.storage.plain_files import read_json

METHOD = "auto"
OF_ONE_CANDIDATE = (BadInputError, BelowFloorError, FloatingPointError, MemoryError, StageProcessDiedError)
"""What may come of one candidate and not of the next."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trial that has ended."""

    candidate: str
    """As the user would write it."""
    share: float
    """Of a whole training, above 0 to 1."""
    state: str
    """`passed`, `failed` the verdict, `given up` after a part of its training, `went on` after it, or `broke off`."""
    left: float | None = None
    """What is left of the forgotten, over the target model's."""
    back: float | None = None
    """The same after relearning, where it comes back most; None where that was not tried."""
    kept: float | None = None
    """What is kept, over the target model's."""
    shortfalls: tuple[float, ...] = ()
    """How far its figures are beyond their limits, the worst first; 0 is at the limit."""
    lacking: tuple[str, ...] = ()
    """In words, what it lacks to pass; or why it broke off."""
    seconds: float = 0.0
    mlflow_run: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether there is a model with a verdict."""
        return self.state != "broke off"

    @property
    def rank(self) -> tuple[bool, tuple[float, ...]]:
        """Sorts what passed before what did not, and the nearest first."""
        return self.state != "passed", self.shortfalls or (LARGEST,)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The chosen model with its judgement, and how it was chosen."""

    outcome: Outcome
    """Judged on the untouched half."""
    candidate: str
    """As the user would write it."""
    trials: tuple[Tried, ...]
    left_out: Mapping[str, str]
    """Candidate -> why it was not tried."""
    words: str
    """What was found, for a person."""
    comparison: Compared
    """All trials side by side."""
    mlflow_run: str
    flow_run: str
    flow_run_name: str

    @property
    def scorecard(self) -> Scorecard:
        """The judgement on the untouched half."""
        return self.outcome.scorecard


@dataclass(kw_only=True)
class _Choosing:
    """A choice that is being made."""

    request: UnlearningRequest
    config: AutomaticConfig
    run: str
    """Its tracked run."""
    began: float
    """When, on the monotonic clock."""
    candidates: Sequence[Candidate]
    """All that the request allows, in order."""
    trials: list[Tried] = field(default_factory=list)
    whole: list[tuple[Candidate, Tried]] = field(default_factory=list)
    """Those that were trained whole and judged."""

    def has_budget(self) -> bool:
        """Whether a further trial may begin."""
        budget = read_budget(self.config.budget)
        in_time = budget.minutes is None or time.monotonic() - self.began < 60 * budget.minutes
        return in_time and (budget.trials is None or len(self.trials) < budget.trials)

    def choice(self, half: Half, name: str) -> Choice:
        """Return what a run of this choice is to know of it."""
        return Choice(half=half, seed=self.config.seed, run=self.run, name=name)


@flow(name="auto", log_prints=False, validate_parameters=True)
def automatic(
    request: UnlearningRequest, config: AutomaticConfig = AutomaticConfig(), require_verdict: bool = False
) -> Chosen:
    """Choose a method by trials, unlearn by it, and judge the result on what no trial saw.

    Args:
        request: What is to be forgotten, by which model, and what else is at hand.
        config: Candidates, budget, and what is asked of every model.
        require_verdict: Whether the flow run fails when the verdict is not passed.

    Raises:
        BadInputError: If the request allows no candidate, or all broke off.
        ValueError: If there is no such method.
    """
    began, candidates = time.monotonic(), read_candidates(config)
    checked = check_unlearning(request, config)
    told = Told(
        method=METHOD,
        model=checked.target.digest,
        config=config,
        presets=AUTOMATIC[METHOD].named_presets(),
        removal=checked.removal,
        params=digests(checked.models, checked.inputs.by_split()),
    )
    with work_on(checked.removal) as work:
        run = open_run(told)
        work.begin(run)
        with tracked(run):
            dictionary, facts = _read(Stages(run=run), checked, config.seed)
            allowed, left_out = sort_out(candidates, request, config, dictionary, facts)
        choosing = _Choosing(request=request, config=config, run=run, began=began, candidates=allowed)
        try:
            _try_all(choosing)
            chosen = _conclude(choosing, left_out)
        except BaseException as error:
            tracking.close_after(error, run)
            raise
        tracking.close(run)
        work.end(chosen.outcome.scorecard.passed, checked.target)
    return concluded(chosen, require_verdict)


def _read(stages: Stages, checked: CheckedRequest, seed: int) -> tuple[AnchorTable, FactTable]:
    """Read the text as all trials will, and return what says which methods it allows."""
    settings, run = checked.config, stages.run
    corpus = read_text(stages, checked.inputs, settings.corpus)
    halved = take_half.submit(corpus, "choosing", seed, settings.corpus, run)
    half = stages.result("halves", halved, "choosing")
    wiring = Wiring(run=run)
    translated = translation(half, settings, checked.user_anchors, needs_anchors=settings.needs_anchors)
    wiring.submit(translated)
    dictionary = stages.results(wiring.waiting())[translated.key]
    return dictionary, stages.result("facts", state_facts(stages, half, dictionary, settings))


def _try_all(choosing: _Choosing) -> None:
    """Try candidates until one passes, or the budget is spent and one is judged, or all have been tried."""
    for candidate in _in_turn(choosing):
        if choosing.whole and not choosing.has_budget():
            return
        tried = _try(choosing, candidate)
        if tried.is_judged:
            choosing.whole.append((candidate, tried))
        if tried.state == "passed":
            return


def _in_turn(choosing: _Choosing) -> Iterator[Candidate]:
    """Yield what is trained whole: all up to the first that trains, the survivors of the halving, and what cannot be
    trained in part.
    """
    at_once = whole_first(choosing.candidates)
    yield from choosing.candidates[:at_once]
    others = choosing.candidates[at_once:]
    yield from _survivors(choosing, [one for one in others if one.trains])
    yield from [one for one in others if not one.trains]


def _survivors(choosing: _Choosing, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Train candidates to one share after the other, those that keep up, and return these, the best first; where the
    budget ends it, those whose turn did not come stand behind.
    """
    if len(candidates) < 2 or not choosing.config.rungs:
        return list(candidates)
    halving, going = Halving(), list(candidates)
    for rung, share in enumerate(choosing.config.rungs):
        if len(going) < 2:
            break
        kept: list[tuple[Tried, Candidate]] = []
        waiting = list(going)
        while waiting and choosing.has_budget():
            candidate = waiting.pop(0)
            tried = _try(choosing, candidate, share)
            if tried.is_judged and halving.goes_on(candidate.words, rung, tried.rank[1][0]):
                kept.append((tried, candidate))
            if tried.is_judged:
                state = "went on" if kept and kept[-1][1] is candidate else "given up"
                choosing.trials[-1] = replace(tried, state=state)
        going = [one for _, one in sorted(kept, key=lambda pair: pair[0].rank)] + waiting
    return going


def _try(choosing: _Choosing, candidate: Candidate, share: float = 1.0) -> Tried:
    """Unlearn by a candidate, and judge it on the half to choose by."""
    place, began = choosing.candidates.index(candidate) + 1, time.monotonic()
    name = f"trial {len(choosing.trials) + 1}: {in_part(candidate.words, share)}"
    candidate = candidate if share == 1.0 else candidate.shortened(share)
    say(f"{name} (candidate {place} of {len(choosing.candidates)})")
    try:
        unlearning = candidate.method.unlearning()(choosing.request, candidate.config)
        outcome = carry_out(replace(unlearning, choice=choosing.choice("choosing", name)))
        tried = _judged(candidate, share, outcome)
    except Exception as error:
        if not is_of_one_candidate(error):
            raise
        why = str(error) if isinstance(error, (BadInputError, BelowFloorError)) else type(error).__name__
        tried = Tried(candidate=candidate.words, share=share, state="broke off", lacking=(why,))
    choosing.trials.append(replace(tried, seconds=round(time.monotonic() - began, 1)))
    # why one broke off may name the user's files, which no log is to have; the table has it
    lacks = f", lacking {in_words(tried.lacking, 1)}" if tried.lacking and tried.is_judged else ""
    say(f"{name}: {'judged' if share < 1.0 and tried.is_judged else tried.state}{lacks}")
    return choosing.trials[-1]


def is_of_one_candidate(error: Exception) -> bool:
    """Return whether the next candidate may do without this error: memory runs out of what is too large for it."""
    return isinstance(error, OF_ONE_CANDIDATE) or type(error).__name__ == "OutOfMemoryError"  # torch's, not loaded here


def _judged(candidate: Candidate, share: float, outcome: Outcome) -> Tried:
    card, verdict = read_json(store.path(outcome.scorecard) / "scorecard.json"), candidate.config.verdict
    measured = shortfalls(card["metrics"], verdict)
    return Tried(
        candidate=candidate.words,
        share=share,
        state="passed" if outcome.scorecard.passed else "failed",
        shortfalls=tuple(round(one.amount, 6) for one in measured),
        lacking=tuple(lacking(card, verdict)),
        mlflow_run=outcome.mlflow_run,
        **standing(card["metrics"]),
    )


def _conclude(choosing: _Choosing, left_out: Mapping[str, str]) -> Chosen:
    """Judge the best of the whole trainings on the untouched half, and lay all trials side by side."""
    if not choosing.whole:
        reasons = "; ".join(f"{one.candidate}: {in_words(one.lacking)}" for one in choosing.trials)
        raise BadInputError(f"--method auto: all candidates broke off ({reasons}); wanted one that does not")
    best, tried = min(choosing.whole, key=lambda pair: pair[1].rank)
    say(f"judging {best.words} on the half that no trial saw")
    unlearning = best.method.unlearning()(choosing.request, best.config)
    counts = {"candidates": len(choosing.candidates), "trials": len(choosing.trials)}
    how = how_chosen(tried.lacking, **counts)
    provenance = {**unlearning.provenance, "chosen": how}
    choice = choosing.choice("untouched", f"chosen: {best.words}")
    outcome = carry_out(replace(unlearning, choice=choice, provenance=provenance))
    card = read_json(store.path(outcome.scorecard) / "scorecard.json")
    words = f"{best.words}: {how}. {how_judged(tried.lacking, lacking(card, best.config.verdict))}"
    return Chosen(
        outcome=outcome,
        candidate=best.words,
        trials=tuple(choosing.trials),
        left_out={**left_out, **_untried(choosing)},
        words=words,
        comparison=_publish(choosing, outcome, words),
        mlflow_run=choosing.run,
        flow_run=str(flow_run.id),
        flow_run_name=str(flow_run.name),
    )


def _untried(choosing: _Choosing) -> dict[str, str]:
    """Return of the candidates that were allowed and not tried, why not."""
    begun = {one.candidate for one in choosing.trials}
    passed = any(one.state == "passed" for one in choosing.trials)
    why = "an earlier one passed" if passed else "the budget was spent before its turn"
    return {one.words: why for one in choosing.candidates if one.words not in begun}


def _publish(choosing: _Choosing, outcome: Outcome, words: str) -> Compared:
    """Log the table of trials, and compare them with each other and with the judgement."""
    run = choosing.run
    tracking.log_table(run, trial_table(choosing.trials), "trials", "public")
    whole, passed = len(choosing.whole), float(outcome.scorecard.passed)
    tracking.log_metrics(run, {"auto/trials": len(choosing.trials), "auto/whole_trials": whole, "auto/passed": passed})
    tracking.set_tags(run, {"lethe.chosen": words[:5000], "lethe.chosen_run": outcome.mlflow_run})
    tracking.log_verdict(run, outcome.scorecard.passed, outcome.scorecard.evidence)
    tracking.add_note(run, f"[Chosen]({tracking.run_page(outcome.mlflow_run)}): {words}")
    compared = compare(runs=[*(one.mlflow_run for one in choosing.trials if one.mlflow_run), outcome.mlflow_run])
    tracking.set_tags(compared.mlflow_run, {"mlflow.parentRunId": run})
    return compared


def trial_table(trials: Sequence[Tried]) -> pandas.DataFrame:
    """Return a row for each trial, in the order in which they were made; why one broke off is left out, since it may
    name the user's files.
    """
    rows: list[dict[str, Any]] = []
    for number, tried in enumerate(trials, 1):
        said = in_words(tried.lacking) if tried.state != "broke off" else ""
        worst = {"worst_shortfall": tried.shortfalls[0] if tried.shortfalls else None, "lacking": said}
        rows.append({"trial": number, **asdict(tried), **worst})
    numbers = dict.fromkeys(("left", "back", "kept", "worst_shortfall"), float)
    return pandas.DataFrame(rows).drop(columns="shortfalls").astype(numbers)
