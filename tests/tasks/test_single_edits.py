"""The stage: every edit alone, by any editor, judged by one loop; the model is the same before each."""

from dataclasses import replace

import pytest

from tasks import store
from tasks.artifacts import CheckpointRef
from tasks.models.loading import save_checkpoint
from tasks.settings.edit_baselines import EditBaselinesConfig, EditFinetuningConfig, MendConfig
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tasks.settings.rank_one_editing import EditConfig, SecondMomentConfig
from tasks.single_edits import judge_single_edits
from tasks.storage.edit_records import SCORES, read_edit_records
from tasks.storage.plain_files import read_json
from tests.stand_ins.scored_edits import REQUESTS
from tests.tasks.test_edit_evaluation import edits

EVALUATION = EditEvaluationConfig(generations=0, window=16)
BASELINES = EditBaselinesConfig(
    finetuning=EditFinetuningConfig(learning_rate=3e-2), mend=MendConfig(steps=2, rank=2, batch=2)
)
FACTS = [
    replace(one, subject=f"{one.subject} Ann", target="Tom", object=f"Tom {at}") for at, one in enumerate(REQUESTS)
]


@pytest.fixture
def model(lethe_home, tiny_gpt2, tiny_tokenizer) -> CheckpointRef:
    return save_checkpoint(
        tiny_gpt2(1, initializer_range=0.3), tiny_tokenizer, "target", sensitivity="ordinary", origin=""
    )


def judged(model: CheckpointRef, requests, **edit: object):
    facts = edits(*FACTS)[0] if edit["algorithm"] == "mend" else None
    how = (EditConfig(**edit), BASELINES, SecondMomentConfig(), EVALUATION)
    return judge_single_edits.body(model, edits(*requests)[0], None, None, facts, *how)


@pytest.mark.parametrize("edit", [{"algorithm": "ft", "layer": 1}, {"algorithm": "kn"}, {"algorithm": "mend"}])
def test_an_edit_is_judged_as_if_there_were_no_other(model: CheckpointRef, edit: dict) -> None:
    found, alone = judged(model, REQUESTS, **edit), judged(model, REQUESTS[2:], **edit)
    records, own = read_edit_records(found), read_edit_records(alone)
    assert (found.edits, found.label) == (3, edit["algorithm"])
    for which in ("before", "after"):
        last = [replace(one, request=0) for one in records[which].objects if one.request == 2]
        if edit["algorithm"] != "mend" or which == "before":  # of other edits MEND leaves out other facts
            for ours, theirs in zip(last, own[which].objects, strict=True):
                assert ours.log_p_nats == pytest.approx(theirs.log_p_nats, abs=1e-4)
    assert {one.request for one in records["after"].objects} == {0, 1, 2}
    assert records["after"].objects != records["before"].objects


def test_fine_tuning_makes_the_new_object_likelier_and_takes_time(model: CheckpointRef) -> None:
    metrics = read_json(store.path(judged(model, REQUESTS, algorithm="ft", layer=1)) / SCORES)["metrics"]
    rewrite = metrics["edit/rewrite_new_probability"]
    assert rewrite["unlearned"] > 10 * rewrite["target"]
    assert metrics["edit/seconds"]["n"] == 3


def test_fine_tuning_wants_a_layer(model: CheckpointRef) -> None:
    with pytest.raises(ValueError, match=r"edit\.layer is not set and nothing was traced"):
        judged(model, REQUESTS, algorithm="ft")
