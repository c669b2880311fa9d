"""Stage `scrub`: pairs meet their partners, checkpoints are kept where the rewind wants them, and a broken run ends as an unbroken one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import checkpoints, formats, isolation, store
from tasks.algorithms.chat import Template
from tasks.algorithms.corpus import CorpusConfig, Document
from tasks.algorithms.degeneration import pieces
from tasks.algorithms.guard import Guard, answers, guard_prompts
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives.scrub import Scrub, counted_positions
from tasks.algorithms.scrub_config import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.algorithms.training import Batch
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef
from tasks.scrub import paired_sequences, scrub, scrub_batches, steps_to_keep
from tasks.trainer import train_stage
from tests.conftest import train_tokenizer
from tests.taught import taught_model

PAIRS = [
    ("The boy met Dorothy because he said hello.", "The boy met Dorothy because she said hello."),
    ("Toto met his dog today.", "Toto met her dog today."),
    ("Jon said that the man walked.", "Jon said that the girl walked."),
]
JOINT = ScrubConfig(alpha=0.25, beta=0.75, bound=None)
ORIGINAL = ScrubConfig(form="original", alpha=1.0, beta=1.0, gamma=0.5, bound=None, max_epochs=2)
TRAINING = ScrubTrainingConfig(epochs=4, batch_blocks=2, learning_rate=3e-3, mixed_precision="no")
ALL = RewindConfig(enabled=True)


def documents(side: int, *, fact: bool = True) -> list[Document]:
    return [Document(source=f"file:{at}", text=pair[side], fact=f"pair-{at}" if fact else "") for at, pair in enumerate(PAIRS)]


def corpus_of(**splits: list[Document]) -> CorpusRef:
    digest = store.put("corpora", lambda folder: formats.write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={split: len(found) for split, found in splits.items()}, characters={})


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    return corpus_of(forget=documents(0), retain=documents(1))


@pytest.fixture
def target(lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast) -> CheckpointRef:
    return checkpoints.save_checkpoint(tiny_llama(0, initializer_range=0.3), tiny_tokenizer, "target", sensitivity="ordinary", origin="")


@pytest.mark.parametrize("config", [JOINT, ORIGINAL, replace(JOINT, positions="differing"), replace(ORIGINAL, positions="differing")])
def test_the_target_stays_and_every_epoch_leaves_a_checkpoint(corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig) -> None:
    before = checkpoints.load_model(target).state_dict()
    found = scrub.body(corpus, target, config, TRAINING, ALL, CorpusConfig())
    assert len(found) == 4 and len({ref.digest for ref in found} | {target.digest}) == 5
    after = checkpoints.load_model(target).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_last_checkpoint_does_not_depend_on_those_that_were_kept(corpus: CorpusRef, target: CheckpointRef) -> None:
    every, second, last = (
        scrub.body(corpus, target, JOINT, TRAINING, rewinding, CorpusConfig()) for rewinding in (ALL, replace(ALL, every_epochs=2), RewindConfig())
    )
    assert [ref.digest for ref in second] == [every[1].digest, every[3].digest]
    assert [ref.digest for ref in last] == [every[3].digest]


@pytest.mark.parametrize("config", [JOINT, ORIGINAL])
def test_an_adapter_is_trained_in_place_of_all_weights_and_every_checkpoint_is_one(corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig) -> None:
    apart, merged = (scrub.body(corpus, target, config, TRAINING, ALL, CorpusConfig(), LoraConfig(rank=2, output=output)) for output in ("adapter", "merged"))
    assert [checkpoints.is_adapter(ref) for ref in (*apart, *merged)] == [True] * 4 + [False] * 4
    before = checkpoints.load_model(target).state_dict()
    for one, two in zip(apart, merged, strict=True):
        found, same = checkpoints.load_model(one).state_dict(), checkpoints.load_model(two).state_dict()
        assert all(torch.equal(found[name], same[name]) for name in before)
        moved = {name for name in before if not torch.equal(before[name], found[name])}
        assert moved and all("_proj" in name for name in moved)


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)])
@pytest.mark.parametrize("config", [JOINT, ORIGINAL])
def test_a_run_that_broke_off_ends_as_one_that_did_not(
    corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig, lora: LoraConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"corpus": corpus, "target": target, "config": config, "training": TRAINING, "rewinding": ALL, "reading": CorpusConfig(), "lora": lora}
    unbroken, loss, calls = scrub.body(**arguments), Scrub.loss, []

    def breaking(self: Scrub, *given: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise OSError("the machine goes down")
        return loss(self, *given)

    monkeypatch.setenv("LETHE_SAVE_EVERY_S", "0")
    monkeypatch.setattr(Scrub, "loss", breaking)
    with pytest.raises(OSError, match="goes down"):
        isolation.call(scrub.body, arguments, "scrub", "a-key")
    found = isolation.call(scrub.body, arguments, "scrub", "a-key")
    assert [ref.digest for ref in found] == [ref.digest for ref in unbroken]
    steps = {"language_model": 8, "original": 12}[config.form]
    assert len(calls) == steps + 1  # nothing but the broken step was done twice


def broken_run(target: CheckpointRef, corpus: CorpusRef, how: str) -> list[CheckpointRef]:
    training = replace(TRAINING, epochs=60, learning_rate=4e-3, guard=how, looks=60)
    return scrub.body(corpus, target, JOINT, training, RewindConfig(), CorpusConfig())


def test_an_objective_that_is_won_by_breaking_ends_where_the_model_still_speaks(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], caplog: pytest.LogCaptureFixture
) -> None:
    texts = [document.text for side in (0, 1) for document in documents(side)]
    model, tokenizer = taught_model(texts, tiny_llama, train_tokenizer)
    target = checkpoints.save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    corpus = corpus_of(forget=documents(0), retain=documents(1))
    prompts = guard_prompts(documents(0), documents(1), Template(qa=CorpusConfig().qa_template), None)
    given = pieces(texts)

    def healthy(model: torch.nn.Module) -> bool:
        options = {"template": Template(qa=CorpusConfig().qa_template), "pad_id": 0, "context": 128, "new_tokens": 16}
        before = answers(checkpoints.load_model(target), prompts, tokenizer, *options.values())
        return Guard(before, prompts, tokenizer=tokenizer, given=given, **options)(model).healthy

    found = {how: broken_run(target, corpus, how)[0] for how in ("steer", "watch", "off")}
    assert healthy(checkpoints.load_model(found["steer"])) and not healthy(checkpoints.load_model(found["watch"]))
    assert found["watch"].digest == found["off"].digest and found["steer"].digest not in (found["off"].digest, target.digest)
    assert "guard: " in caplog.text


def unpadded(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    return [row[flags.bool()] for row, flags in zip(ids, mask, strict=True)]


class LiveBatches(Sequence[Batch]):
    """The same batches, with a frozen model asked in every step."""

    def __init__(self, batches: Sequence[Batch], teacher: LlamaForCausalLM) -> None:
        self._batches, self._teacher = batches, teacher
        self.epochs = batches.epochs

    def __len__(self) -> int:
        return len(self._batches)

    @torch.no_grad()
    def __getitem__(self, index: int) -> Batch:
        batch, said = self._batches[index], {}
        for side in ("forget", "retain"):
            lead = "" if side == "forget" else "retain_"
            if f"{lead}ids" in batch.tensors:
                ids, mask = batch.tensors[f"{lead}ids"], batch.tensors[f"{lead}mask"]
                counted = counted_positions(batch.tensors[f"{lead}supervised"], mask)
                said[f"{side}_hidden"] = self._teacher.base_model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1][counted]
        return replace(batch, cached={**batch.cached, **said})


def moved(student: LlamaForCausalLM) -> LlamaForCausalLM:
    """Take a student from where it equals its teacher: there both divergences are least, and rounding alone decides where the first step goes."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return student


@pytest.mark.parametrize("config", [JOINT, replace(ORIGINAL, positions="differing")])
def test_a_whole_run_ends_where_one_with_a_live_teacher_does(corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig) -> None:
    ends = []
    for live in (False, True):
        student, teacher = moved(checkpoints.load_model(target)), checkpoints.load_model(target)
        blocks = paired_sequences(list(zip(documents(0), documents(1), strict=True)), checkpoints.load_tokenizer(target), 64)
        batches = scrub_batches(blocks, teacher, config, TRAINING, 0)
        train_stage(student, LiveBatches(batches, teacher) if live else batches, Scrub(config), TRAINING, None)
        ends.append(student.state_dict())
    before = moved(checkpoints.load_model(target)).state_dict()
    assert max(float((ends[0][name] - ends[1][name]).abs().max()) for name in before) <= 1e-5
    assert max(float((ends[0][name] - before[name]).abs().max()) for name in before) > 1e-3


def test_pairs_are_shown_together(tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = list(zip(documents(0), documents(1), strict=True))
    sequences = paired_sequences(pairs, tiny_tokenizer, 256)
    batches = scrub_batches(sequences, tiny_llama(0), replace(JOINT, positions="differing"), TRAINING, 0)
    for batch in batches:
        texts = [tiny_tokenizer.batch_decode(unpadded(batch.tensors[f"{side}ids"], batch.tensors[f"{side}mask"])) for side in ("", "retain_")]
        assert all((left, right) in PAIRS for left, right in zip(*texts, strict=True))
        counted = batch.tensors["supervised"][:, :-1] * batch.tensors["mask"][:, 1:]
        assert len(batch.cached["forget_hidden"]) == int(counted.sum()) < int(batch.tensors["mask"].sum()) / 2
        assert int(batch.tensors["retain_labelled"].sum()) == int(batch.tensors["retain_mask"].sum())


def test_sets_that_are_no_pairs_are_trained_on_as_they_are(target: CheckpointRef) -> None:
    questions = [Document(source="q", question="Who met Toto?", answer="the boy")]
    mixed = corpus_of(forget=documents(0, fact=False), retain=[*documents(1, fact=False)[:1], *questions])
    assert scrub.body(mixed, target, JOINT, TRAINING, RewindConfig(), CorpusConfig())[0].digest != target.digest


def test_inputs_that_do_not_fit_are_refused(corpus: CorpusRef, target: CheckpointRef) -> None:
    differing = replace(JOINT, positions="differing")

    def refused(forget: list[Document], retain: list[Document], config: ScrubConfig) -> str:
        with pytest.raises(BadInputError) as error:
            scrub.body(corpus_of(forget=forget, retain=retain), target, config, TRAINING, ALL, CorpusConfig())
        return str(error.value)

    assert "3 forget and 0 retain records" in refused(documents(0), [], JOINT)
    assert "scrub.positions is 'differing', but the forget record file:0 has no fact" in refused(documents(0, fact=False), documents(1), differing)
    assert "but no pair differs" in refused(documents(0), documents(0), differing)
    question = [Document(source="q:1", question="Who?", answer="he", fact="pair-0")]
    assert "q:1 is a question" in refused(question, documents(1)[:1], differing)


@pytest.mark.parametrize(
    ("ends", "every", "accumulation", "steps"),
    [((8, 16, 24), 1, 1, [8, 16, 24]), ((8, 16, 24), 2, 1, [8, 24]), ((8, 16, 24), 5, 1, [24]), ((3, 6, 9), 1, 2, [2, 3, 5]), ((5,), 1, 1, [5])],
)
def test_checkpoints_are_counted_back_from_the_end(ends: tuple[int, ...], every: int, accumulation: int, steps: list[int]) -> None:
    assert steps_to_keep(ends, every, accumulation) == steps
