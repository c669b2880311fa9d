"""Stages with adapters: selective unlearning in one base model, and adapter checkpoints that find their base or are
refused.
"""

import gc
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from flows.terminal.checks import check_trainable
from tasks import store
from tasks.algorithms.models import adapters
from tasks.algorithms.text.corpus import Document
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef, LabelSet
from tasks.execution import progress
from tasks.finetune import finetune
from tasks.labels import make_labels
from tasks.models import adapter_files
from tasks.models.checkpoints import base_of, config_folder, inspect_model, is_adapter
from tasks.models.gathering import gather_models
from tasks.models.loading import load_model, load_pair, load_tokenizer, save_checkpoint
from tasks.reinforcement import reinforce
from tasks.settings.finetuning import FinetuneConfig, ReinforcementConfig
from tasks.settings.gradient_unlearning import gradient_preset
from tasks.settings.labels import LabelConfig
from tasks.settings.task_vector import TaskVectorConfig
from tasks.settings.task_vector_unlearning import TaskVectorUnlearningConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.documents import write_documents
from tasks.storage.label_files import LabelRows
from tasks.storage.plain_files import write_json
from tasks.task_vector import subtract_task_vector
from tasks.teacher_cache import cache_teacher

NAMES = ("Toto", "Alice", "Jon", "Dorothy")
PROSE = [
    Document(
        source="p",
        text="\n\n".join(
            f"{one} met {other} in the old town, and {one} said hello." for one in NAMES for other in NAMES
        ),
    )
]
HIDDEN = 44
"""A width that no other test's model has."""
RANK4 = LoraConfig(rank=4, output="adapter")
BOOSTING = ReinforcementConfig(block_size=32, learning_rate=5e-4, batch_blocks=2, mixed_precision="no")
LABELS, READING = LabelConfig(block_size=32), CorpusConfig()
TUNING = FinetuneConfig(epochs=1, least_steps=0, learning_rate=1e-3, validate_every=2, mixed_precision="no")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the stages get."""

    corpus: CorpusRef
    dictionary: AnchorTable
    target: CheckpointRef


@pytest.fixture
def given(
    lethe_home: Path,
    tmp_path: Path,
    tiny_llama: Callable[..., LlamaForCausalLM],
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Given:
    def write(folder: Path) -> None:
        for split in ("forget", "retain"):
            write_documents(folder / f"{split}.jsonl", PROSE)

    corpus = store.put("corpora", write, sensitivity="forget")
    rows = [{"term": name, "generic": "Tom"} for name in NAMES]
    dictionary = store.put(
        "dictionaries", lambda folder: write_json(folder / "dictionary.json", rows), sensitivity="forget"
    )
    model = tiny_llama(0, hidden_size=HIDDEN)
    model.save_pretrained(tmp_path / "target")
    tiny_tokenizer.save_pretrained(tmp_path / "target")
    return Given(
        corpus=CorpusRef(
            kind="corpora", digest=corpus, sensitivity="forget", documents={"forget": 1, "retain": 1}, characters={}
        ),
        dictionary=AnchorTable(
            kind="dictionaries", digest=dictionary, sensitivity="forget", anchors=4, pipeline="none"
        ),
        target=inspect_model(str(tmp_path / "target"), "target"),
    )


class LiveWeights:
    """Counts, whenever a stage reports progress, the embedding matrices of this test's model that are in memory."""

    def __init__(self) -> None:
        self.most = 0

    def __call__(self, found: progress.Progress) -> None:
        alive = [thing for thing in gc.get_objects() if type(thing) is nn.Parameter and thing.shape == (300, HIDDEN)]
        self.most = max(self.most, len({weight.data_ptr() for weight in alive}))


def counted(stage: Callable[..., object], *arguments: object) -> tuple[object, int]:
    gc.collect()
    live = LiveWeights()
    stop = progress.listen(live)
    try:
        return stage(*arguments), live.most
    finally:
        stop()


def whole_of(adapter: CheckpointRef, target: CheckpointRef) -> CheckpointRef:
    """Return the adapter merged into its base, as a checkpoint of its own."""
    return save_checkpoint(load_model(adapter), load_tokenizer(target), adapter.label, sensitivity="forget", origin="")


def labels_of(found: LabelSet) -> dict[str, Tensor]:
    rows = LabelRows(found)
    labels = rows.labels(range(len(rows)))
    return {
        name: getattr(labels, name)
        for name in ("block", "position", "hard", "baseline_hidden", "reinforced_hidden", "banned")
    }


def test_the_reinforced_model_is_an_adapter_that_names_its_base(given: Given) -> None:
    found = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    folder = store.path(found)
    assert {"adapter_model.safetensors", "adapter_config.json", "base.json", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert not (folder / "config.json").exists()
    assert (found.sensitivity, found.parameters) == ("forget", given.target.parameters)
    assert json.loads((folder / "base.json").read_text()) == {
        "digest": given.target.digest,
        "parameters": given.target.parameters,
    }
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) < given.target.parameters * 4 / 2


def test_labels_from_one_base_equal_those_from_two_models(given: Given) -> None:
    """One set of base weights is in memory (an input and an output embedding), against two; hidden states agree to
    1e-5.
    """
    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    first, alive = counted(make_labels.body, given.corpus, given.dictionary, given.target, adapter, LABELS, READING)
    second, alive_whole = counted(
        make_labels.body, given.corpus, given.dictionary, given.target, whole_of(adapter, given.target), LABELS, READING
    )
    assert (alive, alive_whole) == (2, 4)
    one, two = labels_of(first), labels_of(second)
    for name in ("block", "position", "hard", "banned"):
        assert torch.equal(one[name], two[name]), name
    for name in ("baseline_hidden", "reinforced_hidden"):
        torch.testing.assert_close(one[name], two[name], atol=1e-5, rtol=0)
    assert (one["reinforced_hidden"] - one["baseline_hidden"]).abs().max() > 1e-2  # the adapter was on


def test_finetuning_holds_one_base_and_both_outputs_are_the_same_model(given: Given) -> None:
    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    labels = make_labels.body(given.corpus, given.dictionary, given.target, adapter, LABELS, READING)
    teacher = cache_teacher.body(given.corpus, given.target, 32, READING)
    common = (given.target, adapter, labels, teacher, LABELS, TUNING)
    apart, alive = counted(finetune.body, *common, RANK4)
    merged, _ = counted(finetune.body, *common, replace(RANK4, output="merged"))
    _, alive_whole = counted(
        finetune.body, given.target, whole_of(adapter, given.target), labels, teacher, LABELS, TUNING
    )
    # whole weights: the student's two, and a frozen head of the target and of the reinforced model
    assert (alive, alive_whole) == (2, 4)
    assert is_adapter(apart)
    assert not is_adapter(merged)
    one, two, target = (dict(load_model(found).named_parameters()) for found in (apart, merged, given.target))
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert [name for name in one if not torch.equal(one[name], target[name])] == [
        name for name in one if "_proj" in name
    ]


def test_a_task_vector_is_that_of_the_adapter_where_one_was_trained(given: Given) -> None:
    finetuned = reinforce.body(given.corpus, given.target, BOOSTING, READING, replace(RANK4, output="merged"))
    unlearned = subtract_task_vector.body(given.target, finetuned, TaskVectorConfig(scale=2.0))
    made, tuned, target = (load_model(found).state_dict() for found in (unlearned, finetuned, given.target))
    assert [name for name in target if not torch.equal(made[name], target[name])] == [
        name for name in target if "_proj" in name
    ]
    for name in target:
        torch.testing.assert_close(
            made[name].double(),
            target[name].double() - 2.0 * (tuned[name].double() - target[name].double()),
            atol=1e-6,
            rtol=0,
        )
    with pytest.raises(ValueError, match=r"lora\.output is 'adapter'; wanted merged"):
        TaskVectorUnlearningConfig(lora=RANK4)


def test_without_an_adapter_stages_do_what_they_did(given: Given) -> None:
    found = reinforce.body(given.corpus, given.target, BOOSTING, READING)
    assert not is_adapter(found)
    one, target = (dict(load_model(checkpoint).named_parameters()) for checkpoint in (found, given.target))
    assert [name for name in one if torch.equal(one[name], target[name])] == []


def test_a_bare_peft_loads_the_adapter_as_we_do(given: Given) -> None:
    from peft import PeftModel

    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    ours = load_model(adapter)
    ids = torch.arange(40, device=ours.device)[None]
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(load_model(given.target), store.path(adapter)).eval()(input_ids=ids).logits
        torch.testing.assert_close(theirs, ours(input_ids=ids).logits, atol=1e-5, rtol=0)


def test_an_adapter_finds_its_base_in_the_store_where_it_was_or_where_it_was_last_seen(
    given: Given, tmp_path: Path
) -> None:
    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    wanted = dict(load_model(adapter).named_parameters())
    moved = Path(given.target.location).rename(tmp_path / "moved")
    with pytest.raises(
        BadInputError, match=f"target is not there; wanted its base model, whose digest is {given.target.digest[:16]}"
    ):
        load_model(adapter)
    gather_models({"target": str(moved), "retrained": None})
    found = dict(load_model(adapter).named_parameters())
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    stored = store.put("checkpoints", lambda folder: [shutil.copy(file, folder) for file in moved.iterdir()] and None)
    assert stored == given.target.digest
    shutil.rmtree(moved)
    assert base_of(store.path(adapter)).location == ""
    assert load_model(adapter).config.hidden_size == HIDDEN


def test_another_model_in_the_bases_place_is_refused(given: Given, tiny_llama: Callable[..., LlamaForCausalLM]) -> None:
    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    tiny_llama(9, hidden_size=HIDDEN).save_pretrained(given.target.location)
    other = inspect_model(given.target.location, "target")
    with pytest.raises(
        BadInputError,
        match=(
            rf"holds another model \({other.digest[:16]}\); wanted its base model, whose digest is"
            rf" {given.target.digest[:16]}"
        ),
    ):
        load_model(adapter)
    with pytest.raises(BadInputError, match="belongs to another model"):
        load_pair(other, adapter)


def test_a_users_adapter_folder_is_a_model_and_one_without_its_base_is_refused(given: Given, tmp_path: Path) -> None:
    adapter = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    copy = tmp_path / "copy"
    shutil.copytree(store.path(adapter), copy, ignore=shutil.ignore_patterns(store.MANIFEST))
    found = inspect_model(str(copy), "unlearned")
    assert (found.digest, found.parameters) == (adapter.digest, given.target.parameters)
    one, two = (dict(load_model(checkpoint).named_parameters()) for checkpoint in (adapter, found))
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert config_folder(found) == Path(given.target.location)
    (copy / "base.json").unlink()
    plain = inspect_model(str(copy), "unlearned")
    three = dict(load_model(plain).named_parameters())
    assert [name for name in one if not torch.equal(one[name], three[name])] == []
    Path(given.target.location).rename(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match=r"which is no model folder here; wanted base_model_name_or_path"):
        inspect_model(str(copy), "unlearned")


def test_an_adapter_on_an_adapter_is_trained_on_what_the_first_made(given: Given) -> None:
    first = reinforce.body(given.corpus, given.target, BOOSTING, READING, RANK4)
    second = reinforce.body(given.corpus, first, BOOSTING, READING, RANK4)
    noted = adapter_files.noted_base(store.path(second))
    assert noted is not None
    assert noted.digest == first.digest
    model = load_model(first)
    adapters.attach_saved(model, *adapter_files.read_adapter(store.path(second)), "second")
    adapters.merge(model, "second")
    one, two = dict(model.named_parameters()), dict(load_model(second).named_parameters())
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_a_rank_that_does_not_fit_is_bad_input(given: Given) -> None:
    with pytest.raises(BadInputError, match="wanted a rank from 1 to 44"):
        reinforce.body(given.corpus, given.target, BOOSTING, READING, LoraConfig(rank=45))
    with pytest.raises(ValueError, match="wanted a rank from 1 to 44"):
        check_trainable(replace(gradient_preset("npo", "default"), lora=LoraConfig(rank=45)), given.target.location)


def test_a_block_is_no_longer_than_the_model_reads(given: Given) -> None:
    """A model with learned positions has no state beyond its last."""
    context = load_model(given.target).config.max_position_embeddings
    fitting, longer = (replace(BOOSTING, block_size=size) for size in (context, 10 * context))
    models = [reinforce.body(given.corpus, given.target, config, READING) for config in (fitting, longer)]
    assert models[0].digest == models[1].digest
    teachers = [cache_teacher.body(given.corpus, given.target, size, READING) for size in (context, 10 * context)]
    assert teachers[0].digest == teachers[1].digest
    labels = [
        make_labels.body(
            given.corpus, given.dictionary, given.target, models[0], replace(LABELS, block_size=size), READING
        )
        for size in (context, 10 * context)
    ]
    assert labels[0].digest == labels[1].digest
