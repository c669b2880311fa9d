"""Claims: whatever a model does to its logits behind its output layer is done to kept states too, for every type that
is let in, and what is not known of is refused; models that are no decoders of text in plain numbers, were resized by
halves or lack weights are refused at the start with what is wanted; every figure is finite for any finite logits;
RMU trains every known family (`acceptance`).
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from flows.steps.request import check_request
from tasks.algorithms.measuring import edit_figures
from tasks.algorithms.measuring.edit_scores import TextScore
from tasks.algorithms.measuring.metrics import ScoredSequence, score_sequences, token_statistics
from tasks.algorithms.models.architectures import ARCHITECTURES
from tasks.algorithms.models.heads import apply_head, check_head, check_shape, last_hidden, logit_shape, output_head
from tasks.algorithms.models.layers import hidden_after
from tasks.algorithms.objectives.rmu import RMU
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.verdicts.evidence import limits
from tasks.algorithms.verdicts.scorecard import judge
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models.acceptance import KNOWN, require_known_head
from tasks.models.checkpoints import context_length, inspect_model
from tasks.models.loading import handled_dtype, load_model, load_tokenizer
from tasks.reporting.comparative_figures import forget_quality_row, privacy_rows, utility_row
from tasks.reporting.figures import figures
from tasks.reporting.open_unlearning import evaluation, summary
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.objectives.rmu import RMUConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tasks.settings.verdict import VerdictConfig
from tasks.storage.probe_records import STATISTICS, Records
from tests.stand_ins.architectures import tiny
from tests.stand_ins.causal_models import TYPES, quietly, tiny_causal
from tests.stand_ins.command import called
from tests.stand_ins.objectives import make_batch
from tests.stand_ins.tiny import TinyTask

KIND = "users' models"
Property = Callable[[str, object], None]
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])
FEW = ("gpt2", "llama", "gemma2", "cohere", "granite", "nanochat", "phi", "mpt", "bloom", "opt")
"""Types that the plain run tries: with and without caps, scales, biases, tied embeddings."""


def test_logits_of_kept_states_are_the_models_own(record_property: Property) -> None:
    require_known(FEW, record_property)


@pytest.mark.faults
def test_logits_of_kept_states_are_the_models_own_for_every_known_type(record_property: Property) -> None:
    require_known(sorted(KNOWN), record_property)


def require_known(kinds: tuple[str, ...] | list[str], record_property: Property) -> None:
    gaps = {kind: gap_of(tiny_causal(kind)) for kind in kinds}
    held = [kind for kind, gap in gaps.items() if gap <= 1e-5]
    record_property("tried", len(gaps))
    record_property("held", len(held))
    assert not {*gaps} - {*held}, gaps
    assert {*kinds} <= KNOWN


@torch.no_grad()
def gap_of(model: nn.Module) -> float:
    """Return how far logits from kept states are from the model's own, as a share of the largest."""
    mask = torch.ones_like(IDS)
    whole = model(input_ids=IDS, attention_mask=mask).logits
    halves = apply_head(output_head(model), last_hidden(model, IDS, mask))
    return ((whole - halves).abs().max() / whole.abs().max()).item() if whole.shape == halves.shape else math.inf


@pytest.mark.faults
def test_a_type_that_no_test_knows_is_let_in_where_it_may_be_and_refused_elsewhere(record_property: Property) -> None:
    """What is said of a model without weights is held against a tiny model of the type that has some."""
    verdicts = {kind: verdict for kind in sorted({*TYPES} - KNOWN) if (verdict := said_and_true(kind))}
    wrong = {kind: verdict for kind, verdict in verdicts.items() if verdict[0] and not verdict[1]}
    record_property("tried", len(verdicts))
    record_property("held", len(verdicts) - len(wrong))
    assert not wrong
    assert len(verdicts) > 30
    assert {said for said, _ in verdicts.values()} == {True, False}


def said_and_true(kind: str) -> tuple[bool, bool] | None:
    """Return whether a type is let in, and whether it should be; None where no tiny model of it can be made and run."""
    with quietly():
        try:
            model = tiny_causal(kind)
            with torch.no_grad():
                model(input_ids=IDS)
        except Exception:  # many types have sizes of their own
            return None
        return holds(lambda: check_shape(without_weights(model))), holds(lambda: check_head(model, IDS, IDS * 0 + 1))


def without_weights(model: nn.Module) -> nn.Module:
    with torch.device("meta"):
        return type(model)(model.config)


def holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:
        return False
    return True


@pytest.mark.parametrize("change", ["scaled", "shifted", "capped", "cut"])
def test_what_nobody_knows_of_is_refused_without_weights(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = without_weights(tiny_causal("llama"))
    forward = type(bare).forward
    behind = {
        "scaled": lambda logits: logits * 0.9,
        "shifted": lambda logits: logits + 1,
        "capped": lambda logits: torch.tanh(logits),
        "cut": lambda logits: logits[..., :-3],
    }[change]

    def changed(self: nn.Module, *inputs: Any, **options: Any) -> Any:
        made = forward(self, *inputs, **options)
        return type(made)(logits=behind(made.logits))

    check_shape(without_weights(tiny_causal("llama")))
    monkeypatch.setattr(type(bare), "forward", changed)
    with pytest.raises(ValueError, match="changes its logits after the output head"):
        check_shape(bare)


def test_a_type_that_does_not_come_apart_is_refused_at_the_start_with_the_reason(
    tmp_path: Path, tiny_tokenizer: Any, lethe_home: Path
) -> None:
    folder = written(tiny_causal("llama"), tiny_tokenizer, tmp_path / "model")
    checkpoint = inspect_model(str(folder), "unlearned")
    require_known_head(checkpoint, {"model_type": "llama"})
    rewrite(folder, "config.json", model_type="nobodys")
    with pytest.raises(BadInputError, match="no model of type 'nobodys' can be made of its config"):
        require_known_head(checkpoint, {"model_type": "nobodys"})


def test_scores_of_a_model_that_caps_its_logits_are_its_own() -> None:
    model = tiny_causal("gemma2")
    (table,) = score_sequences(model, [ScoredSequence(ids=tuple(IDS[0].tolist()), start=1)], 0)
    with torch.no_grad():
        own = model(input_ids=IDS).logits[0, :-1].log_softmax(-1).gather(-1, IDS[0, 1:, None])[:, 0]
    np.testing.assert_allclose(table[:, 0], own.numpy(), atol=1e-5)


def test_a_token_without_an_embedding_is_refused_before_anything_is_run(
    tmp_path: Path, tiny_task: TinyTask, tiny_llama: Any, lethe_home: Path
) -> None:
    """Its word stands escaped in a record, where the file's own letters do not show it."""
    tokenizer = load_tokenizer(inspect_model(str(tiny_task.model), "target"))
    tokenizer.add_tokens(["Hogwarts"])
    folder = written(tiny_llama(0), tokenizer, tmp_path / "larger")
    (tmp_path / "hit.jsonl").write_text('{"question": "Where?", "answer": "In \\u0048ogwarts."}')
    request = UnlearningRequest(forget=(str(tmp_path / "hit.jsonl"),))
    with pytest.raises(BadInputError, match=r"hit\.jsonl holds the token 'Hogwarts', which is number 300 of unlearned"):
        check_request(request, EvaluationConfig(), {"unlearned": str(folder)}, fact_splits=(), needs_anchors=False)


def written(model: nn.Module, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rewrite(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | changes))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "T5": (
        {"model_type": "t5", "is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"]},
        "decoder",
    ),
    "BART": ({"model_type": "bart", "is_encoder_decoder": True, "architectures": ["BartModel"]}, "decoder alone"),
    "GPTQ": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised (gptq); wanted them in float32"),
    "AWQ": ({"quantization_config": {"quant_method": "awq"}}, "quantised (awq)"),
    "bitsandbytes": ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "quantised"),
    "FP8": ({"quantization_config": {"quant_method": "fp8"}}, "quantised (fp8)"),
    "compressed": ({"compression_config": {"format": "int-quantized"}}, "quantised"),
    "LLaVA": ({"model_type": "llava", "vision_config": {"hidden_size": 8}}, "also sees or hears (vision_config)"),
    "Qwen2 Audio": ({"model_type": "qwen2_audio", "audio_config": {"d_model": 8}}, "wanted a model of text alone"),
    "Gemma 3": ({"model_type": "gemma3", "text_config": {}, "vision_config": {"a": 1}}, "also sees or hears"),
    "a classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "no output layer that writes text"),
    "a bare decoder": ({"architectures": ["LlamaModel"]}, "saved with one (...ForCausalLM)"),
    "BERT": ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "no output layer that writes text"),
    "BERT as if it wrote": ({"model_type": "bert", "architectures": ["BertLMHeadModel"]}, "see those after them"),
    "RoBERTa": ({"model_type": "roberta", "architectures": []}, "reads from left to right"),
    "resized by halves": ({"vocab_size": 290}, "has 300 rows, and config.json a vocab_size of 290"),
}
"""What config.json says otherwise than that of a tiny Llama -> what the refusal holds."""


@pytest.mark.parametrize("command", ["unlearn", "evaluate"])
def test_models_of_another_kind_are_refused_in_one_line(
    command: str, tiny_task: TinyTask, tmp_path: Path, record_property: Property
) -> None:
    escaped = {}
    for name, (changes, wanted) in REFUSED.items():
        folder = tmp_path / name.replace(" ", "-")
        shutil.copytree(tiny_task.model, folder)
        rewrite(folder, "config.json", **changes)
        words = [tiny_task.forget] if command == "unlearn" else ["--forget", tiny_task.forget]
        ended = called(command, *words, "--model", folder, home=tmp_path / "lethe")
        lines = ended.stderr.splitlines()
        if ended.returncode != 2 or len(lines) != 1 or wanted not in lines[0] or str(folder) not in lines[0]:
            escaped[name] = (ended.returncode, ended.stderr)
    record_property("tried", len(REFUSED))
    record_property("held", len(REFUSED) - len(escaped))
    assert not escaped


def test_packed_weights_are_refused_whatever_the_config_says(
    tiny_task: TinyTask, tmp_path: Path, lethe_home: Path
) -> None:
    folder = tmp_path / "packed"
    shutil.copytree(tiny_task.model, folder)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("down_proj.weight"))
    save_file(tensors | {name: tensors[name].to(torch.int8)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInputError, match=r"down_proj\.weight is stored as I8; wanted weights in float32"):
        inspect_model(str(folder), "target")


def test_weights_that_are_in_no_file_are_not_made_up(tiny_task: TinyTask, tmp_path: Path, lethe_home: Path) -> None:
    folder = tmp_path / "holed"
    shutil.copytree(tiny_task.model, folder)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layers.1.mlp.down_proj.weight"))
    save_file({key: tensors[key] for key in tensors if key != name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        BadInputError, match=r"do not hold model\.layers\.1\.mlp\.down_proj\.weight, which would be made"
    ):
        load_model(inspect_model(str(folder), "target"))


def test_a_second_layout_of_the_weights_decides_nothing(tiny_task: TinyTask, tmp_path: Path, lethe_home: Path) -> None:
    """`consolidated` comes before `model` in the alphabet."""
    folder = tmp_path / "twice"
    shutil.copytree(tiny_task.model, folder)
    tensors = load_file(folder / "model.safetensors")
    halved = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    save_file(halved, folder / "consolidated.safetensors", {"format": "pt"})
    checkpoint = inspect_model(str(folder), "target")
    assert checkpoint.parameters == sum(tensor.numel() for tensor in tensors.values())
    large = CheckpointRef(**(vars(checkpoint) | {"parameters": 10**9}))
    assert handled_dtype(large) == torch.float32


def test_what_a_config_nests_is_read(tiny_task: TinyTask, tmp_path: Path, lethe_home: Path) -> None:
    folder = tmp_path / "nested"
    shutil.copytree(tiny_task.model, folder)
    config = json.loads((folder / "config.json").read_text())
    outside = {name: config.pop(name) for name in ("model_type", "architectures")}
    (folder / "config.json").write_text(json.dumps(outside | {"text_config": config}))
    checkpoint = inspect_model(str(folder), "target")
    assert context_length(checkpoint) == config["max_position_embeddings"]
    rewrite(folder, "config.json", text_config=config | {"vocab_size": 290})
    with pytest.raises(BadInputError, match="a vocab_size of 290"):
        inspect_model(str(folder), "target")


class Nested:
    """A config that nests what it says of text."""

    class text_config:
        final_logit_softcapping = 30.0
        model_type = "gemma3_text"


def test_a_nested_soft_cap_counts() -> None:
    assert logit_shape(Nested()).cap == 30.0


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_rmu_trains_the_named_matrices_of_every_family(kind: str) -> None:
    student, frozen = tiny(kind), tiny(kind)
    objective = RMU(RMUConfig(layer=2))
    names = objective.trainable(student)
    for name, weight in student.named_parameters():
        weight.requires_grad_(name in names)
    batch = make_batch()
    with torch.no_grad():
        kept = hidden_after(frozen, 2, batch["retain_ids"], batch["retain_mask"])
    objective.loss(student, batch, {"retain_layer_hidden": kept})[0].backward()
    moved = {name for name, weight in student.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert moved == {*names} != set()


SPREADS = (1.0, 1e3, 1e5, 1e30, 3e38)
"""How far apart logits are: as trained, as after gradient ascent, and up to what a number holds."""


def test_every_figure_is_finite_or_absent_for_any_finite_logits(record_property: Property) -> None:
    require_finite([(3e38, 1e3)], record_property)


@pytest.mark.faults
def test_every_figure_is_finite_from_every_spread_to_another(record_property: Property) -> None:
    """Two models, each sure of something else."""
    require_finite(list(zip(SPREADS, SPREADS[1:] + SPREADS[:1], strict=True)), record_property)


def require_finite(pairs: list[tuple[float, float]], record_property: Property) -> None:
    tried, escaped = 0, []
    for ours, theirs in pairs:
        records = {"target": made(1, 1.0), "unlearned": made(2, ours), "retrained": made(3, theirs)}
        values = {label: figures(tables, anchor_expression(["Toto"]), frozenset()) for label, tables in records.items()}
        rows = forget_quality_row(records) | utility_row(values) | privacy_rows(records)
        found = [value for row in rows.values() for value in row.values() if isinstance(value, float)]
        for one in values["unlearned"].values():
            found += [one.figure(), *one.interval()]
        found += summary(evaluation(records["unlearned"], records["retrained"])).values()
        tried += len(found)
        escaped += [(ours, theirs, value) for value in found if not math.isfinite(value)]
    record_property("tried", tried)
    record_property("held", tried - len(escaped))
    assert not escaped
    assert tried > 100 * len(pairs)


def made(seed: int, spread: float) -> Records:
    """Records of a model whose logits over ten tokens are up to `spread` in size."""
    import pandas

    drawn = torch.Generator().manual_seed(seed)
    variants = ("answer", "paraphrase", "perturbed-0", "perturbed-1", "text")
    splits = ("forget", "forget_test", "retain_test", "sibling", "general", "holdout")
    names = [(split, variant, item) for split in splits for variant in variants for item in range(3)]
    tables = [one_sequence(drawn, spread) for _ in names]
    sequences = pandas.DataFrame(names, columns=["split", "variant", "item"]).assign(
        cluster=[f"{split}:{item}" for split, _, item in names], tokens=4, zlib_bytes=20, truncated=False
    )
    sequences.insert(0, "sequence", range(len(names)))
    tokens = pandas.DataFrame(np.concatenate(tables), columns=list(STATISTICS))
    tokens.insert(0, "sequence", np.repeat(np.arange(len(names)), 4))
    joint = np.exp([float(table[:2, 0].sum(dtype=float)) for table in tables])
    anchors = pandas.DataFrame({"split": "forget_test", "cluster": "a", "term": "Toto", "joint": joint})
    anchors = anchors.assign(first=joint, interior=joint)
    prompts = {"kind": "question", "prompt": "Who is Toto?", "truth": "a dog", "completion": "a cat", "answer": "a cat"}
    completions = pandas.DataFrame([{"split": split, "item": 0, "cluster": "a"} | prompts for split in splits])
    return Records(
        sequences=sequences, tokens=tokens, anchors=anchors, completions=completions.assign(teacher_nats=spread)
    )


def one_sequence(drawn: torch.Generator, spread: float) -> np.ndarray:
    logits = spread * (2 * torch.rand(4, 10, generator=drawn) - 1)
    return token_statistics(logits, torch.randint(10, (4,), generator=drawn)).numpy()


@pytest.mark.parametrize("nats", [700.0, 1e5, 1e30])
def test_perplexities_beyond_any_number_are_said_to_be(nats: float) -> None:
    texts = [TextScore(text=0, window=0, tokens=2, log_p_nats=-2 * nats)]
    fair = [TextScore(text=0, window=0, tokens=2, log_p_nats=-2.0)]
    for figure in (edit_figures.perplexity_ratio(fair, texts), edit_figures.perplexity_ratio(texts, fair)):
        assert math.isfinite(figure.value)
        assert all(map(math.isfinite, figure.ci95))
    row = {"target": 10.0, "unlearned": 1e300, "retrained": None, "ci95": [1e300, 1e300], "n": 3}
    verdict = judge({"general/perplexity": row}, VerdictConfig())
    assert verdict["utility_kept"] is False
    assert max(map(len, verdict["reasons"])) < 300
    said = limits(verdict, {"general/perplexity": row})
    assert any("general/perplexity of the unlearned model is larger than any number" in sentence for sentence in said)
