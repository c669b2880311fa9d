"""Claims: off, a method's stages are its own; on, a distillation follows, of the unlearned model's word, with the
target's own text where there may be too little; nothing to distil on is refused before anything runs; card and
curves tell both trained models apart.
"""

import pytest

from flows.methods import METHODS
from flows.steps.distilling import account, distilled, require_distillable, told_apart
from flows.steps.settings import apply_settings
from flows.steps.unlearning import check_unlearning
from flows.steps.wiring import DICTIONARY, Call
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.settings.evaluation import MethodConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.task_vector import subtract_task_vector

ON = "noise_alpha=0.2"
ENOUGH = 256 * 256 * 8
WRITTEN = "self-written text 256 blocks of 256"
CACHES = ["teacher cache of retain text", "teacher cache of forget text"]


def config(name: str, *settings: str) -> MethodConfig:
    return apply_settings(METHODS[name].preset("default", 0), [f"distillation.{setting}" for setting in settings])


def corpus(characters: int = 0, **documents: int) -> CorpusRef:
    return CorpusRef(
        kind="corpora",
        digest="a" * 64,
        sensitivity="forget",
        documents={"forget": 1, **documents},
        characters={"retain": characters},
    )


def checkpoint(label: str, digest: str = "b") -> CheckpointRef:
    return CheckpointRef(kind="checkpoints", digest=digest * 64, sensitivity="ordinary", parameters=1, label=label)


def stages(name: str, read: CorpusRef, *settings: str) -> list[str]:
    call = METHODS[name].declare()(read, checkpoint("target"), config(name, *settings))
    return [str(each.key) for each in call.upstream()]


def test_off_nothing_is_added() -> None:
    own = Call(subtract_task_vector, None, None, None)
    assert distilled(own, corpus(), checkpoint("target"), config("task_vector")) is own
    assert stages("npo", corpus(retain=1)) == ["reference cache", "finetune"]


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.changes_weights])
def test_any_method_that_changes_weights_is_followed_by_it(name: str) -> None:
    read = corpus(ENOUGH, retain=1)
    own = stages(name, read)
    assert stages(name, read, ON) == [*own, *CACHES, "distillation"]
    little = stages(name, corpus(ENOUGH - 1, retain=1), ON)
    assert set(little) == {*own, WRITTEN, *CACHES, "distillation"}
    assert len(little) == len({*little}), "no stage's result is taken for another's"


def test_what_the_target_writes_for_a_training_serves_the_distillation_too() -> None:
    call = METHODS["whp"].declare()(corpus(), checkpoint("target"), config("whp", ON))
    assert [str(each.key) for each in call.upstream()].count(WRITTEN) == 1
    more = METHODS["whp"].declare()(corpus(), checkpoint("target"), config("whp", ON, "block_size=512"))
    keys = [str(each.key) for each in more.upstream()]
    assert {WRITTEN, "self-written text 256 blocks of 512", "teacher cache", *CACHES} <= {*keys}
    assert len(keys) == len({*keys})


def test_the_unlearned_model_speaks_of_what_is_kept_and_of_what_is_forgotten() -> None:
    def said(*settings: str) -> list[str | None]:
        call = METHODS["npo"].declare()(corpus(ENOUGH, retain=1), checkpoint("target"), config("npo", ON, *settings))
        unlearned, *caches, _ = call.arguments
        assert all(cache.arguments[1] is unlearned for cache in caches if cache)
        return [cache and cache.arguments[-1] for cache in caches]

    assert said() == ["retain", "forget"]
    assert said("forget_text=false") == ["retain", None]


def test_text_is_written_for_what_may_be_lacking_with_the_dictionary_and_only_then() -> None:
    def waits(characters: int, *settings: str) -> bool:
        how = config("npo", ON, *settings)
        call = METHODS["npo"].declare()(corpus(characters), checkpoint("target"), how)
        return call.needs(DICTIONARY)

    assert [waits(0), waits(ENOUGH - 1), waits(ENOUGH)] == [True, True, False]
    assert [waits(0, "self_written_blocks=0"), waits(ENOUGH, "block_size=512")] == [False, True]


def test_a_setting_of_the_noise_leaves_the_text_as_it_is() -> None:
    """A sweep over alpha writes it once."""
    calls = [
        METHODS["npo"].declare()(corpus(), checkpoint("target"), config("npo", f"noise_alpha={alpha}"))
        for alpha in (0.1, 0.3)
    ]
    one, other = ([each for each in call.upstream() if str(each.key) == WRITTEN] for call in calls)
    assert one[0].arguments == other[0].arguments


@pytest.mark.parametrize(
    ("settings", "retain", "refused"),
    [
        ((ON, "self_written_blocks=0"), (), True),
        ((ON, "self_written_blocks=0"), ("kept.txt",), False),
        ((ON,), (), False),
        (("self_written_blocks=0",), (), False),
    ],
)
def test_nothing_to_distil_on_is_refused(settings: tuple[str, ...], retain: tuple[str, ...], refused: bool) -> None:
    """Before files and models are read: those of this request are nowhere."""
    asked = UnlearningRequest(forget=("nowhere.txt",), retain=retain, model="nowhere")
    if not refused:
        require_distillable(asked, config("npo", *settings))
        return
    with pytest.raises(BadInputError, match="a distillation is on retain text, there is none"):
        check_unlearning(asked, config("npo", *settings))


def test_the_card_says_that_a_model_was_distilled() -> None:
    assert account(config("npo")) == {}
    words = "alpha 0.3, beta 0.1, 50 steps (arXiv:2506.06278)"
    assert account(config("npo", "noise_alpha=0.3", "steps=50")) == {"distilled": words}
    words = "alpha 0.3, beta 0.1, 400 steps, the retain text itself by 0.5 (arXiv:2506.06278)"
    assert account(config("npo", "noise_alpha=0.3", "text_share=0.5")) == {"distilled": words}


def test_of_two_trained_models_by_one_name_the_last_keeps_it() -> None:
    trained = [checkpoint("reinforced", "c"), checkpoint("unlearned", "d"), checkpoint("unlearned", "e")]
    assert [(one.label, one.digest[0]) for one in told_apart(trained)] == [
        ("reinforced", "c"),
        ("unlearned before distillation", "d"),
        ("unlearned", "e"),
    ]
    assert told_apart(trained[:2]) == trained[:2]
