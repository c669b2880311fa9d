"""What a trial of a sweep is told from others by, and where its training stops."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from flows.methods import METHODS
from flows.steps.settings import apply_settings
from flows.steps.trials import Ground, identity, stopping
from tasks.artifacts import AnchorTable, CheckpointRef, CorpusRef, FactTable
from tasks.trial import TrialFigures

POINT = ("objective.b=0.1",)
DIGESTS = ("a" * 64, "b" * 64)


def ground(
    method: str = "npo",
    *settings: str,
    text: str = DIGESTS[0],
    anchors: str = DIGESTS[0],
    model: str = DIGESTS[0],
    run: str = "run",
) -> Ground:
    config = METHODS[method].preset("default", 0)
    target = CheckpointRef(kind="checkpoints", digest=model, sensitivity="ordinary", parameters=1, label="target")
    return Ground(
        method=method,
        declare=METHODS[method].declare(),
        request=SimpleNamespace(target=target, config=config),
        configs={POINT: stopping(apply_settings(config, list(settings)), 0.85)},
        corpus=CorpusRef(kind="corpora", digest=text, sensitivity="forget", documents={"retain": 1}, characters={}),
        dictionary=AnchorTable(kind="dictionaries", digest=anchors, sensitivity="forget", anchors=1, pipeline="none"),
        baselines={"target": TrialFigures(forget=0.9, retain=0.8)},
        floor=0.85,
        run=run,
    )


def told(*given: str, **changes: Any) -> str:
    return str(identity(ground(*given, **changes), POINT))


def test_a_trial_is_another_one_with_other_text_models_or_settings_and_the_same_in_another_run() -> None:
    for given in (
        ("npo", "objective.b=0.2"),
        ("npo", "training.stop_below=0"),
        ("npo", "training.epochs=33"),
        ("simnpo",),
    ):
        assert told(*given) != told()
    for changes in ({"text": DIGESTS[1]}, {"model": DIGESTS[1]}):
        assert told(**changes) != told()
    assert told(run="another") == told() == told("npo", "training.stop_below=0.85")
    assert told(anchors=DIGESTS[1]) == told(), "no stage of this method reads the dictionary"
    assert told("whp", anchors=DIGESTS[1]) != told("whp")


def test_a_trial_of_a_method_that_works_on_facts_is_another_one_with_other_facts() -> None:
    one = ground("rome")
    tables = [
        FactTable(
            kind="facts", digest=digest, sensitivity="forget", facts=1, held_out=0, recommended="editing", reason=""
        )
        for digest in DIGESTS
    ]
    keys = [str(identity(replace(one, facts=table), POINT)) for table in (*tables, tables[0])]
    assert keys[0] == keys[2] != keys[1]


def test_a_trial_is_another_one_in_another_place_of_the_grid() -> None:
    one = ground()
    other = replace(one, configs={("objective.b=0.3",): one.configs[POINT]})
    assert identity(one, POINT) != identity(other, ("objective.b=0.3",))


def test_every_section_that_trains_stops_at_the_floor_unless_it_says_when() -> None:
    one = stopping(METHODS["npo"].preset("default", 0), 0.85)
    assert one.training.stop_below == 0.85
    assert stopping(apply_settings(one, ["training.stop_below=0"]), 0.85).training.stop_below == 0
    whp = stopping(METHODS["whp"].preset("default", 0), 0.9)  # one of them has no validation, and goes to its end
    assert (whp.finetune.stop_below, whp.reinforcement.stop_below) == (0.9, 0.9)
    guardrail = METHODS["guardrail"].preset("default", 0)
    assert stopping(guardrail, 0.9) == guardrail
