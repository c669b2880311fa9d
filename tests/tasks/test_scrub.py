"""Stage `scrub`: pairs meet their partners, checkpoints are kept where the rewind wants them, and a broken run ends as
an unbroken one.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks import store, tracking
from tasks.algorithms.measuring.degeneration import pieces
from tasks.algorithms.objectives.scrub import Scrub
from tasks.algorithms.objectives.terms import counted_positions
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template
from tasks.algorithms.training.guard import Guard, answers, guard_prompts
from tasks.algorithms.training.scrub_steps import ScrubBatches
from tasks.artifacts import BadInputError, CheckpointRef, CorpusRef, Localisation, ReferenceCache
from tasks.execution import isolation
from tasks.models.checkpoints import is_adapter
from tasks.models.loading import load_model, load_tokenizer, save_checkpoint
from tasks.reference_cache import ReferenceNeeds, cache_reference
from tasks.reporting import run_history
from tasks.scrub import scrub, scrub_batches, steps_to_keep
from tasks.settings.rows import RowsConfig
from tasks.settings.scrub import RewindConfig, ScrubConfig, ScrubTrainingConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.documents import write_splits
from tasks.training.guard import no_score, with_guard
from tasks.training.reference_rows import ReferenceRows, live_teacher
from tasks.training.trainer import train_stage
from tests.reference import trigrams as restated
from tests.stand_ins.localised import check_mlps_alone, localisation
from tests.stand_ins.taught import taught_model
from tests.stand_ins.tiny_models import train_tokenizer

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
    return [
        Document(source=f"file:{at}", text=pair[side], fact=f"pair-{at}" if fact else "")
        for at, pair in enumerate(PAIRS)
    ]


def corpus_of(**splits: list[Document]) -> CorpusRef:
    digest = store.put("corpora", lambda folder: write_splits(folder, splits), sensitivity="forget")
    return CorpusRef(
        kind="corpora",
        digest=digest,
        sensitivity="forget",
        documents={split: len(found) for split, found in splits.items()},
        characters={},
    )


@pytest.fixture
def corpus(lethe_home: Path) -> CorpusRef:
    return corpus_of(forget=documents(0), retain=documents(1))


@pytest.fixture
def target(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], tiny_tokenizer: PreTrainedTokenizerFast
) -> CheckpointRef:
    return save_checkpoint(
        tiny_llama(0, initializer_range=0.3), tiny_tokenizer, "target", sensitivity="ordinary", origin=""
    )


def referred(corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig, teacher: str = "cached") -> ReferenceCache:
    asked = ReferenceNeeds(
        objective=tuple(sorted(config.needs)), differing=config.positions == "differing", stored=teacher == "cached"
    )
    return cache_reference.body(corpus, target, asked, RowsConfig(tokens=256), CorpusConfig())


def scrubbed(
    corpus: CorpusRef,
    target: CheckpointRef,
    config: ScrubConfig,
    training: ScrubTrainingConfig = TRAINING,
    rewinding: RewindConfig = ALL,
    lora: LoraConfig = LoraConfig(),
    localisation: Localisation | None = None,
) -> list[CheckpointRef]:
    return scrub.body(
        corpus,
        target,
        referred(corpus, target, config, training.teacher),
        config,
        training,
        rewinding,
        CorpusConfig(),
        lora,
        localisation,
    )


def batches_of(corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig, teacher: str = "cached") -> ScrubBatches:
    asked = live_teacher(load_model(target), target, LoraConfig()) if teacher == "live" else None
    rows = ReferenceRows(referred(corpus, target, config, teacher), config.needs, load_model(target), asked, 0, None)
    return scrub_batches(rows, config, TRAINING, aligned=True, vocabulary=len(load_tokenizer(target)))


@pytest.mark.parametrize("bound", [None, 2.0])
def test_every_forget_token_is_bounded_by_its_surprisal_in_the_retain_text(
    corpus: CorpusRef, target: CheckpointRef, bound: float | None
) -> None:
    config = replace(JOINT, surprisal_share=0.5, bound=bound)
    rows = ReferenceRows(referred(corpus, target, config), config.needs, load_model(target), None, 0, None)
    kept = [(list(block.ids), block.supervised) for block in rows.rows("retain")]
    wanted = set()
    for block in rows.rows("forget"):
        nats = restated.surprisal(kept, len(load_tokenizer(target)), list(block.ids))[1:]
        wanted.add(tuple(round(min(0.5 * nat, bound or 99.0), 4) for nat in nats))
    found = set()
    for batch in batches_of(corpus, target, config):
        for bounds, mask in zip(batch.tensors["bound_nats"], batch.tensors["mask"], strict=True):
            found.add(tuple(round(nat, 4) for nat in bounds[: int(mask.sum()) - 1].tolist()))
    assert found == wanted
    assert len({nat for row in found for nat in row}) > (1 if bound else 5)


@pytest.mark.parametrize(
    "config",
    [
        JOINT,
        ORIGINAL,
        replace(JOINT, positions="differing"),
        replace(ORIGINAL, positions="differing"),
        replace(JOINT, surprisal_share=0.5, expected_weight=0.1),
        replace(ORIGINAL, surprisal_share=0.5, expected_weight=0.1),
    ],
)
def test_the_target_stays_and_every_epoch_leaves_a_checkpoint(
    corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig
) -> None:
    before = load_model(target).state_dict()
    found = scrubbed(corpus, target, config)
    assert len(found) == 4 and len({ref.digest for ref in found} | {target.digest}) == 5
    after = load_model(target).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_last_checkpoint_does_not_depend_on_those_that_were_kept(corpus: CorpusRef, target: CheckpointRef) -> None:
    every, second, last = (
        scrubbed(corpus, target, JOINT, rewinding=rewinding)
        for rewinding in (ALL, replace(ALL, every_epochs=2), RewindConfig())
    )
    assert [ref.digest for ref in second] == [every[1].digest, every[3].digest]
    assert [ref.digest for ref in last] == [every[3].digest]


@pytest.mark.parametrize("config", [JOINT, ORIGINAL])
def test_an_adapter_is_trained_in_place_of_all_weights_and_every_checkpoint_is_one(
    corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig
) -> None:
    apart, merged = (
        scrubbed(corpus, target, config, lora=LoraConfig(rank=2, output=output)) for output in ("adapter", "merged")
    )
    assert [is_adapter(ref) for ref in (*apart, *merged)] == [True] * 4 + [False] * 4
    before = load_model(target).state_dict()
    for one, two in zip(apart, merged, strict=True):
        found, same = load_model(one).state_dict(), load_model(two).state_dict()
        assert all(torch.equal(found[name], same[name]) for name in before)
        moved = {name for name in before if not torch.equal(before[name], found[name])}
        assert moved and all("_proj" in name for name in moved)


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)])
@pytest.mark.parametrize("config", [JOINT, ORIGINAL])
def test_a_run_that_broke_off_ends_as_one_that_did_not(
    corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig, lora: LoraConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = referred(corpus, target, config)
    arguments = {
        "corpus": corpus,
        "target": target,
        "reference": reference,
        "config": config,
        "training": TRAINING,
        "rewinding": ALL,
    }
    arguments |= {"corpus_config": CorpusConfig(), "lora": lora}
    unbroken, loss, calls = scrub.body(**arguments), Scrub.loss, []

    def breaking(self: Scrub, *given: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise OSError("the machine goes down")
        return loss(self, *given)

    monkeypatch.setenv("LETHE_SAVE_EVERY_S", "0")
    monkeypatch.setattr(Scrub, "loss", breaking)
    with pytest.raises(OSError, match="goes down"):
        isolation.call(scrub.body, arguments | {"run": tracking.open_run("killed", {}, {})}, "scrub", "a-key")
    found = isolation.call(scrub.body, arguments | {"run": tracking.open_run("again", {}, {})}, "scrub", "a-key")
    assert len({ref.origin for ref in found}) == 1
    assert [step for step, _ in run_history.curve(found[0].origin, "loss_nats")] == list(
        range(1, 1 + {"language_model": 8, "original": 12}[config.form])
    )
    assert [ref.digest for ref in found] == [ref.digest for ref in unbroken]
    steps = {"language_model": 8, "original": 12}[config.form]
    assert len(calls) == steps + 1  # nothing but the broken step was done twice


def broken_run(target: CheckpointRef, corpus: CorpusRef, how: str) -> list[CheckpointRef]:
    training = replace(TRAINING, epochs=60, learning_rate=4e-3, guard=how, looks=60)
    return scrubbed(corpus, target, JOINT, training, RewindConfig())


def test_an_objective_that_is_won_by_breaking_ends_where_the_model_still_speaks(
    lethe_home: Path, tiny_llama: Callable[..., LlamaForCausalLM], caplog: pytest.LogCaptureFixture
) -> None:
    texts = [document.text for side in (0, 1) for document in documents(side)]
    model, tokenizer = taught_model(texts, tiny_llama, train_tokenizer)
    target = save_checkpoint(model, tokenizer, "target", sensitivity="ordinary", origin="")
    corpus = corpus_of(forget=documents(0), retain=documents(1))
    prompts = guard_prompts(documents(0), documents(1), Template(qa=CorpusConfig().qa_template), None)
    given = pieces(texts)

    def healthy(model: torch.nn.Module) -> bool:
        options = {"template": Template(qa=CorpusConfig().qa_template), "pad_id": 0, "context": 128, "new_tokens": 16}
        before = answers(load_model(target), prompts, tokenizer, *options.values())
        return Guard(before, prompts, tokenizer=tokenizer, known_pieces=given, **options)(model).healthy

    found = {how: broken_run(target, corpus, how)[0] for how in ("steer", "watch", "off")}
    assert healthy(load_model(found["steer"])) and not healthy(load_model(found["watch"]))
    assert found["watch"].digest == found["off"].digest and found["steer"].digest not in (
        found["off"].digest,
        target.digest,
    )
    assert "guard: " in caplog.text


def test_text_that_gives_no_prompt_is_trained_on_without_a_guard(
    target: CheckpointRef, caplog: pytest.LogCaptureFixture
) -> None:
    single = corpus_of(forget=[Document(source="f", text="Toto")], retain=[Document(source="r", text="Dorothy")])
    model, tokenizer = load_model(target), load_tokenizer(target)
    assert with_guard(no_score, "steer", model, tokenizer, single, CorpusConfig()) is no_score
    assert "the guard is off" in caplog.text


def unpadded(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    return [row[flags.bool()] for row, flags in zip(ids, mask, strict=True)]


def moved(student: LlamaForCausalLM) -> LlamaForCausalLM:
    """Take a student from where it equals its teacher: there both divergences are least, and rounding alone decides
    where the first step goes.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter.device)
    return student


@pytest.mark.parametrize("config", [JOINT, replace(ORIGINAL, positions="differing")])
def test_a_whole_run_ends_where_one_with_a_live_teacher_does(
    corpus: CorpusRef, target: CheckpointRef, config: ScrubConfig
) -> None:
    ends = []
    for teacher in ("cached", "live"):
        student = moved(load_model(target))
        train_stage(student, batches_of(corpus, target, config, teacher), Scrub(config), TRAINING, None)
        ends.append(student.state_dict())
    before = moved(load_model(target)).state_dict()
    assert max(float((ends[0][name] - ends[1][name]).abs().max()) for name in before) <= 1e-5
    assert max(float((ends[0][name] - before[name]).abs().max()) for name in before) > 1e-3


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)])
def test_a_live_teacher_is_asked_in_every_step(corpus: CorpusRef, target: CheckpointRef, lora: LoraConfig) -> None:
    found = scrubbed(corpus, target, JOINT, replace(TRAINING, teacher="live"), lora=lora)
    assert len({ref.digest for ref in found}) == 4


def test_pairs_are_shown_together_and_a_batch_weighs_its_sequences(
    corpus: CorpusRef, target: CheckpointRef, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    for batch in batches_of(corpus, target, replace(JOINT, positions="differing")):
        texts = [
            tiny_tokenizer.batch_decode(unpadded(batch.tensors[f"{side}ids"], batch.tensors[f"{side}mask"]))
            for side in ("", "retain_")
        ]
        assert all((left, right) in PAIRS for left, right in zip(*texts, strict=True))
        counted = batch.tensors["supervised"][:, :-1] * batch.tensors["mask"][:, 1:]
        assert len(batch.cached["forget_hidden"]) == int(counted.sum()) < int(batch.tensors["mask"].sum()) / 2
        assert torch.equal(batch.tensors["retain_labelled"], batch.tensors["retain_mask"])
        assert batch.weight == len(batch.tensors["ids"])
        assert batch.tokens == len(batch.cached["forget_hidden"]) + len(batch.cached["retain_hidden"])


def test_of_a_question_only_the_answer_counts(target: CheckpointRef, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    asked = [
        Document(source=f"q{at}", question="Who met Toto today?", answer=answer)
        for at, answer in enumerate(("the boy", "the girl"))
    ]
    batch = batches_of(corpus_of(forget=asked[:1], retain=asked[1:]), target, JOINT)[0].tensors
    for side, answer in (("", "the boy"), ("retain_", "the girl")):
        counted = counted_positions(batch[f"{side}mask"], batch[f"{side}supervised"])[0]
        assert tiny_tokenizer.decode(batch[f"{side}ids"][0, 1:][counted]).strip() == answer


def test_sets_that_are_no_pairs_are_trained_on_as_they_are(target: CheckpointRef) -> None:
    questions = [Document(source="q", question="Who met Toto?", answer="the boy")]
    mixed = corpus_of(forget=documents(0, fact=False), retain=[*documents(1, fact=False)[:1], *questions])
    assert scrubbed(mixed, target, JOINT, rewinding=RewindConfig())[0].digest != target.digest


def test_inputs_that_do_not_fit_are_refused(corpus: CorpusRef, target: CheckpointRef) -> None:
    differing = replace(JOINT, positions="differing")

    def refused(forget: list[Document], retain: list[Document], config: ScrubConfig) -> str:
        with pytest.raises(BadInputError) as error:
            scrubbed(corpus_of(forget=forget, retain=retain), target, config)
        return str(error.value)

    assert "3 forget and 0 retain sequences" in refused(documents(0), [], JOINT)
    assert "only words that differ within a pair are to count, but the forget record file:0 has no fact" in refused(
        documents(0, fact=False), documents(1), differing
    )
    assert "but no pair differs" in refused(documents(0), documents(0), differing)
    question = [Document(source="q:1", question="Who?", answer="he", fact="pair-0")]
    assert "q:1 is a question" in refused(question, documents(1)[:1], differing)


@pytest.mark.parametrize(
    ("ends", "every", "accumulation", "steps"),
    [
        ((8, 16, 24), 1, 1, [8, 16, 24]),
        ((8, 16, 24), 2, 1, [8, 24]),
        ((8, 16, 24), 5, 1, [24]),
        ((3, 6, 9), 1, 2, [2, 3, 5]),
        ((5,), 1, 1, [5]),
    ],
)
def test_checkpoints_are_counted_back_from_the_end(
    ends: tuple[int, ...], every: int, accumulation: int, steps: list[int]
) -> None:
    assert steps_to_keep(ends, every, accumulation) == steps


@pytest.mark.parametrize("lora", [LoraConfig(), LoraConfig(rank=2)], ids=["whole", "adapter"])
@pytest.mark.parametrize("config", [JOINT, ORIGINAL], ids=["joint", "original"])
def test_where_a_trace_names_layers_their_mlps_alone_are_trained(
    config: ScrubConfig,
    lora: LoraConfig,
    corpus: CorpusRef,
    tiny_gpt2: Callable[..., GPT2LMHeadModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Every checkpoint that the rewind may choose."""
    model = tiny_gpt2(0, initializer_range=0.3)
    target = save_checkpoint(model, tiny_tokenizer, "target", sensitivity="ordinary", origin="")
    found = scrubbed(corpus, target, config, lora=lora, localisation=localisation(1))
    assert len(found) == 4
    before = load_model(target).state_dict()
    for checkpoint in found:
        check_mlps_alone(before, load_model(checkpoint).state_dict(), 1, biases=not lora.rank)
