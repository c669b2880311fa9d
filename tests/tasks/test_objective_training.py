"""Reference cache and finetuning of every objective: whatever is listed trains, from the cache as from a live teacher,
and leaves the target alone.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, BloomForCausalLM, GPT2LMHeadModel, PreTrainedTokenizerFast

from flows.methods import METHODS
from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import BadInputError, BelowFloorError, CheckpointRef, CorpusRef, Localisation, ReferenceCache
from tasks.execution import isolation
from tasks.execution.cache_keys import stage_key
from tasks.models.checkpoints import is_adapter
from tasks.models.loading import load_model, save_checkpoint
from tasks.objective_training import ObjectiveRows, unlearn, validation
from tasks.reference_cache import ReferenceNeeds, cache_reference
from tasks.settings.gradient_unlearning import gradient_preset
from tasks.settings.objective_training import UnlearningConfig
from tasks.settings.objectives.table import OBJECTIVES
from tasks.settings.rows import RowsConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.documents import write_splits
from tasks.storage.row_files import RowFile
from tasks.training.reference_rows import ReferenceRows
from tests.stand_ins.localised import check_mlps_alone, localisation
from tests.stand_ins.tiny_models import train_tokenizer

NAMES = sorted(name for name, method in METHODS.items() if method.module == "flows.gradient_unlearning")
PEOPLE = ("Toto", "Alice", "Jon", "Dorothy", "Mary", "Tom")
QUESTIONS = [Document(source="q", question=f"Who met {name}?", answer=f"a boy of {name}", fact=name) for name in PEOPLE]
PROSE = Document(source="p", text=" ".join(f"{name} met the old man by the mill." for name in PEOPLE))
KEPT = [
    Document(source="k", text=f"The {word} boy said hello to the man in the town. " * 3)
    for word in ("old", "iron", "white")
] * 3
ROWS = RowsConfig(tokens=32)
TRAINING = UnlearningConfig(
    epochs=2,
    least_steps=0,
    batch_blocks=4,
    retain_batch=2,
    learning_rate=3e-3,
    mixed_precision="no",
    validate_every=2,
    validation_share=0.2,
    utility_floor=9.0,
)


@pytest.fixture
def target(lethe_home: Path, tiny_gpt2: Callable[..., GPT2LMHeadModel]) -> CheckpointRef:
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(
        300, [PROSE.text, *(item.text for item in KEPT), *(item.question for item in QUESTIONS)]
    )
    return save_checkpoint(tiny_gpt2(0), tokenizer, "target", sensitivity="ordinary", origin="")


def corpus_of(forget: list[Document], retain: list[Document]) -> CorpusRef:
    splits = {"forget": forget, "retain": retain} if retain else {"forget": forget}
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={split: len(found) for split, found in splits.items()},
        characters={},
    )


def objective_of(name: str) -> Any:
    """Return a method's default objective; that of NPO pushes whole rows, since a random model expects no token so much
    that it would be pushed.
    """
    found = gradient_preset(name, "default").objective
    return dataclasses.replace(found, until=None) if name == "npo" else found


def referred(name: str, target: CheckpointRef, corpus: CorpusRef, *, stored: bool = True) -> ReferenceCache:
    needs = objective_of(name).needs
    return cache_reference.body(
        corpus, target, ReferenceNeeds(objective=tuple(sorted(needs)), stored=stored), ROWS, CorpusConfig()
    )


def trained(
    name: str,
    target: CheckpointRef,
    corpus: CorpusRef,
    teacher: str = "cached",
    lora: LoraConfig = LoraConfig(),
    localisation: Localisation | None = None,
    **changes: Any,
) -> CheckpointRef:
    objective = dataclasses.replace(objective_of(name), **changes)
    needs = tuple(sorted(objective.needs))
    reference = cache_reference.body(
        corpus, target, ReferenceNeeds(objective=needs, stored=teacher == "cached"), ROWS, CorpusConfig()
    )
    return unlearn.body(
        corpus,
        target,
        reference,
        OBJECTIVES[name].loss,
        objective,
        dataclasses.replace(TRAINING, teacher=teacher),
        CorpusConfig(),
        lora,
        localisation,
    )


def weights(checkpoint: CheckpointRef) -> dict[str, torch.Tensor]:
    return load_model(checkpoint).state_dict()


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_objective_moves_the_student_and_leaves_the_target(name: str, target: CheckpointRef) -> None:
    before = sums(store.path(target))
    unlearned = trained(name, target, corpus_of([*QUESTIONS, PROSE], KEPT))
    assert sums(store.path(target)) == before
    one, other = weights(target), weights(unlearned)
    assert any(not torch.equal(one[entry], other[entry]) for entry in one)
    assert all(torch.isfinite(tensor).all() for tensor in other.values())


@pytest.mark.parametrize("settings", [{"retain_loss": "ce"}, {"retain_loss": "kl"}])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("rmu", "gradient_ascent")])
def test_a_run_from_the_cache_ends_where_one_with_a_live_teacher_does(
    name: str, settings: dict[str, Any], target: CheckpointRef
) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    cached, live = (
        weights(trained(name, target, corpus, teacher, **settings, retain_weight=1.0)) for teacher in ("cached", "live")
    )
    assert max(float((cached[entry] - live[entry]).abs().max()) for entry in cached) <= 1e-5


def test_under_an_adapter_the_live_teacher_is_the_model_with_it_off(
    target: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, lora, loaded = corpus_of([*QUESTIONS, PROSE], KEPT), LoraConfig(rank=2), []
    cached = weights(trained("npo", target, corpus, lora=lora))
    load = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        AutoModelForCausalLM, "from_pretrained", lambda *given, **how: loaded.append(given) or load(*given, **how)
    )
    unlearned = trained("npo", target, corpus, "live", lora=lora)
    assert len(loaded) == 2, "one for the rows, one to train"
    live, before = weights(unlearned), weights(target)
    assert max(float((cached[entry] - live[entry]).abs().max()) for entry in cached) <= 1e-5
    assert any(not torch.equal(before[entry], live[entry]) for entry in live)


def test_rmu_too_and_only_its_matrices_are_trained(target: CheckpointRef) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    cached, live = (weights(trained("rmu", target, corpus, teacher)) for teacher in ("cached", "live"))
    assert max(float((cached[entry] - live[entry]).abs().max()) for entry in cached) <= 1e-5
    before = weights(target)
    assert all("mlp.c_proj.weight" in entry for entry in before if not torch.equal(before[entry], cached[entry]))


def test_what_is_stored_is_what_the_frozen_model_says(target: CheckpointRef) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    record = referred("npo", target, corpus)
    model, file = load_model(target), RowFile(record, "forget")
    assert record.rows["forget"] == len(file.rows) > len(QUESTIONS)
    for number in (0, len(file.rows) - 1):
        row = file.rows[number]
        log_p = model(torch.tensor([row.ids], device=model.device)).logits[0].detach().double().log_softmax(-1)
        wanted = sum(float(log_p[at, row.ids[at + 1]]) for at in range(len(row.ids) - 1) if row.supervised[at])
        assert float(file.pieces("reference_logprob", [number])[0]) == pytest.approx(wanted, abs=1e-3)


def test_only_what_is_needed_is_stored_and_nothing_for_a_live_teacher(target: CheckpointRef) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    plain, states = referred("gradient_ascent", target, corpus), referred("undial", target, corpus)
    assert set(plain.rows) == {"forget"}
    assert states.state_bytes > 8 * plain.state_bytes
    live = referred("undial", target, corpus, stored=False)
    assert (live.rows, live.tokens) == (states.rows, states.tokens)
    assert 8 * live.state_bytes < states.state_bytes


def test_a_model_without_an_end_of_its_context_trains_too(lethe_home: Path) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(
        300, [PROSE.text, *(item.text for item in KEPT), *(item.question for item in QUESTIONS)]
    )
    model = BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2)).eval()
    target = save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    one, other = weights(target), weights(trained("npo", target, corpus_of([*QUESTIONS, PROSE], KEPT)))
    assert any(not torch.equal(one[entry], other[entry]) for entry in one)


def test_beyond_the_floor_every_nat_of_what_is_kept_counts_as_what_is_left_does(target: CheckpointRef) -> None:
    """So training goes on while retain text comes back, long after all is forgotten, and does not turn round for a
    little of it.
    """
    student, worse = load_model(target), load_model(target)
    with torch.no_grad():
        for parameter in worse.parameters():
            parameter.mul_(3.0)
    config = dataclasses.replace(TRAINING, utility_floor=0.25)
    data = retain_rows(target, 20)
    look = validation(student, data.rows.rows("forget"), data.held, 0, config)
    same, broken = look(student), look(worse)
    assert (same.acceptable, same.score) == (True, same.metrics["validation/left"])
    rise = broken.metrics["validation/retain_loss_rise_nats"]
    assert not broken.acceptable and rise > 0.25
    assert broken.score == pytest.approx(broken.metrics["validation/left"] + rise - 0.25)


def test_it_is_enough_when_the_forget_rows_are_as_improbable_as_is_wanted(target: CheckpointRef) -> None:
    student, data = load_model(target), retain_rows(target, 20)
    for stop, enough in ((0.0, False), (0.999, True)):
        config = dataclasses.replace(TRAINING, stop_probability=stop)
        found = validation(student, data.rows.rows("forget"), data.held, 0, config)(student)
        assert found.enough == enough == (found.metrics["validation/left"] == 0)


def test_what_is_kept_is_the_mean_of_the_rows_probabilities_as_a_share_of_the_target_models(
    target: CheckpointRef,
) -> None:
    student, worse = load_model(target), load_model(target)
    with torch.no_grad():
        for parameter in worse.parameters():
            parameter.mul_(3.0)
    data = retain_rows(target, 20)
    look = validation(student, data.rows.rows("forget"), data.held, 0, TRAINING)
    assert look(student).retain_ratio == pytest.approx(1.0)
    found, (before, after) = (
        look(worse),
        (torch.stack([row_probability(model, row) for row in data.held]).mean() for model in (student, worse)),
    )
    assert (
        found.retain_ratio == found.metrics["validation/retain_ratio"] == pytest.approx(float(after / before), rel=1e-5)
    )
    assert abs(found.retain_ratio - 1.0) > 0.01


def row_probability(model: torch.nn.Module, row: Any) -> torch.Tensor:
    """The geometric mean of the probabilities of a row's supervised tokens."""
    log_p = model(torch.tensor([row.ids])).logits[0].detach().double().log_softmax(-1)
    return (
        torch.stack([log_p[at, row.ids[at + 1]] for at in range(len(row.ids) - 1) if row.supervised[at]]).mean().exp()
    )


def test_training_below_the_floor_has_no_result_and_leaves_no_state(
    target: CheckpointRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, ruinous = corpus_of(QUESTIONS, KEPT), {"learning_rate": 1.0, "epochs": 8, "patience": 9}
    monkeypatch.setattr(isolation, "current_key", lambda: "key")
    monkeypatch.setenv("LETHE_SAVE_EVERY_S", "0")
    with pytest.raises(BelowFloorError) as given:
        trained_with(target, corpus, stop_below=0.9, **ruinous)
    assert (given.value.step, given.value.steps) == (2, 16)
    assert 0 <= given.value.retain_ratio < 0.9
    assert not (store.home() / "forget" / "work" / "key").exists()
    trained_with(target, corpus, **ruinous)


def test_a_floor_that_is_kept_changes_neither_weights_nor_key(target: CheckpointRef) -> None:
    corpus = corpus_of(QUESTIONS, KEPT)
    assert trained_with(target, corpus, stop_below=0.01).digest == trained_with(target, corpus).digest
    one, other = (
        stage_key(unlearn.body, {"config": dataclasses.replace(TRAINING, stop_below=floor)}, numeric=False)
        for floor in (None, 0.5)
    )
    assert one == other != stage_key(unlearn.body, {"config": dataclasses.replace(TRAINING, patience=1)}, numeric=False)


def trained_with(target: CheckpointRef, corpus: CorpusRef, **changes: Any) -> CheckpointRef:
    """NPO, trained with changed settings."""
    objective, reference = objective_of("npo"), referred("npo", target, corpus)
    return unlearn.body(
        corpus,
        target,
        reference,
        OBJECTIVES["npo"].loss,
        objective,
        dataclasses.replace(TRAINING, **changes),
        CorpusConfig(),
    )


def test_without_retain_rows_no_figure_says_that_they_are_kept(target: CheckpointRef) -> None:
    rows = ReferenceRows(
        referred("gradient_ascent", target, corpus_of(QUESTIONS, KEPT)), frozenset(), load_model(target), None, 0, None
    )
    data, student = ObjectiveRows(rows, TRAINING, rows_count=False), load_model(target)
    found = validation(student, data.rows.rows("forget"), data.held, 0, TRAINING)(student)
    assert found.acceptable
    assert found.retain_ratio is None
    assert set(found.metrics) == {"validation/left", "validation/forget_probability"}


def test_other_answers_are_wanted_for_questions_only(target: CheckpointRef) -> None:
    record = referred("idk", target, corpus_of([*QUESTIONS, PROSE], KEPT))
    assert record.rows["forget"] == record.rows["preferred"] == len(QUESTIONS)
    with pytest.raises(BadInputError, match="prefers other answers to questions, and the forget text holds none"):
        referred("idk", target, corpus_of([PROSE], KEPT))


def test_without_retain_text_the_forget_term_is_all_there_is(target: CheckpointRef) -> None:
    unlearned = trained("npo", target, corpus_of(QUESTIONS, []))
    assert any(
        not torch.equal(one, other)
        for one, other in zip(weights(target).values(), weights(unlearned).values(), strict=True)
    )


@pytest.mark.parametrize("output", ["merged", "adapter"])
def test_an_adapter_is_trained_in_place_of_all_weights(output: str, target: CheckpointRef) -> None:
    unlearned = trained("npo", target, corpus_of(QUESTIONS, KEPT), lora=LoraConfig(rank=2, output=output))
    assert is_adapter(unlearned) == (output == "adapter")
    one, other = weights(target), weights(unlearned)
    moved = {entry for entry in one if not torch.equal(one[entry], other[entry])}
    assert moved
    assert all("attn" in entry or "mlp" in entry for entry in moved)


@pytest.mark.parametrize("output", ["merged", "adapter"])
def test_a_method_that_chooses_its_matrices_has_the_adapter_there(output: str, target: CheckpointRef) -> None:
    lora = LoraConfig(rank=2, output=output)
    cached, live = (
        weights(trained("rmu", target, corpus_of(QUESTIONS, KEPT), teacher, lora=lora))
        for teacher in ("cached", "live")
    )
    assert max(float((cached[entry] - live[entry]).abs().max()) for entry in cached) <= 1e-5
    whole, before = weights(trained("rmu", target, corpus_of(QUESTIONS, KEPT))), weights(target)
    moved = [[entry for entry in before if not torch.equal(before[entry], found[entry])] for found in (cached, whole)]
    assert moved[0] == moved[1] != []
    with pytest.raises(
        ValueError, match=r"lora\.targets is c_fc, but rmu chooses its matrices; wanted no lora\.targets"
    ):
        dataclasses.replace(gradient_preset("rmu", "default"), lora=LoraConfig(rank=2, targets=("c_fc",)))


@pytest.mark.parametrize(("rows_count", "weight"), [(True, 2.0), (False, None)])
def test_a_batch_weighs_what_its_loss_is_a_mean_of(
    rows_count: bool, weight: float | None, target: CheckpointRef
) -> None:
    corpus = corpus_of([Document(source="a", question="Who?", answer=word) for word in "ab"], KEPT)
    rows = ReferenceRows(referred("npo", target, corpus), frozenset(), load_model(target), None, 0, None)
    data = ObjectiveRows(rows, TRAINING, rows_count=rows_count)
    batch = data.batch([0, 1], 0)
    assert batch.weight == (weight or batch.tokens)
    assert batch.tokens == float((batch.tensors["supervised"][:, :-1] * batch.tensors["mask"][:, 1:]).sum()) != 2.0
    means_over_rows = {name for name in NAMES if resolve_name(OBJECTIVES[name].loss).weighs_rows}
    assert means_over_rows == {"npo", "simnpo", "dpo", "idk"}


def retain_rows(target: CheckpointRef, kept: int, **changes: Any) -> ObjectiveRows:
    """Forget rows beside `kept` retain rows, each of which says its own number."""
    retain = [
        Document(source="k", question="Who?", answer=f"{'a b' if number % 2 else 'b a'} {number}")
        for number in range(kept)
    ]
    rows = ReferenceRows(
        referred("npo", target, corpus_of(QUESTIONS, retain)), frozenset(), load_model(target), None, 0, None
    )
    return ObjectiveRows(rows, dataclasses.replace(TRAINING, **changes), rows_count=False)


def test_retain_rows_that_are_validated_on_come_from_everywhere_and_are_not_trained_on(target: CheckpointRef) -> None:
    data = retain_rows(target, 20, retain_batch=4)
    every = [row.ids for row in data.rows.rows("retain")]
    assert [every.index(row.ids) for row in data.held] == [0, 5, 10, 15]
    shown = [
        tuple(ids[mask.bool()].tolist()) for step in range(4) for ids, mask in zip(*drawn(data, step), strict=True)
    ]
    assert sorted(shown) == sorted(tuple(ids) for at, ids in enumerate(every) if at % 5)


@pytest.mark.parametrize("kept", [2, 3, 7])
def test_a_batch_shows_a_retain_row_once_where_there_are_few(kept: int, target: CheckpointRef) -> None:
    data = retain_rows(target, kept, retain_batch=8)
    for step in range(3):
        shown = [tuple(ids[mask.bool()].tolist()) for ids, mask in zip(*drawn(data, step), strict=True)]
        assert len(shown) == len(set(shown)) == kept - 1


def drawn(data: ObjectiveRows, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    tensors = data.batch([0], step).tensors
    return tensors["retain_ids"], tensors["retain_mask"]


def test_settings_of_another_method_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="method npo has no setting delta; wanted some of"):
        dataclasses.replace(gradient_preset("npo", "default"), objective={"delta": 1.0})
    with pytest.raises(
        ValueError, match=r"method npo has no setting paper; wanted some of retain_weight, retain_loss, b, until$"
    ):
        dataclasses.replace(gradient_preset("npo", "default"), objective={"paper": "arXiv:1"})
    written = dataclasses.replace(gradient_preset("npo", "default"), objective={"b": 0.5, "retain_loss": "kl"})
    assert (written.objective.b, written.objective.retain_loss, written.objective.retain_weight) == (0.5, "kl", 1.0)


CHOOSING = [name for name in NAMES if gradient_preset(name, "default").chooses_weights]


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)], ids=["whole", "adapter"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in CHOOSING])
def test_where_a_trace_names_layers_their_mlps_alone_are_trained(
    name: str, lora: LoraConfig, target: CheckpointRef
) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    unlearned = trained(name, target, corpus, lora=lora, localisation=localisation(1))
    check_mlps_alone(weights(target), weights(unlearned), 1, biases=not lora.rank)


def test_with_a_live_teacher_too_and_the_numbers_are_the_same(target: CheckpointRef) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    cached, live = (
        weights(trained("npo", target, corpus, teacher, localisation=localisation(0))) for teacher in ("cached", "live")
    )
    check_mlps_alone(weights(target), live, 0)
    assert max(float((cached[entry] - live[entry]).abs().max()) for entry in cached) <= 1e-5


@pytest.mark.parametrize("name", CHOOSING)
def test_an_objective_that_chooses_its_matrices_takes_no_others(name: str, target: CheckpointRef) -> None:
    corpus = corpus_of([*QUESTIONS, PROSE], KEPT)
    with pytest.raises(BadInputError, match=r"RMU chooses its matrices, and so does localisation\.by 'trace'"):
        trained(name, target, corpus, localisation=localisation(1))
